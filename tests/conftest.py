"""Fixtures of the whole suite: threads, seeded random numbers, and where real data are."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
"""Of torch; tests that run beside each other, and the commands that they start, have one each."""

if THREADS == 1:
    os.environ["OMP_NUM_THREADS"] = "1"

from yolox_pose import compat  # noqa: E402

compat.install()

import torch  # noqa: E402
from mmengine.logging import MessageHub, MMLogger  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

from tests.coco_folder import coco_folder  # noqa: E402, F401  (fixtures)

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "YOLOX_POSE_TEST_DATA"

torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_leftovers():
    """Forget the scope, logger and message hub of a runner: MMEngine keeps them for the whole process."""
    yield
    for manager in (DefaultScope, MessageHub, MMLogger):
        manager._instance_dict.clear()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout that the tests are in."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets and weights, which the repository may not ship."""
    folder = Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not at {folder} (set {DATA_VARIABLE} to their folder)")
    return folder
