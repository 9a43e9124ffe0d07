"""Configure the whole suite: threads, time limits, random seeds and the folder of real data."""

import os
import random
from pathlib import Path

import numpy as np
import pytest

THREADS = 1 if "PYTEST_XDIST_WORKER" in os.environ else 2
"""Threads of torch. Tests that run in parallel, and the commands that they start, use one each."""

os.environ["OMP_NUM_THREADS"] = str(THREADS)  # a set number stays: results do not depend on the load of the machine

from yolox_pose import compat  # noqa: E402

compat.install()

import torch  # noqa: E402
from mmengine.logging import MessageHub, MMLogger  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

from tests.coco_folder import coco_folder  # noqa: E402, F401  (fixtures)

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "YOLOX_POSE_TEST_DATA"

torch.set_num_threads(THREADS)


SLOW_TIMEOUT = 1800
"""Seconds that a slow test may take; ``timeout`` in pyproject.toml is the limit of the others."""


def pytest_collection_modifyitems(items):
    """Give slow tests more time before the suite stops them and prints the stacks of all threads."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@pytest.fixture(autouse=True)
def _seeds():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_leftovers():
    """Remove the scope, logger and message hub of a runner, which MMEngine keeps for the whole process."""
    yield
    for manager in (DefaultScope, MessageHub, MMLogger):
        manager._instance_dict.clear()


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Return the checkout that holds the tests."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets and weights, which the repository may not ship, or skip the test."""
    folder = Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set {DATA_VARIABLE} to their folder")
    return folder
