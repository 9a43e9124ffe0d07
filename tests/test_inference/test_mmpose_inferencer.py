"""MMPose's own ``MMPoseInferencer`` with a config and a checkpoint of this package."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tiny_models import write_checkpoint
from yolox_pose.datasets.coco import dataset_metainfo
from yolox_pose.inference import PoseInferencer
from yolox_pose.structures.skeleton import COCO_PERSON

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "quickstart" / "yolox-pose_quickstart_160.py"

SCRIPT = """
import sys
import yolox_pose.compat
yolox_pose.compat.install()
from mmpose.apis import MMPoseInferencer
config, weights, image, out = sys.argv[1:]
pose = MMPoseInferencer(pose2d=config, pose2d_weights=weights, device="cpu")
(result,) = pose(image, out_dir=out, bbox_thr=0.0)
print(len(result["predictions"][0]))
"""


@pytest.mark.slow
def test_finds_what_ours_finds_and_draws_it(tmp_path):
    """At the 160 px that stand at the data set, with the padding and channel order that the checkpoint says."""
    stored = {"preprocessing": {"centered": False, "channel_order": "rgb"}}
    metainfo = dataset_metainfo("coco", ("person",), COCO_PERSON) | stored
    checkpoint = write_checkpoint(CONFIG, tmp_path / "w.pth", metainfo)
    image = tmp_path / "photo.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8))
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(CONFIG), str(checkpoint), str(image), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'registry with scope "yolox_pose"' not in done.stdout + done.stderr  # MMEngine misses none
    found = json.loads((out / "predictions" / "photo.json").read_text())

    ours = next(iter(PoseInferencer(CONFIG, checkpoint, "cpu", score_thr=0.01)(str(image))))
    assert len(found) == len(ours) > 10
    order = np.argsort([-person["bbox_score"] for person in found], kind="stable")
    theirs = np.array([found[i]["keypoints"] for i in order])
    assert [found[i]["bbox_score"] for i in order] == pytest.approx(ours.scores.tolist(), abs=1e-4)
    near = np.abs(theirs - ours.keypoints).max((1, 2)) < 0.05
    assert near.mean() > 0.9  # equal scores may change places
    (drawn,) = (out / "visualizations").glob("*.png")
    assert cv2.imread(str(drawn)).shape == (90, 131, 3)
    assert np.abs(cv2.imread(str(drawn)).astype(int) - cv2.imread(str(image))).max() > 50
