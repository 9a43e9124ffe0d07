"""Every family of configs trains for two steps in two processes over gloo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.crowds import make_crowd

WORKER = Path(__file__).with_name("recipe_ddp_worker.py")
RECIPES = (
    "yolox-pose_nano_8xb32-300e_coco",
    "yolox-pose_nano_8xb32-300e_coco-improved",
    "yolox_nano_8xb8-300e_coco",
    "yolox_nano_8xb32-300e-rtmdet-hyp_coco",
    "yolox-joint_nano_8xb32-300e_coco",
    "yolox-joint_nano_1xb16-30e_custom-416",
    "yolox-pose_nano_1xb16-30e_custom-416",
    "yolox-pose_nano_1xb16-30e_custom-416+frozen",
    "yolox-pose_quickstart_160",
)
"""The smallest model of each family; the recipes for small data freeze layers of the backbone."""


@pytest.mark.slow
def test_every_recipe_takes_two_steps_in_two_processes(tmp_path):
    data = make_crowd(tmp_path / "data", train=4, val=1, size=(64, 64))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        [sys.executable, *torchrun, str(WORKER), str(data), str(tmp_path), *RECIPES],
        capture_output=True, text=True, timeout=600, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for recipe in RECIPES:
        first, second = (torch.load(tmp_path / f"{recipe}-{rank}.pt") for rank in range(2))
        assert torch.equal(first, second) and torch.isfinite(first).all(), recipe
