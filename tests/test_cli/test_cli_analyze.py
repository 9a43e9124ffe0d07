"""``yolox-pose analyze``: figures of models against published ones and layers counted by hand; curves of trainings."""

import json
import subprocess
import sys

import pytest
import torch

from yolox_pose.cli import run
from yolox_pose.cli.analyze import main

PUBLISHED_POSE = {
    "tiny": (416, 6.05, 4.40),
    "s": (640, 10.73, 18.34),
    "m": (640, 29.30, 47.99),
    "l": (640, 61.27, 97.60),
}
"""Input, parameters (M), GMACs of mmpose's models, counted by MMEngine."""
PUBLISHED_BOXES = {
    "nano": (416, 0.91, 1.08, 0.04),
    "tiny": (416, 5.06, 6.45, 0.01),
    "s": (640, 9.0, 26.8, 0.01),
    "m": (640, 25.3, 73.8, 0.01),
    "l": (640, 54.2, 155.6, 0.01),
    "x": (640, 99.1, 281.9, 0.01),
    "darknet53": (640, 63.7, 185.3, 0.01),
}
"""Input, parameters (M), GFLOPs of Megvii's README, and how far ours may be: theirs count batch norm too, which is more of
a depthwise network."""


@pytest.fixture
def figures(tmp_path):
    def analyze(config, *arguments):
        assert run(main, ["model", config, "--json", str(tmp_path / "out.json"), "--overwrite", *arguments]) == 0
        return json.loads((tmp_path / "out.json").read_text())

    return analyze


@pytest.mark.parametrize("size", PUBLISHED_POSE)
def test_pose_models_are_as_published(figures, size):
    side, parameters, macs = PUBLISHED_POSE[size]
    found = figures(f"yolox-pose_{size}_8xb32-300e_coco")
    assert found["input"] == [side, side]
    assert round(found["parameters"] / 1e6, 2) == parameters
    assert found["macs"] / 1e9 == pytest.approx(macs, rel=0.01) and found["flops"] == 2 * found["macs"]
    assert [part["name"] for part in found["parts"]] == [
        "backbone", "neck", "head: class branch", "head: box and objectness branch", "head: keypoint branch",
    ]  # fmt: skip


@pytest.mark.parametrize("size", PUBLISHED_BOXES)
def test_detectors_are_as_published(figures, size):
    side, parameters, flops, tolerance = PUBLISHED_BOXES[size]
    found = figures(f"yolox_{size}_8xb8-300e_coco")
    assert found["input"] == [side, side]
    assert found["parameters"] / 1e6 == pytest.approx(parameters, rel=0.004)
    assert found["flops"] / 1e9 == pytest.approx(flops, rel=tolerance)
    assert not any("keypoint" in part["name"] for part in found["parts"])
    for name in ("parameters", "macs"):
        assert sum(part[name] for part in found["parts"]) == found[name]


def test_operations_by_hand(figures, tmp_path):
    """The box branch of a head of one 1x1 output layer each: out_bbox and out_obj on 4 x 6, 2 x 3 and 1 x 2 cells."""
    found = figures(
        "yolox_nano_8xb8-300e_coco", "--size", "32", "64", "--cfg-options", "model.head.head_module.stacked_convs=0"
    )
    parts = {part["name"]: part for part in found["parts"]}
    cells = 4 * 8 + 2 * 4 + 1 * 2
    assert parts["head: box and objectness branch"] == {
        "name": "head: box and objectness branch", "parameters": 3 * 5 * (64 + 1), "macs": 64 * 5 * cells,
    }  # fmt: skip
    assert parts["head: class branch"]["macs"] == 64 * 80 * cells


def test_four_times_the_area_is_four_times_the_work(figures):
    small, large = (figures("yolox_nano_8xb8-300e_coco", "--size", str(n), str(n)) for n in (224, 448))
    assert large["macs"] == 4 * small["macs"] and large["parameters"] == small["parameters"]


def test_a_model_without_our_head_has_one_part_for_it():
    from yolox_pose.models.complexity import _macs

    head = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Conv2d(1, 1, 1), torch.nn.Conv2d(1, 1, 1)])})
    counted = {"head.layers.0": 3, "head.layers.1": 4}
    assert _macs(counted, "head", head) == 7 and _macs({**counted, "head": 9}, "head", head) == 9


def test_printed_table(capsys):
    assert run(main, ["model", "yolox_nano_8xb8-300e_coco", "--size", "320", "416"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "yolox_nano_8xb8-300e_coco, one image of 320 x 416 (height x width)"
    assert lines[1].split() == ["part", "parameters", "(M)", "GMACs", "GFLOPs"]
    assert lines[-2].split() == ["total", "0.912", "100.0", "%", "0.402", "100.0", "%", "0.804"]
    assert "published FLOPs are twice that" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-config"], "is neither a file nor a config of this package"),
        (["yolox_nano_8xb8-300e_coco", "--size", "400", "416"], "positive multiples of 32, not 400 x 416"),
        (["yolox_nano_8xb8-300e_coco", "--size", "0", "416"], "positive multiples of 32, not 0 x 416"),
        (["configs/_base_/yolox_s.py"], "give it as --size H W"),
        (["configs/_base_/default_runtime.py"], "has no 'model'"),
        (["yolox_nano_8xb8-300e_coco", "--cfg-options", "nonsense"], "'nonsense' is not of the form KEY=VALUE"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, repo_root, monkeypatch):
    monkeypatch.chdir(repo_root)
    assert run(main, ["model", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and error[-1].startswith("error: ")


def test_a_file_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "out.json").write_text("mine")
    assert run(main, ["model", "yolox_nano_8xb8-300e_coco", "--json", str(tmp_path / "out.json")]) == 2
    assert (tmp_path / "out.json").read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.slow
def test_the_tool_as_users_run_it(repo_root):
    command = [sys.executable, "tools/analyze.py", "model", "configs/yolox/yolox_nano_8xb8-300e_coco.py"]
    done = subprocess.run(command, cwd=repo_root, capture_output=True, text=True)
    assert done.returncode == 0 and "total" in done.stdout, done.stderr
    assert subprocess.run(command[:2], cwd=repo_root, capture_output=True).returncode == 2


def test_curves_of_a_work_dir(tmp_path, capsys):
    folder = tmp_path / "run" / "20260101_000000" / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text('{"loss": 2.0, "lr": 0.1, "iter": 10, "epoch": 1, "step": 10}\n')
    out = tmp_path / "both.png"
    assert run(main, ["curves", str(tmp_path / "run"), str(tmp_path / "run"), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert run(main, ["curves", str(tmp_path / "run")]) == 0 and (tmp_path / "run" / "curves.png").is_file()
    capsys.readouterr()
    for arguments, code, message in (
        (["--out", str(out)], 2, "both.png exists; name another file or give --overwrite"),
        (["--out", "a.jpg"], 2, "ends in .png"),
        ([str(tmp_path)], 1, "holds no training log"),
    ):
        assert run(main, ["curves", str(tmp_path / "run"), *arguments]) == code
        assert message in capsys.readouterr().err
