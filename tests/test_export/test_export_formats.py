"""Every format of tiny models of the three modes, exported, loaded and compared with PyTorch on pictures."""

import json
import warnings

import numpy as np
import pytest

from tests.test_export.export_models import pictures, write_model
from yolox_pose import PoseInferencer
from yolox_pose.errors import DataError, UsageError, YOLOXPoseError
from yolox_pose.export.check import check_export
from yolox_pose.export.exporting import export_model
from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.export.options import FORMATS, ExportOptions
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork
from yolox_pose.models.loading import load_model
from yolox_pose.runtime import load

pytestmark = pytest.mark.slow


def needs(name):
    for package in FORMATS[name].modules:
        pytest.importorskip(package, reason=f"{package} is not installed")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {mode: write_model(folder, mode) for mode in ("pose", "detection", "joint")}


def export(files, folder, name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return export_model(*files, folder, ExportOptions(name, **options), pictures=pictures())


def same(first, second, pixels=0.05, score=1e-3):
    assert len(first) == len(second) > 0
    np.testing.assert_allclose(first.scores, second.scores, atol=score)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=pixels)
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=pixels)
    np.testing.assert_allclose(first.keypoint_scores, second.keypoint_scores, atol=score)


def agree(files, model, backends, **options):
    """The runtime finds in files and arrays what PyTorch does."""
    wanted = list(PoseInferencer(*files, device="cpu", score_thr=0.05)(pictures(), batch_size=1))
    for backend in backends:
        pytest.importorskip("cv2" if backend == "opencv" else backend, reason=f"{backend} is not installed")
        for batch_size in (1, 8):
            found = list(load(model, backend=backend, score_thr=0.05)(pictures(), batch_size=batch_size))
            assert [r.keypoint_classes for r in found] == [r.keypoint_classes for r in wanted]
            for one, other in zip(wanted, found):
                same(one, other, **options)


@pytest.mark.parametrize(
    ("mode", "name", "backends", "options"),
    [
        ("pose", "onnx", ("onnxruntime", "openvino", "opencv"), {}),
        ("joint", "onnx", ("onnxruntime", "openvino"), {"layout": "nms", "batch": None}),
        ("detection", "onnx", ("onnxruntime", "openvino", "opencv"), {"layout": "raw", "batch": 3}),
        ("joint", "openvino", ("openvino",), {}),
        ("pose", "ncnn", ("ncnn",), {}),
        ("detection", "ncnn", ("ncnn",), {"layout": "raw"}),
    ],
)
def test_exported_models_find_what_torch_finds(models, mode, name, backends, options, tmp_path):
    needs(name)
    done = export(models[mode], tmp_path / "out", name, **options)
    assert done.model.is_file() and done.description.check["matched"] == done.description.check["detections"] > 0
    agree(models[mode], done.model, backends)
    assert not list(done.model.parent.glob(".export-*")), "nothing is left behind"


def test_dynamic_sizes(models, tmp_path):
    needs("onnx")
    done = export(models["pose"], tmp_path, "onnx", dynamic=True, batch=None)
    agree(models["pose"], done.model, ("onnxruntime", "openvino"))
    model = load(done.model, size=(64, 160), score_thr=0.05)
    wanted = PoseInferencer(*models["pose"], device="cpu", score_thr=0.05)
    anew = load(done.model, score_thr=0.05)
    for expected, loaded, called in zip(
        wanted(pictures(), size=(64, 160)), model(pictures()), anew(pictures(), size=(64, 160))
    ):
        same(expected, loaded)
        same(expected, called)
    for size in (100, (64, 100)):
        with pytest.raises(UsageError, match="multiples of 32"):
            anew(pictures(), size=size)
    for size, words in (((64, 100), "multiples of 32"), ((0, 64), "multiples of 32")):
        with pytest.raises(UsageError, match=words):
            load(done.model, size=size)
    with pytest.raises(UsageError, match="dynamic size, which OpenCV cannot run"):
        load(done.model, backend="opencv")


@pytest.mark.parametrize(
    ("mode", "name", "backends"),
    [
        ("pose", "onnx", ("onnxruntime", "openvino", "opencv")),
        ("detection", "openvino", ("openvino",)),
        ("joint", "ncnn", ("ncnn",)),
    ],
)
def test_half_precision(mode, name, backends, tmp_path):
    needs(name)
    files = write_model(tmp_path, mode, calm=True)
    whole, half = (export(files, tmp_path / str(half), name, half=half) for half in (False, True))
    assert half.description.precision == "fp16" and half.description.check["share"] >= 0.99
    sizes = [sum(file.stat().st_size for file in done.files if file.suffix != ".json") for done in (whole, half)]
    assert sizes[1] < sizes[0] - sum(_halved_bytes(files)) / 2
    reference = TorchNetwork(*files, "cpu")
    for backend in backends:
        pytest.importorskip("cv2" if backend == "opencv" else backend, reason=f"{backend} is not installed")
        exported = ExportedNetwork.load(half.model, backend=backend)
        check_export(reference, exported, exported.preprocessing, pictures())


def _halved_bytes(files):
    """Bytes of the weights that float16 halves."""
    model = load_model(*files, "cpu")
    graph = RawGraph(model, half=True)
    return (4 * v.numel() // 2 for v in graph.parameters() if v.ndim == 4 and is_half(v.numpy()))


def test_half_precision_of_a_layer_that_ncnn_keeps_elsewhere():
    pytest.importorskip("pnnx", reason="pnnx is not installed")
    pytest.importorskip("ncnn", reason="ncnn is not installed")
    from yolox_pose.export.to_ncnn import store_half

    param = "7767517\n3 3\n{} c 1 1 a b 0=2 1=1 5=1 6=3\nMemoryData m 0 1 c 0=2 1=1\nSwish s 1 1 b d 0=1.5\n"
    flag, biases, priors = b"\0" * 4, np.float32([7, 8]).tobytes(), np.float32([1 / 3, 2]).tobytes()
    for values, size in (([1, 2, 3], 8), ([1, 2, 1 / 3], 12)):
        weights = flag + np.float32(values).tobytes() + biases + priors
        stored = store_half(param.format("Convolution"), weights)
        assert stored[:4] == (b"\x47\x6b\x30\x01" if size == 8 else flag)
        kind, count = ("<f2", 3) if size == 8 else ("<f4", 3)
        np.testing.assert_array_equal(np.frombuffer(stored, kind, count, 4), np.float32(values))
        assert stored[4 + size :] == biases + priors
    with pytest.raises(YOLOXPoseError, match="weights that --fp16 does not know"):
        store_half(param.format("InnerProduct"), weights)


def test_int8(models, tmp_path):
    needs("openvino")
    pytest.importorskip("nncf", reason="nncf is not installed")
    import cv2

    photos = tmp_path / "photos"
    photos.mkdir()
    for i, picture in enumerate(pictures(8)):
        cv2.imwrite(str(photos / f"{i}.png"), picture)
    done = export(write_model(tmp_path, calm=True), tmp_path / "out", "openvino", calibration=photos)
    assert done.description.precision == "int8" and "recovered" in done.description.check
    (found,) = load(done.model, score_thr=0.05)(pictures()[0])
    assert len(found) and np.isfinite(found.keypoints).all()
    (photos / "empty").mkdir()
    with pytest.raises(UsageError, match="has no image"):
        export(models["pose"], tmp_path / "out2", "openvino", calibration=photos / "empty")
    (photos / "empty" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="none of the 1 image to calibrate on could be read"):
        export(models["pose"], tmp_path / "out2", "openvino", calibration=photos / "empty")


def test_torchscript_and_the_files_beside_it(models, tmp_path):
    done = export(models["joint"], tmp_path, "torchscript")
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["keypoint_classes"] == [1] and content["skeleton"]["sigmas"] and content["versions"]["torch"]
    assert content["check"]["matched"] > 0 and set(content["files"]) == {"model.torchscript"}
    assert [file.name for file in done.files] == ["model.torchscript", "model.json"]
    with pytest.raises(
        UsageError, match=r"model\.torchscript exists already; choose another --out, or add --overwrite"
    ):
        export(models["joint"], tmp_path, "torchscript")


def test_files_for_tensorrt(models, tmp_path):
    needs("tensorrt")
    import onnx

    done = export(models["pose"], tmp_path, "tensorrt", layout="nms")
    assert {file.name for file in done.files} == {
        "model.onnx",
        "model-efficientnms.onnx",
        "model.json",
        "build_engine.py",
    }
    kinds = [node.op_type for node in onnx.load(tmp_path / "model-efficientnms.onnx").graph.node]
    assert kinds.count("EfficientNMS_ONNX_TRT") == 1 and "NonMaxSuppression" not in kinds
    agree(models["pose"], done.model, ("onnxruntime",))


def test_what_a_converter_cannot_do_is_one_line(models, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("operator aten::spiral is not known\nand many lines more")

    monkeypatch.setattr("yolox_pose.export.to_torchscript.write", fail)
    with pytest.raises(
        YOLOXPoseError, match="torchscript cannot hold this model: RuntimeError: operator aten::spiral"
    ) as error:
        export(models["pose"], tmp_path / "out", "torchscript")
    assert "\n" not in str(error.value) and not list((tmp_path / "out").iterdir())


def test_a_config_whose_size_no_network_takes(tmp_path):
    files = write_model(tmp_path, size=(100, 96))
    with pytest.raises(UsageError, match=r"96x100 px \(height x width\) is not a multiple of 32; pass --size H W"):
        export(files, tmp_path / "out", "torchscript")
    assert export(files, tmp_path / "out", "torchscript", size=(96, 128)).description.size == (96, 128)
