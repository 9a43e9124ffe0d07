"""Plain detection as users run it: train, test, evaluate and draw, in processes of their own, on real images."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yolox_pose.structures.classes import COCO_CLASSES, default_category_ids

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/yolox/yolox_nano_8xb8-300e_coco.py"
ALONE = ["num_workers=0", "persistent_workers=False", "pin_memory=False"]

pytestmark = pytest.mark.slow


def call(*command, cwd=ROOT):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def data_options(folder, *splits):
    """``KEY=VALUE`` options for a folder laid out like COCO's."""
    options = []
    for split in splits:
        options += [f"{split}_dataloader.{setting}" for setting in ALONE]
        options.append(f"{split}_dataloader.dataset.data_root={folder}")
        if split != "train":
            options.append(f"{split}_evaluator.ann_file={folder / 'annotations' / 'instances_val2017.json'}")
    return options


@pytest.fixture(scope="module")
def weights(shared_data):
    return shared_data / "weights" / "yolox_nano_coco_mmdet.pth"


@pytest.fixture(scope="module")
def trained(shared_data, tmp_path_factory):
    """Work dir and output of two epochs from scratch, the second one plain."""
    work_dir = tmp_path_factory.mktemp("detection") / "work"
    printed = call(
        "tools/train.py", CONFIG, "--work-dir", work_dir, "--cfg-options",
        *data_options(shared_data / "coco_ci32", "train", "val"), "train_cfg.max_epochs=2", "train_cfg.val_interval=1",
        "train_cfg.dynamic_intervals=None", "default_hooks.training_phase.num_last_epochs=1", "param_scheduler.0.end=1",
        "train_dataloader.dataset.input_size=128,128", "model.data_preprocessor.random_size=96,160",
        "val_dataloader.dataset.input_size=128,128", "default_hooks.checkpoint.interval=1",
    )  # fmt: skip
    return work_dir, printed


def test_a_detector_trains_and_its_box_ap_chooses_the_best(trained):
    work_dir, printed = trained
    scalars = sorted(work_dir.rglob("scalars.json"))[0].read_text().splitlines()
    records = [json.loads(line) for line in scalars]
    losses = [record for record in records if "loss" in record]
    assert {key for record in losses for key in record if key.startswith("loss")} == {
        "loss", "loss_obj", "loss_cls", "loss_bbox", "loss_bbox_l1",
    }  # fmt: skip
    assert sum("coco/bbox_mAP" in record for record in records) == 2 and not any("coco/AP" in r for r in records)
    assert "Epoch 2: last phase" in printed
    assert len(list(work_dir.glob("best_coco_bbox_mAP_epoch_*.pth"))) == 1


def test_the_checkpoint_knows_its_classes_and_padding(trained):
    import torch

    meta = torch.load(trained[0] / "epoch_2.pth", weights_only=False)["meta"]["dataset_meta"]
    assert tuple(meta["classes"]) == COCO_CLASSES and meta["preprocessing"]["centered"] is False


def test_published_weights_have_their_box_ap(shared_data, weights, tmp_path):
    """0.278 was measured with onnxruntime on the same images, at the same threshold."""
    folder, out = shared_data / "coco_mini", tmp_path / "out"
    printed = call(
        "tools/test.py", CONFIG, weights, "--out", out, "--work-dir", tmp_path / "log", "--cfg-options",
        *data_options(folder, "test"), "model.test_cfg.score_thr=0.001",
    )  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["coco/bbox_mAP"] == pytest.approx(0.278, abs=0.002)
    assert metrics["coco/bbox_mAP_50"] == pytest.approx(0.437, abs=0.002)
    assert f"coco/bbox_mAP     {metrics['coco/bbox_mAP']:.4f}" in printed
    again = call(
        "tools/evaluate.py", folder / "annotations" / "instances_val2017.json", out / "predictions.json", "--json",
        tmp_path / "again.json",
    )  # fmt: skip
    assert "206 images" in again
    assert json.loads((tmp_path / "again.json").read_text()) == metrics


def test_the_demo_draws_boxes_and_writes_cocos_category_ids(shared_data, weights, tmp_path):
    picture = shared_data / "coco_mini" / "val2017" / "000000000139.jpg"
    printed = call(
        "demo/demo.py", picture, "--config", CONFIG, "--checkpoint", weights, "--out", tmp_path, "--json",
        tmp_path / "found.json",
    )  # fmt: skip
    assert "objects" in printed and (tmp_path / picture.name).stat().st_size > 10_000
    found = json.loads((tmp_path / "found.json").read_text())
    names = dict(zip(default_category_ids(COCO_CLASSES), COCO_CLASSES))
    assert {names[entry["category_id"]] for entry in found} >= {"tv", "person", "chair"}
    assert all(set(entry) == {"image_id", "category_id", "bbox", "score"} for entry in found)
