"""The exported network computes what the model does: norms and stem folded, normalisation inside, decoded in float32."""

import copy
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones.csp_darknet import Focus

from tests.test_export.export_models import pictures, write_model
from yolox_pose.errors import UsageError
from yolox_pose.export.check import TOLERANCES, Comparison, check_export, compare, count_recovered
from yolox_pose.export.exporting import describe
from yolox_pose.export.graph import DecodedGraph, RawGraph, is_half
from yolox_pose.export.options import ExportOptions
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork
from yolox_pose.models.loading import load_model
from yolox_pose.ops import decode_boxes, decode_keypoints
from yolox_pose.structures.detections import Detections


@pytest.fixture(scope="module", params=["pose", "detection", "joint"])
def files(request, tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models"), request.param)


@pytest.fixture(scope="module")
def model(files):
    return load_model(*files, "cpu")


@pytest.mark.parametrize("focus", [False, True])
def test_raw_outputs_are_those_of_the_model(model, focus):
    images = torch.rand(2, 3, 96, 160) * 255
    graph = RawGraph(model, focus=focus)
    with torch.no_grad():
        wanted = [values for values in model.head(model.extract_feat(images)) if values is not None]
    found = graph(images)
    assert len(found) == len(graph.output_names) == len(wanted)
    for a, b in zip(found, wanted):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-4)
    modules = list(graph.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in modules)
    assert any(isinstance(m, Focus) for m in modules) == focus
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()), "the model itself stays as it was"
    assert all(m.with_norm for m in model.modules() if isinstance(m, ConvModule))


def test_normalization_is_part_of_the_graph(model):
    images = torch.randint(0, 256, (1, 3, 64, 64)).float()
    preprocessor = model.data_preprocessor
    preprocessor.set_normalization(True, [10.0, 20.0, 30.0], [50.0, 60.0, 70.0])
    try:
        graph = RawGraph(model)
        with torch.no_grad():
            wanted = model.head(model.extract_feat(preprocessor({"inputs": [images[0].byte()]})["inputs"]))
    finally:
        preprocessor.set_normalization()
    torch.testing.assert_close(graph(images)[0], wanted.classes, atol=1e-4, rtol=1e-4)


def test_decoded_outputs(model):
    images = torch.rand(1, 3, 64, 96) * 255
    raw, priors = RawGraph(model).predict(images)
    graph = DecodedGraph(model)
    found = dict(zip(graph.output_names, graph(images)))
    torch.testing.assert_close(found["boxes"], decode_boxes(raw.boxes, priors))
    torch.testing.assert_close(found["scores"], raw.classes.sigmoid() * raw.objectness.sigmoid()[..., None])
    if raw.keypoints is not None:
        torch.testing.assert_close(found["keypoints"], decode_keypoints(raw.keypoints, priors))
        torch.testing.assert_close(found["keypoint_scores"], raw.visibility.sigmoid())


def test_weights_are_rounded_behind_the_first_layers_and_biases_are_not(model):
    whole, half = (dict(DecodedGraph(model, half=half).named_parameters()) for half in (False, True))
    first = ("backbone.stem.", "backbone.stage1.", "backbone.stage2.")
    for name, values in whole.items():
        if name.endswith(".bias") or name.startswith(first):
            assert torch.equal(half[name], values), name
        else:
            assert torch.equal(half[name], values.half().float()) and not torch.equal(half[name], values), name
            assert half[name].dtype == torch.float32
    assert sum(is_half(values.numpy()) for values in half.values() if values.ndim == 4) > 50


def test_numbers_that_float16_has():
    assert is_half(np.array([0, 1, -0.5, 65504, 2**-24], np.float32))
    for number in (1 / 3, 65520, 1e-9, np.inf):
        assert is_half(np.array([number], np.float32)) == (number == np.inf)


def test_weights_beyond_float16_stay(model):
    changed = copy.deepcopy(model)
    layer = changed.head.head_module.out_bbox[0]
    layer.weight.data *= 1e6 / layer.weight.data.abs().max()
    assert torch.equal(DecodedGraph(changed, half=True).head.head_module.out_bbox[0].weight, layer.weight)


class GraphBackend:
    """A graph in PyTorch in the place of an exported file."""

    def __init__(self, graph):
        self.graph = graph

    def __call__(self, images):
        return {name: v.numpy() for name, v in zip(self.graph.output_names, self.graph(torch.from_numpy(images)))}


@pytest.mark.parametrize(("layout", "kind"), [("raw", RawGraph), ("decode", DecodedGraph)])
def test_check_agrees_with_a_faithful_graph_and_not_with_another(files, layout, kind):
    reference = TorchNetwork(*files, "cpu")
    description = describe(reference, ExportOptions("onnx", layout, size=(64, 160), batch=3))
    graph = kind(reference.model)
    exported = ExportedNetwork(description, GraphBackend(graph))
    figures = check_export(reference, exported, exported.preprocessing, pictures())
    assert figures["matched"] == figures["detections"] > 0 and figures["pixels"] < 0.05
    for layer in graph.head.head_module.out_bbox:
        layer.bias += 0.1
    with pytest.raises(Exception, match="differs from torch: .* do not"):
        check_export(reference, exported, exported.preprocessing, pictures())


def found(boxes, scores, labels=None, shift=0.0):
    boxes = np.asarray(boxes, np.float32) + shift
    labels = np.zeros(len(boxes), int) if labels is None else np.asarray(labels)
    return Detections(
        boxes, np.asarray(scores, np.float32), labels, boxes.reshape(-1, 2, 2), np.ones((len(boxes), 2), np.float32)
    )


BOXES = [[0, 0, 10, 10], [20, 0, 40, 10], [50, 50, 90, 90]]


def outcome(wanted, got, kind="fp32", **options):
    return compare(wanted, got, TOLERANCES[kind], **{"score_thr": 0.1, "nms_thr": 0.65, "max_per_img": 10, **options})


def test_comparison_counts_pairs():
    one = found(BOXES, [0.9, 0.8, 0.7])
    assert outcome(one, one) == Comparison(1, 3, 3, 0, 0, 0.0, 0.0)
    other_order = Detections(*(values[::-1] for values in one))
    assert outcome(one, other_order).matched == 3
    near, far = (
        outcome(one, found(BOXES, [0.9, 0.8, 0.7], shift=0.04)),
        outcome(one, found(BOXES, [0.9, 0.8, 0.7], shift=0.4)),
    )
    assert near.matched == 3 and near.pixels == pytest.approx(0.04, abs=1e-5)
    assert (far.matched, far.unmatched, far.share) == (0, 6, 0.0)
    assert outcome(one, found(BOXES, [0.9, 0.8, 0.7], shift=0.4), "fp16").share == 1
    assert outcome(one, found(BOXES, [0.9, 0.8, 0.69])).unmatched == 2
    assert outcome(one, found(BOXES, [0.9, 0.8, 0.7], labels=[0, 0, 1])).unmatched == 2
    assert outcome(one, found(BOXES[:2], [0.9, 0.8])).unmatched == 1
    nothing = found(np.zeros((0, 4)), [])
    assert outcome(nothing, nothing).share == 0 and outcome(one, nothing).unmatched == 3
    assert (outcome(one, one) + far).detections == 6


def test_comparison_excuses_what_rounding_decides():
    at_threshold = found(BOXES, [0.9, 0.8, 0.1004])
    assert outcome(at_threshold, found(BOXES[:2], [0.9, 0.8])).excused == 1
    overlapping = found([[0, 0, 10, 10], [0, 0, 10, 6.5]], [0.9, 0.8])  # IoU 0.65
    assert outcome(overlapping, found([[0, 0, 10, 10]], [0.9])) == Comparison(1, 2, 1, 1, 0, 0.0, 0.0)
    last = found(BOXES, [0.9, 0.8, 0.8])
    first_two, others = Detections(*(v[:2] for v in last)), Detections(*(v[[0, 2]] for v in last))
    assert outcome(first_two, others, max_per_img=2).unmatched == 0 and outcome(first_two, others).unmatched == 2


def test_high_score_detections_that_are_recovered():
    assert count_recovered(found(BOXES, [0.9, 0.8, 0.2]), found(BOXES, [0.5, 0.5, 0.5], shift=1.0)) == (2, 2)
    assert count_recovered(found(BOXES, [0.9, 0.8, 0.7]), found(BOXES, [0.5, 0.5, 0.5], labels=[1, 0, 0])) == (2, 3)


def test_the_command_fills_the_gaps_of_the_stack_before_it_imports_it(repo_root):
    code = "import yolox_pose.export.exporting"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("settings", [{"nms_type": "oks"}, {"soft_nms": "linear"}])
def test_a_graph_cannot_hold_nms_by_poses(settings):
    preprocessing = SimpleNamespace(size=(96, 64))
    reference = SimpleNamespace(model=SimpleNamespace(head=None), preprocessing=preprocessing, test_cfg=settings)
    with pytest.raises(UsageError, match="the graph can hold NMS by boxes only.*--decode or --raw"):
        describe(reference, ExportOptions("onnx", "nms"))
