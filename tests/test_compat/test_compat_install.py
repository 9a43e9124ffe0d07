"""Gaps are filled where something is missing or broken, and nothing is touched where the real thing works."""

import os
import subprocess
import sys
import textwrap
from importlib import metadata

import pytest

from yolox_pose import compat


def run_python(code, *folders, check=True):
    """Run ``code`` in a new interpreter that finds modules in ``folders`` first."""
    path = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if check:
        assert result.returncode == 0, result.stderr
    return result


def has_setuptools_with_pkg_resources():
    return int(metadata.version("setuptools").split(".")[0]) < 82


def test_install_is_idempotent():
    from mmengine.model import MMDistributedDataParallel
    from mmengine.runner.checkpoint import CheckpointLoader

    before = MMDistributedDataParallel.__init__, CheckpointLoader.__dict__["load_checkpoint"]
    assert compat.install() is compat.install()
    assert (MMDistributedDataParallel.__init__, CheckpointLoader.__dict__["load_checkpoint"]) == before


def test_the_report_agrees_with_the_environment():
    report = compat.install()
    assert (report["pkg_resources"] == "found") == has_setuptools_with_pkg_resources()
    assert (report["pkgutil_find_loader"] == "found") == (sys.version_info < (3, 14))

    import xtcocotools.coco

    stand_in = xtcocotools.coco.COCO.__module__ == "yolox_pose.compat.xtcocotools"
    assert (report["xtcocotools"] == "found") == (not stand_in)


@pytest.mark.slow
def test_every_module_that_registers_classes_imports(repo_root):
    run_python(
        """
        from yolox_pose import compat
        compat.install()
        import mmpose.models, mmpose.datasets, mmpose.evaluation, mmpose.visualization, mmpose.engine, mmdet.models
        """,
        repo_root,
    )


@pytest.mark.slow
def test_real_packages_are_left_alone(repo_root, tmp_path):
    (tmp_path / "pkg_resources.py").write_text("real = True")
    for package, modules in {"torchvision": ["transforms"], "xtcocotools": ["coco", "cocoeval", "mask"]}.items():
        (tmp_path / package).mkdir()
        for module in ["__init__", *modules]:
            (tmp_path / package / f"{module}.py").write_text("real = True")
    (tmp_path / "_ext.py").write_text("real = True")
    run_python(
        f"""
        import mmcv
        mmcv.__path__.append({str(tmp_path)!r})
        from yolox_pose import compat
        report = compat.install()
        import mmcv._ext, pkg_resources, torchvision.transforms, xtcocotools.coco, xtcocotools.mask
        for module in (mmcv._ext, pkg_resources, torchvision.transforms, xtcocotools.coco, xtcocotools.mask):
            assert module.real, module
        gaps = ("mmcv._ext", "pkg_resources", "torchvision", "xtcocotools")
        assert {{report[gap] for gap in gaps}} == {{"found"}}, report
        """,
        tmp_path,
        repo_root,
    )


@pytest.mark.slow
def test_a_broken_xtcocotools_is_replaced(repo_root, tmp_path):
    (tmp_path / "xtcocotools").mkdir()
    (tmp_path / "xtcocotools" / "__init__.py").touch()
    (tmp_path / "xtcocotools" / "coco.py").write_text("from . import mask")
    broken = "import sys; print('noise', file=sys.stderr); raise ValueError('numpy.dtype size changed')"
    (tmp_path / "xtcocotools" / "mask.py").write_text(broken)
    result = run_python(
        """
        from yolox_pose import compat
        assert compat.install()["xtcocotools"].startswith("filled")
        import xtcocotools.mask
        from xtcocotools.coco import COCO
        from xtcocotools.cocoeval import COCOeval
        assert COCO.__module__ == COCOeval.__module__ == "yolox_pose.compat.xtcocotools"
        assert xtcocotools.mask.frPyObjects
        """,
        tmp_path,
        repo_root,
    )
    assert "noise" not in result.stderr


def test_find_loader_is_put_back(monkeypatch):
    import pkgutil

    from yolox_pose.compat import pkgutil_find_loader

    monkeypatch.delattr(pkgutil, "find_loader", raising=False)
    assert pkgutil_find_loader.fill()
    assert pkgutil.find_loader("json") is not None
    assert pkgutil.find_loader("no_such_module") is None
    assert pkgutil_find_loader.fill() is None
