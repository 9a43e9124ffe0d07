"""The joint mode as users run it: check, train, evaluate, predict, on real images with both annotation files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_models import write_checkpoint, write_config
from yolox_pose.cli import run
from yolox_pose.cli.dataset import main as dataset
from yolox_pose.evaluation import evaluate_boxes, evaluate_keypoints
from yolox_pose.inference import PoseInferencer

CONFIG = "yolox-joint_nano_1xb16-30e_custom-416"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images(shared_data):
    return shared_data / "coco_ci32"


def ann_file(images, kind, split="val"):
    return images / "annotations" / f"{kind}_{split}2017.json"


def data_options(images):
    options = []
    for loader, split in (("train", "train"), ("val", "val"), ("test", "val")):
        name = f"{loader}_dataloader"
        options += [
            f"{name}.dataset.data_root={images}",
            f"{name}.dataset.ann_file=annotations/instances_{split}2017.json",
            f"{name}.dataset.keypoint_file=annotations/person_keypoints_{split}2017.json",
            f"{name}.dataset.data_prefix.img={split}2017/",
            f"{name}.dataset.input_size=128,128",
            f"{name}.num_workers=0",
            f"{name}.persistent_workers=False",
        ]
    for name in ("val_evaluator", "test_evaluator"):
        options += [
            f"{name}.ann_file={ann_file(images, 'instances')}",
            f"{name}.keypoint_ann_file={ann_file(images, 'person_keypoints')}",
        ]
    return options


def tool(name, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / name), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    """Work dir of an epoch of the fine-tuning config from a detector's weights, and the log."""
    folder = tmp_path_factory.mktemp("joint")
    changes = ["train_cfg.max_epochs=1", "train_cfg.val_interval=1", "train_dataloader.batch_size=8"]
    weights = images.parent / "weights" / "yolox_nano_coco_mmdet.pth"
    start = ("--work-dir", folder, "--load-from", weights, "--cfg-options")
    done = tool("tools/train.py", CONFIG, *start, *data_options(images), *changes)
    return folder, done.stdout + done.stderr


@pytest.mark.slow
def test_training_reports_the_merge_and_evaluates_both(trained):
    folder, log = trained
    assert "132 keypoint lists matched by annotation id" in log
    scalars = [json.loads(line) for line in next(folder.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    assert {"coco/AP", "coco/bbox_mAP"} <= set(scalars[-1])


@pytest.mark.slow
def test_fewer_classes(images, tmp_path):
    changes = ["model.head.num_classes=2", "model.head.keypoint_classes=0,", "train_cfg.max_epochs=1"]
    changes += ["train_cfg.val_interval=1", "train_dataloader.batch_size=8"]
    for loader in ("train", "val", "test"):
        dataset = f"{loader}_dataloader.dataset"
        changes += [f"{dataset}.classes=person,chair", f"{dataset}.other_categories=ignore"]
    done = tool("tools/train.py", CONFIG, "--work-dir", tmp_path, "--cfg-options", *data_options(images), *changes)
    assert "132 keypoint lists matched by annotation id" in done.stdout + done.stderr
    assert (tmp_path / "epoch_1.pth").is_file()


@pytest.mark.slow
def test_evaluation_prints_both_figures_and_writes_both_files(trained, images, tmp_path):
    out = tmp_path / "results"
    checkpoint = trained[0] / "epoch_1.pth"
    arguments = (CONFIG, checkpoint, "--out", out, "--work-dir", tmp_path / "log", "--cfg-options")
    done = tool("tools/test.py", *arguments, *data_options(images))
    assert "coco/AP  " in done.stdout and "coco/bbox_mAP  " in done.stdout
    metrics, poses, boxes = (
        json.loads((out / f"{name}.json").read_text()) for name in ("metrics", "predictions", "predictions_bbox")
    )
    assert len(boxes) > len(poses) > 0 and {r["category_id"] for r in poses} == {1}
    again = {
        **evaluate_keypoints(ann_file(images, "person_keypoints"), poses),
        **evaluate_boxes(ann_file(images, "instances"), boxes),
    }
    assert metrics == {f"coco/{name}": value for name, value in again.items()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Config and checkpoint of a tiny model of three classes, of which the second one has keypoints."""
    folder = tmp_path_factory.mktemp("model")
    config = write_config(folder, num_classes=3, keypoint_classes=(1,))
    meta = {"classes": ["dog", "person", "cup"], "keypoint_classes": ["person"]}
    return config, write_checkpoint(config, folder / "tiny.pth", meta)


def test_inference_has_keypoints_for_people_alone(model, images):
    pose = PoseInferencer(*model, device="cpu", score_thr=0.05)
    assert pose.classes == ("dog", "person", "cup") and pose.keypoint_classes == (1,)
    results = list(pose(images / "val2017"))
    labels = {int(label) for result in results for label in result.labels}
    assert len(results) == 16 and 1 in labels and len(labels) > 1
    for result in results:
        assert result.has_keypoints.tolist() == (result.labels == 1).tolist()
        assert (result.keypoint_scores.any(axis=1) == result.has_keypoints).all()
        assert not result.keypoints[~result.has_keypoints].any()


@pytest.mark.slow
def test_json_of_predict(model, images, tmp_path):
    config, checkpoint = model
    done = tool(
        "demo/demo.py", images / "val2017", "--config", config, "--checkpoint", checkpoint, "--score-thr", "0.05",
        "--out", tmp_path / "drawn", "--json", tmp_path / "results.json", "--device", "cpu",
    )  # fmt: skip
    entries = json.loads((tmp_path / "results.json").read_text())
    assert f"16 images, {len(entries)} objects" in done.stdout
    assert {"keypoints" in entry for entry in entries} == {True, False}
    assert all("bbox" in entry and ("keypoints" in entry) == (entry["category_id"] == 2) for entry in entries)


def check(images, *options):
    return run(dataset, ["check", str(ann_file(images, "instances")), *map(str, options)])


def test_check_merges_and_reports(images, capsys):
    people = ann_file(images, "person_keypoints")
    assert check(images, "--images", images / "val2017", "--keypoint-file", people) == 0
    accepted, verdict = capsys.readouterr().out.splitlines()
    assert accepted.endswith("accepted: 1 box clipped, 89 keypoint lists matched by annotation id")
    assert verdict.endswith("16 images, 205 usable instances, 17 keypoints: no problems; image files exist")


def test_check_names_the_file_of_a_problem(images, tmp_path, capsys):
    content = json.loads(ann_file(images, "person_keypoints").read_text())
    content["annotations"][0]["keypoints"][2] = 5
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content))
    assert check(images, "--keypoint-file", path) == 1
    assert "bad.json: annotation" in capsys.readouterr().out.splitlines()[0]
    assert check(images, "--keypoint-file", tmp_path / "none.json") == 2
    assert "keypoint file" in capsys.readouterr().err
    assert check(images, "--keypoint-file", ann_file(images, "instances")) == 2
    assert "has no keypoints" in capsys.readouterr().err


def test_statistics_and_pictures_take_both_files(images, tmp_path, capsys):
    both = [str(ann_file(images, "instances")), "--keypoint-file", str(ann_file(images, "person_keypoints"))]
    assert run(dataset, ["stats", *both]) == 0
    assert "with keypoints               60" in capsys.readouterr().out
    pictures = ["browse", *both, "--images", str(images / "val2017"), "--number", "2", "--out", str(tmp_path / "drawn")]
    assert run(dataset, pictures) == 0
    assert len(list((tmp_path / "drawn").iterdir())) == 2
