"""``tools/export.py`` as users run it, and ``yolox-pose predict --model`` on what it wrote."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.tiny_models import write_checkpoint, write_config
from yolox_pose.cli import run
from yolox_pose.cli.export import FORMATS as NAMED
from yolox_pose.cli.export import build_parser, main, read_options
from yolox_pose.cli.predict import main as predict
from yolox_pose.export.options import FORMATS


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "caffe"], "unknown format 'caffe'"),
        (["--format", "openvino", "--int8"], "--int8 and --calibrate DIR go together"),
        (["--format", "onnx", "--calibrate", "x"], "go together"),
        (["--format", "onnx", "--batch", "many"], "--batch must be at least 1 or 'dynamic'"),
        (["--format", "onnx", "--size", "33", "64"], "multiples of 32"),
        (["--format", "torchscript"], "checkpoint 'w.pth' does not exist"),
    ],
)
def test_wrong_calls_are_one_line(options, words, capsys):
    assert run(main, ["config.py", "w.pth", *options]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_options_of_the_command():
    args = build_parser().parse_args(
        ["c", "w", "--format", "onnx", "--nms", "--dynamic", "--batch", "dynamic", "--fp16"]
    )
    options = read_options(args)
    assert (options.layout, options.dynamic, options.batch, options.half) == ("nms", True, None, True)
    args = build_parser().parse_args(
        ["c", "w", "--format", "openvino", "--raw", "--size", "384", "640", "--int8", "--calibrate", "d"]
    )
    options = read_options(args)
    assert (options.layout, options.size, options.batch, options.precision) == ("raw", (384, 640), 1, "int8")
    assert tuple(FORMATS) == NAMED, "the help names every format"


def test_predict_takes_a_config_or_a_model(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    for options in (["--config", "c.py"], ["--model", "m.onnx", "--checkpoint", "w.pth"]):
        assert run(predict, [str(tmp_path / "a.png"), *options]) == 2
        assert "--config C" in capsys.readouterr().err
    (tmp_path / "w.pth").write_bytes(b"")
    options = ["--config", "c.py", "--checkpoint", str(tmp_path / "w.pth"), "--backend", "opencv"]
    assert run(predict, [str(tmp_path / "a.png"), *options]) == 2
    assert "--backend is for an exported --model" in capsys.readouterr().err
    assert run(predict, [str(tmp_path / "a.png"), "--model", "m.onnx", "--out", str(tmp_path / "out")]) == 2
    assert "m.onnx does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_export_then_predict(repo_root, tmp_path):
    for package in FORMATS["onnx"].modules:
        pytest.importorskip(package, reason=f"{package} is not installed")
    config = write_config(tmp_path)
    checkpoint = write_checkpoint(config, tmp_path / "w.pth")
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (121, 91), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "7.png"), photo)

    def call(*arguments):
        command = [sys.executable, *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo_root)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)

    options = ("--format", "onnx", "--nms", "--check", "7.png", "--out", "exported")
    done = call(repo_root / "tools" / "export.py", config, checkpoint, *options)
    assert done.returncode == 0, done.stderr
    assert "detections of torch on 1 image" in done.stdout and "exported/model.json" in done.stdout
    done = call("-m", "yolox_pose.cli.main", "predict", "7.png", "--model", "exported/model.onnx", "--json", "r.json")
    assert done.returncode == 0, done.stderr
    assert "1 image" in done.stdout and (tmp_path / "r.json").is_file()
    done = call(repo_root / "tools" / "export.py", config, checkpoint, *options)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "exists already" in done.stderr
