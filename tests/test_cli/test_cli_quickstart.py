"""The quickstart in small: every step runs, and a second run repeats none that is finished."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from yolox_pose.cli import run
from yolox_pose.cli.quickstart import build_parser, main

ROOT = Path(__file__).resolve().parents[2]


def quickstart(out, *options):
    command = [sys.executable, "tools/quickstart.py", "--out", str(out), "--train-images", "16", "--val-images", "4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_data_training_evaluation_and_pictures(tmp_path):
    out = tmp_path / "quick start"  # paths with spaces work
    first = quickstart(out, "--epochs", "1")
    assert first.returncode == 0, first.stderr[-3000:]
    summary = json.loads((out / "summary.json").read_text())
    photos = sorted(path.name for path in (out / "photos").glob("*.jpg"))
    assert photos == ["astronaut.jpg", "grace_hopper.jpg"]
    assert set(summary["seconds"]) == {"data", "training", "evaluation", "pictures", "photos"}
    assert 0 <= summary["metrics"]["coco/AP"] <= 1
    pictures = sorted((out / "pictures").glob("*.jpg"))
    assert len(pictures) == 4
    assert cv2.imread(str(pictures[0])).shape == (480, 480, 3)
    assert str(out / "pictures") in first.stdout
    trained = (out / "train" / "epoch_1.pth").stat().st_mtime_ns
    second = quickstart(out, "--epochs", "1")
    assert second.returncode == 0, second.stderr[-3000:]
    assert "kept" in second.stdout
    assert (out / "train" / "epoch_1.pth").stat().st_mtime_ns == trained


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, capfd):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    assert run(main, ["--out", str(tmp_path)]) == 1
    captured = capfd.readouterr()
    assert "step 'data' failed" in captured.err
    assert (tmp_path / "data" / "mine.txt").read_text() == "mine"


def test_help():
    assert "finished step is not repeated" in " ".join(build_parser().format_help().split())
