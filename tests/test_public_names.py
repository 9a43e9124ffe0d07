"""``import yolox_pose``, the names that it offers, and their types in an editor."""

import importlib
import os
import re
import subprocess
import sys

import pytest

import yolox_pose

LIGHT = ("yolox_pose", "yolox_pose.inference")


@pytest.mark.parametrize("name", LIGHT)
def test_every_public_name_resolves(name):
    package = importlib.import_module(name)
    for public in package.__all__:
        assert getattr(package, public) is not None


def test_public_names_are_listed():
    assert set(yolox_pose.__all__) <= set(dir(yolox_pose))


@pytest.mark.parametrize("name", LIGHT)
def test_a_wrong_name_is_an_attribute_error(name):
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(name).no_such_name  # noqa: B018


def test_version_is_a_version():
    assert yolox_pose.__version__ == importlib.import_module("yolox_pose.version").__version__
    assert yolox_pose.__version__.count(".") == 2


SNIPPET = """
from yolox_pose import CrowdOptions, PoseInferencer, PoseResult, UsageError, get_skeleton
from yolox_pose.datasets import EpochSampler
from yolox_pose.evaluation import CocoPoseMetric
from yolox_pose.runtime import load

reveal_type(PoseInferencer("config.py", "weights.pth"))
reveal_type(next(PoseInferencer()("photo.jpg")).plot)
reveal_type(load("model.onnx"))
reveal_type(get_skeleton("coco"))
reveal_type(CrowdOptions)
reveal_type(UsageError)
reveal_type(EpochSampler)
reveal_type(CocoPoseMetric)
"""
MYPY_CONFIG = """
[mypy]
follow_imports = silent
ignore_missing_imports = True
[mypy-torch.*,mmengine.*,mmcv.*,mmdet.*,mmpose.*,numpy.*,cv2.*,scipy.*,matplotlib.*]
follow_imports = skip
follow_imports_for_stubs = True
"""


@pytest.mark.slow
def test_an_editor_sees_the_types_of_lazy_names(tmp_path, repo_root):
    pytest.importorskip("mypy", reason="mypy is not installed")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    (tmp_path / "mypy.ini").write_text(MYPY_CONFIG)
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", "snippet.py"]
    environment = {**os.environ, "MYPYPATH": str(repo_root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    types = re.findall(r'Revealed type is "(.*)"', done.stdout.replace("builtins.", ""))
    assert done.returncode == 0, done.stdout + done.stderr
    assert types[0] == types[2] == "yolox_pose.inference.inferencer.PoseInferencer"
    assert "kpt_thr: float" in types[1] and "zoom: float" in types[1]
    assert types[3] == "yolox_pose.structures.skeleton.Skeleton"
    for revealed, name in zip(types[4:], ("CrowdOptions", "UsageError", "EpochSampler", "CocoPoseMetric"), strict=True):
        assert revealed.startswith("def ") and revealed.endswith(f".{name}")
