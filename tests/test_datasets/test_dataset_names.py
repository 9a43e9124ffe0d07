"""Names that ``yolox_pose.datasets`` offers, and registered classes, are there without importing the package's modules first."""

import subprocess
import sys

import pytest

import yolox_pose.datasets


def test_every_name_resolves():
    for name in yolox_pose.datasets.__all__:
        assert getattr(yolox_pose.datasets, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        yolox_pose.datasets.no_such_name  # noqa: B018


def test_the_registries_find_the_classes_by_themselves(repo_root):
    code = (
        "from yolox_pose.registry import DATASETS, DATA_SAMPLERS, TRANSFORMS\n"
        "for registry, name in ((TRANSFORMS, 'YOLOXPoseMosaic'), (DATASETS, 'CocoPoseDataset'), (DATA_SAMPLERS, 'EpochSampler')):\n"
        "    assert registry.get(f'yolox_pose.{name}').__name__ == name\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
