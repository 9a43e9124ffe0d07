"""``tools/test.py`` as users run it, on a small synthetic crowd with weights that find something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.crowds import data_options, make_crowd
from yolox_pose.cli import run
from yolox_pose.cli.test import build_parser, main
from yolox_pose.evaluation import evaluate_boxes, evaluate_keypoints

CONFIG = "configs/quickstart/yolox-pose_quickstart_160.py"
SMALL = ["test_dataloader.batch_size=2", "test_dataloader.dataset.input_size=96,96", "model.test_cfg.score_thr=0",
         "model.test_cfg.max_per_img=30"]  # fmt: skip


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return make_crowd(tmp_path_factory.mktemp("crowd") / "data", train=2, val=5)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    from yolox_pose.registry import MODELS  # isort: skip
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    torch.manual_seed(0)
    init_default_scope("yolox_pose")
    model = MODELS.build(Config.fromfile(Path(__file__).resolve().parents[2] / CONFIG).model)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save({"meta": {}, "state_dict": model.state_dict()}, path)
    return path


def evaluate(crowd, checkpoint, out, *arguments, options=(), launcher=()):
    """Run the tool in a process of its own."""
    root = Path(__file__).resolve().parents[2]
    command = [
        sys.executable, *launcher, "tools/test.py", CONFIG, str(checkpoint), "--out", str(out),
        "--work-dir", str(out.parent / "log"), *arguments, "--cfg-options", *data_options(crowd), *SMALL, *options,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def results(crowd, checkpoint, tmp_path_factory):
    """Folder of results, and what the tool printed."""
    out = tmp_path_factory.mktemp("results") / "out"
    done = evaluate(crowd, checkpoint, out, options=["test_evaluator.metric=keypoints,bbox"])
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


@pytest.mark.slow
def test_figures_and_predictions_belong_together(results, crowd):
    out, printed = results
    metrics, predictions, boxes = (read(out / f"{n}.json") for n in ("metrics", "predictions", "predictions_bbox"))
    annotations = crowd / "annotations" / "val.json"
    assert len(predictions) == len(boxes) > 20
    assert {p["image_id"] for p in predictions} <= {image["id"] for image in read(annotations)["images"]}
    again = {**evaluate_keypoints(annotations, predictions), **evaluate_boxes(annotations, boxes)}
    assert metrics == {f"coco/{name}": value for name, value in again.items()}
    assert f"coco/AP50         {metrics['coco/AP50']:6.4f}" in printed
    assert str(out / "metrics.json") in printed


@pytest.mark.slow
def test_results_are_replaced_only_on_demand(results, crowd, checkpoint):
    out, _ = results
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run(main, [CONFIG, str(checkpoint), "--out", str(out)]) == 2
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    done = evaluate(crowd, checkpoint, out, "--overwrite", options=["test_evaluator.metric=keypoints,bbox"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "metrics.json").stat().st_mtime_ns > before["metrics.json"]


@pytest.mark.slow
def test_two_processes_count_every_image_once(results, crowd, checkpoint, tmp_path):
    alone, _ = results
    port = 20000 + os.getpid() % 20000
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}")
    options = ["test_evaluator.metric=keypoints,bbox", "test_dataloader.batch_size=1"]
    done = evaluate(crowd, checkpoint, tmp_path / "two", "--launcher", "pytorch", "--device", "cpu",
                    options=options, launcher=launcher)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert read(tmp_path / "two" / "metrics.json") == pytest.approx(read(alone / "metrics.json"), abs=1e-6)
    assert len(read(tmp_path / "two" / "predictions.json")) == len(read(alone / "predictions.json"))
    assert done.stdout.count("coco/AP50  ") == 1


@pytest.mark.slow
def test_no_detection_is_a_figure(crowd, checkpoint, tmp_path):
    done = evaluate(crowd, checkpoint, tmp_path / "out", options=["model.test_cfg.score_thr=1"])
    assert done.returncode == 0, done.stderr[-3000:]
    assert read(tmp_path / "out" / "metrics.json")["coco/AP"] == 0
    assert read(tmp_path / "out" / "predictions.json") == []
    assert "no detections to evaluate" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.py", "{weights}"], 2, "config 'none.py'"),
        ([CONFIG, "none.pth"], 2, "checkpoint 'none.pth' does not exist"),
        ([CONFIG, "{weights}", "--out", "{weights}"], 2, "is not a folder"),
        ([CONFIG, "{weights}", "--cfg-options", "test_evaluator=None"], 2, "has no test_evaluator"),
        ([CONFIG, "{weights}", "--cfg-options", "nonsense"], 2, "'nonsense' is not of the form KEY=VALUE"),
        (
            [CONFIG, "{weights}", "--cfg-options", "{data}", "test_evaluator.ann_file=none.json"],
            1,
            "annotation file not found: none.json",
        ),
        ([CONFIG, "{weights}", "--cfg-options", "test_dataloader.dataset.ann_file=none.json"], 1, "none.json"),
    ],
)
def test_bad_input_is_one_line(crowd, checkpoint, repo_root, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(repo_root)
    filled = []
    for argument in arguments:
        filled += data_options(crowd) if argument == "{data}" else [argument.format(weights=checkpoint)]
    assert run(main, ["--work-dir", str(tmp_path), *filled]) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ") and message in last
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(checkpoint, repo_root, monkeypatch, capsys):
    monkeypatch.chdir(repo_root)
    assert run(main, [CONFIG, str(checkpoint), "--device", "cuda"]) == 2
    assert "torch finds no CUDA device" in capsys.readouterr().err


def test_help_names_every_option():
    text = build_parser().format_help()
    for option in ("--out", "--overwrite", "--launcher", "--device", "--cfg-options", "--seed", "--work-dir"):
        assert option in text
