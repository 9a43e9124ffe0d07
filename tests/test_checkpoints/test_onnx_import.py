"""ONNX files of detectors: told apart by their graph, with batch norms measured anew, without changing what they compute."""

import sys

import numpy as np
import pytest
import torch

from tests.test_checkpoints.checkpoint_models import DETECTOR, build, pixels, shapes
from yolox_pose.checkpoints.calibration import calibrate_norms  # noqa: E402
from yolox_pose.checkpoints.conversion import convert  # noqa: E402
from yolox_pose.checkpoints.onnx_detector import import_onnx  # noqa: E402
from yolox_pose.checkpoints.onnx_import import (  # noqa: E402
    IMAGE,
    FoldedConv,
    OnnxModel,
    expected_convs,
    graph_size,
    match_convs,
    read_onnx,
    unfold,
)
from yolox_pose.errors import DataError, UsageError  # noqa: E402
from yolox_pose.models.loading import load_model  # noqa: E402

ONNX_FILE, MMDET_FILE = "weights/yolox_nano_coco.onnx", "weights/yolox_nano_coco_mmdet.pth"


def weight_shape(name, found):
    return found.get(f"{name}.conv.weight") or found[f"{name}.weight"]


def folded(size, seed=0):
    """Graph of a detector with random weights, in an order of its own, and the convolution that each one is."""
    found = shapes(DETECTOR.format(size))
    expected = expected_convs(found)
    rng = np.random.default_rng(seed)
    numbers = {name: str(1000 + i) for i, name in enumerate(expected)} | {IMAGE: IMAGE}
    convs = {
        numbers[name]: FoldedConv(
            np.broadcast_to(np.float32(0), weight_shape(name, found)), np.zeros(weight_shape(name, found)[0], np.float32),
            frozenset(numbers[source] for source in sources),
        )
        for name, sources in expected.items()
    }  # fmt: skip
    order = list(convs)
    rng.shuffle(order)
    return found, expected, {output: convs[output] for output in order}, numbers


@pytest.mark.parametrize("size", ["nano", "s", "m", "x"])
def test_convolutions_are_found_by_the_graph_whatever_their_order(size):
    found, expected, convs, numbers = folded(size)
    matched = match_convs(expected, {name: weight_shape(name, found) for name in expected}, convs)
    assert matched == {name: numbers[name] for name in expected}


def test_another_graph_is_none():
    found, expected, convs, numbers = folded("nano")
    sizes = {name: weight_shape(name, found) for name in expected}
    assert match_convs(expected, sizes, dict(list(convs.items())[1:])) is None
    short = numbers["backbone.stage2.1.short_conv"]
    rewired = {**convs, short: convs[short]._replace(sources=frozenset({IMAGE}))}
    assert match_convs(expected, sizes, rewired) is None


def test_every_convolution_of_a_model_is_in_its_graph():
    found = shapes(DETECTOR.format("nano"))
    convs = {key.removesuffix(".weight").removesuffix(".conv") for key, shape in found.items() if len(shape) == 4}
    assert set(expected_convs(found)) == convs


@pytest.mark.parametrize(("classes", "outputs"), [(80, (80, 4, 1)), (1, (1, 4, 1)), (4, (4, 4, 1))])
def test_size_and_classes_of_a_graph(classes, outputs):
    convs = {"stem": FoldedConv(np.zeros((16, 12, 3, 3)), np.zeros(16), frozenset({IMAGE})),
             "depthwise": FoldedConv(np.zeros((16, 1, 3, 3)), np.zeros(16), frozenset({"stem"}))}  # fmt: skip
    for level in range(3):
        for i, width in enumerate(outputs):
            convs[f"{level}{i}"] = FoldedConv(np.zeros((width, 16, 1, 1)), np.zeros(width), frozenset({"depthwise"}))
    assert graph_size(OnnxModel(convs, (416, 416))) == (16, True, classes)


@torch.no_grad()
def test_unfolded_weights_compute_what_the_folded_ones_do():
    """Fold a random detector by hand, read it back through the matching, and compare the outputs."""
    model = build(DETECTOR.format("nano"), num_classes=3).eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value, low, high in ((module.weight, 0.8, 1.2), (module.bias, -0.1, 0.1), (module.running_mean, -0.1, 0.1),
                                     (module.running_var, 0.5, 1.5)):  # fmt: skip
                value.data.uniform_(low, high, generator=generator)
    own, convs = model.state_dict(), {}
    for name, sources in expected_convs(own).items():
        if f"{name}.bn.bias" not in own:
            weight, bias = own[f"{name}.weight"], own[f"{name}.bias"]
        else:
            scale = own[f"{name}.bn.weight"] / (own[f"{name}.bn.running_var"] + 1e-3).sqrt()
            weight = own[f"{name}.conv.weight"] * scale[:, None, None, None]
            bias = own[f"{name}.bn.bias"] - own[f"{name}.bn.running_mean"] * scale
        convs[name] = FoldedConv(weight.numpy(), bias.numpy(), sources)
    copy = build(DETECTOR.format("nano"), num_classes=3).eval()
    copy.load_state_dict(unfold(copy.state_dict(), OnnxModel(convs, (64, 64)), "made-up"))
    inputs = torch.rand(1, 3, 64, 64, generator=generator) * 255
    for mine, other in zip(copy.head(copy.extract_feat(inputs))[:3], model.head(model.extract_feat(inputs))[:3]):
        assert torch.allclose(mine, other, atol=1e-4)


@torch.no_grad()
def test_measured_norms_change_nothing_in_evaluation_and_normalise_in_training():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5, eps=1e-3), torch.nn.SiLU(), torch.nn.Conv2d(5, 4, 1),
        torch.nn.BatchNorm2d(4, eps=1e-3),
    ).eval()  # fmt: skip
    for norm in (network[1], network[4]):
        norm.weight.uniform_(-1, 1)
        norm.bias.uniform_(-1, 1)
        norm.running_mean.uniform_(-1, 1)
    batches = [torch.rand(2, 3, 9, 9) * 255, torch.rand(1, 3, 9, 9) * 255]
    before = [network(batch) for batch in batches]
    assert calibrate_norms(network, batches) == 3
    for old, batch in zip(before, batches):
        assert torch.allclose(network(batch), old, atol=1e-4)
    values = torch.cat([network[0](batch) for batch in batches]).transpose(0, 1).flatten(1)
    assert torch.allclose(network[1].running_mean, values.mean(1), rtol=1e-4)
    assert torch.allclose(network[1].running_var, values.var(1, correction=0), rtol=1e-4)
    together = torch.cat(batches)
    evaluated = network(together)
    assert torch.allclose(network.train()(together), evaluated, atol=1e-3)


def test_no_images_to_measure_on():
    with pytest.raises(ValueError, match="no images"):
        calibrate_norms(torch.nn.BatchNorm2d(2), [])


@pytest.fixture(scope="module")
def session(shared_data):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    return runtime.InferenceSession(str(shared_data / ONNX_FILE), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def copies(shared_data, tmp_path_factory):
    """The same network in three files: MMDetection's layout, Megvii's, and what is read from ONNX."""
    pytest.importorskip("onnx", reason="onnx is an extra")
    folder = tmp_path_factory.mktemp("copies")
    convert(shared_data / MMDET_FILE, folder / "megvii.pth", to="megvii")
    convert(shared_data / ONNX_FILE, folder / "onnx.pth", images=shared_data / "coco_ci32" / "train2017")
    return {"mmdet": shared_data / MMDET_FILE, "megvii": folder / "megvii.pth", "onnx": folder / "onnx.pth"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmdet", "megvii", "onnx"])
@torch.no_grad()
def test_real_weights_equal_the_onnx_file(name, copies, session, shared_data):
    model = load_model(DETECTOR.format("nano"), copies[name], "cpu")
    assert model.dataset_meta["preprocessing"]["centered"] is False and len(model.dataset_meta["classes"]) == 80
    inputs = pixels(shared_data / "coco_ci32" / "val2017", (416, 416))
    found = model.head(model.extract_feat(inputs))
    ours = torch.cat([found.boxes, found.objectness[..., None].sigmoid(), found.classes.sigmoid()], -1)
    theirs = [session.run(None, {"images": image[None].numpy()})[0][0] for image in inputs]
    assert (ours - torch.from_numpy(np.stack(theirs))).abs().max() < 1e-3
    assert found.objectness.sigmoid().max() > 0.5


@pytest.mark.slow
@torch.no_grad()
def test_norms_of_an_import_are_fit_for_training(copies, shared_data):
    """In training mode, on other images, the network finds much the same: so fine-tuning starts from what it knows."""
    model = load_model(DETECTOR.format("nano"), copies["onnx"], "cpu")
    inputs = pixels(shared_data / "coco_ci32" / "val2017", (416, 416))
    calm = model.head(model.extract_feat(inputs)).objectness.sigmoid()
    busy = model.train().head(model.extract_feat(inputs)).objectness.sigmoid()
    assert torch.corrcoef(torch.stack([calm.flatten(), busy.flatten()]))[0, 1] > 0.8


def test_what_is_no_onnx_file(tmp_path):
    pytest.importorskip("onnx", reason="onnx is an extra")
    path = tmp_path / "w.onnx"
    path.write_bytes(b"hello world, this is no protobuf")
    with pytest.raises(DataError, match=r"w\.onnx"):
        import_onnx(path)


def test_a_graph_of_another_network(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is an extra")
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "w")
    bias = numpy_helper.from_array(np.zeros(8, np.float32), "b")
    sides = [1, 3, 32, 32]
    for inputs, message in (
        (["x", "w", "b"], "not the graph of a YOLOX detector"),
        (["x", "w"], "fold the batch norms"),
    ):
        graph = helper.make_graph(
            [helper.make_node("Conv", inputs, ["y"])], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [weight, bias],
        )  # fmt: skip
        onnx.save(helper.make_model(graph), tmp_path / "w.onnx")
        with pytest.raises(DataError, match=message):
            import_onnx(tmp_path / "w.onnx")


def test_without_the_onnx_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install onnx$"):
        read_onnx(tmp_path / "w.onnx")
