"""Options that do not go together, and packages that are missing, are one line."""

from pathlib import Path

import pytest

from yolox_pose.errors import UsageError
from yolox_pose.export import options as module
from yolox_pose.export.options import FORMATS, ExportOptions, check_options
from yolox_pose.utils.dependencies import MissingDependencyError


@pytest.fixture(autouse=True)
def _everything_installed(monkeypatch):
    monkeypatch.setattr(module, "_is_installed", lambda name: True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (ExportOptions("caffe"), "unknown format 'caffe'; there are: onnx, openvino, ncnn, tensorrt, torchscript"),
        (ExportOptions("onnx", "cooked"), "unknown layout 'cooked'"),
        (ExportOptions("ncnn", "nms"), "ncnn has no operator for NMS; export with --decode or --raw"),
        (ExportOptions("torchscript", "nms"), "no operator for NMS"),
        (ExportOptions("ncnn", batch=None), "ncnn takes one image of a fixed size"),
        (ExportOptions("torchscript", dynamic=True), "torchscript takes one image of a fixed size"),
        (ExportOptions("onnx", batch=0), "--batch must be at least 1"),
        (ExportOptions("onnx", size=(400, 640)), "multiples of 32, such as 384 640|multiples of 32, such as 416 640"),
        (ExportOptions("onnx", size=(0, 640)), "multiples of 32, such as 32 640"),
        (ExportOptions("onnx", calibration=Path("x")), "--int8 is for openvino"),
        (ExportOptions("openvino", half=True, calibration=Path("x")), "not both"),
        (ExportOptions("torchscript", half=True), "not for torchscript"),
        (ExportOptions("tensorrt", half=True), r"build_engine\.py model\.onnx --fp16"),
    ],
)
def test_options_that_do_not_go_together(options, words):
    with pytest.raises(UsageError, match=words) as error:
        check_options(options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FORMATS)
def test_missing_packages_are_named_with_the_command_that_installs_them(name, monkeypatch):
    assert check_options(ExportOptions(name)).layout == "decode"
    monkeypatch.setattr(module, "_is_installed", lambda module_name: False)
    if not FORMATS[name].modules:
        assert check_options(ExportOptions(name)).layout == "decode"
        return
    with pytest.raises(MissingDependencyError, match=f"pip install {' '.join(FORMATS[name].modules)}$") as error:
        check_options(ExportOptions(name))
    assert "\n" not in str(error.value) and FORMATS[name].modules[0] in str(error.value)


def test_int8_needs_nncf(monkeypatch):
    monkeypatch.setattr(module, "_is_installed", lambda name: name != "nncf")
    with pytest.raises(MissingDependencyError, match=r"nncf is missing.*pip install nncf$"):
        check_options(ExportOptions("openvino", calibration=Path("x")))
