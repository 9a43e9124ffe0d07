"""What can go wrong with ``export`` and ``predict --model`` is one clear line each."""

import json

import numpy as np
import pytest

from yolox_pose.cli import run
from yolox_pose.cli.export import main as export
from yolox_pose.cli.predict import main as predict
from yolox_pose.export import options

PICTURE = np.zeros((32, 48, 3), np.uint8)


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(options, "_is_installed", lambda name: True)


def refused(capsys, main, *arguments):
    """The one line of stderr of a command that is refused."""
    assert run(main, [str(argument) for argument in arguments]) not in (0, None)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "caffe"], "unknown format 'caffe'; there are: onnx, openvino, ncnn, tensorrt, torchscript"),
        (["--format", "ncnn", "--nms"], "ncnn has no operator for NMS; export with --decode or --raw"),
        (["--format", "onnx", "--size", "100", "96"], "multiples of 32, such as 96 96"),
        (["--format", "onnx", "--batch", "many"], "--batch must be at least 1 or 'dynamic'"),
        (["--format", "openvino", "--int8"], "--int8 and --calibrate DIR go together"),
        (["--format", "tensorrt", "--fp16"], "python build_engine.py model.onnx --fp16"),
    ],
)
def test_options_of_export(arguments, words, everything_installed, tmp_path, capsys):
    assert words in refused(capsys, export, tmp_path / "c.py", tmp_path / "w.pth", *arguments)


def test_a_missing_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(options, "_is_installed", lambda name: False)
    line = refused(capsys, export, tmp_path / "c.py", tmp_path / "w.pth", "--format", "openvino")
    assert line.endswith("install it with: pip install onnx onnxscript openvino")


def test_folders_without_images_to_calibrate_on(everything_installed, tmp_path, capsys):
    checkpoint, images = tmp_path / "w.pth", tmp_path / "images"
    checkpoint.write_bytes(b"")
    arguments = [tmp_path / "c.py", checkpoint, "--format", "openvino", "--int8", "--calibrate", images]
    assert f"{images} does not exist" in refused(capsys, export, *arguments)
    images.mkdir()
    assert "has no image" in refused(capsys, export, *arguments)
    assert not (tmp_path / "exported").exists()


def test_models_that_predict_cannot_use(tmp_path, capsys):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    import cv2

    from tests.test_inference.handmade_model import write_handmade

    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), PICTURE)

    def line(model):
        return refused(capsys, predict, picture, "--model", model, "--out", tmp_path / "out")

    model = write_handmade(tmp_path / "model")
    assert line(tmp_path / "nothing.onnx").endswith("nothing.onnx does not exist")
    description = model.with_name("model.json")
    content = json.loads(description.read_text())
    description.unlink()
    assert "has no model.json beside it" in line(model)
    description.write_text(json.dumps({**content, "files": {"model.onnx": "0" * 64}}))
    assert "describes another model than" in line(model)
    description.write_text(json.dumps({key: value for key, value in content.items() if key != "size"}))
    assert line(model).endswith("model.json has no 'size'")
    description.write_text(json.dumps({**content, "size": [32, 32]}))  # the model takes 64x96 px
    assert "takes images of shape (1, 3, 64, 96), but its description says (1, 3, 32, 32)" in line(model)
