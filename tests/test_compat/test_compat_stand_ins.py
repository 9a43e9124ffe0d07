"""The small stand-ins: ``pkg_resources`` and ``torchvision.transforms.ToPILImage``, and how they are found."""

import importlib
import pickle
import sys

import numpy as np
import pytest
import torch

from yolox_pose.compat import pkg_resources, torchvision
from yolox_pose.compat.finder import StandInFinder


def test_distributions_are_found_and_missed():
    numpy = pkg_resources.get_distribution("numpy")
    assert (numpy.version, numpy.project_name) == (np.__version__, "numpy")
    assert np.__file__.startswith(numpy.location)
    assert not numpy.has_metadata("no_such_file")
    assert numpy.get_metadata("no_such_file") == ""
    with pytest.raises(pkg_resources.DistributionNotFound):
        pkg_resources.get_distribution("no-such-distribution")


def test_pytest_finds_what_it_asks_for_when_a_path_is_added(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pkg_resources", pkg_resources)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sys.path[0] == str(tmp_path)


def test_mmengine_finds_packages_with_it():
    from mmengine.utils import get_installed_path, is_installed

    assert is_installed("mmpose")
    assert not is_installed("no_such_package")
    assert get_installed_path("mmpose").endswith("mmpose")


@pytest.mark.parametrize(
    ("pic", "mode", "size"),
    [
        (torch.full((3, 4, 5), 0.5), "RGB", (5, 4)),
        (torch.full((4, 5), 127, dtype=torch.uint8), "L", (5, 4)),
        (np.full((4, 5, 3), 127, dtype=np.uint8), "RGB", (5, 4)),
        (np.full((4, 5), 127, dtype=np.uint8), "L", (5, 4)),
    ],
)
def test_to_pil_image(pic, mode, size):
    image = torchvision.ToPILImage()(pic)
    assert (image.mode, image.size) == (mode, size)
    assert np.unique(np.asarray(image)).tolist() == [127]


def test_a_stand_in_can_be_reloaded_and_its_classes_pickle(monkeypatch):
    finder = StandInFinder()
    finder.offer({"a_missing_module": "yolox_pose.compat.pkg_resources"})
    try:
        module = importlib.import_module("a_missing_module")
        assert importlib.reload(module).Distribution is pkg_resources.Distribution
        assert pickle.loads(pickle.dumps(module.Distribution)) is pkg_resources.Distribution
        assert finder.find_spec("another_module") is None
    finally:
        sys.meta_path.remove(finder)
        sys.modules.pop("a_missing_module", None)


def test_an_installed_package_comes_before_its_stand_in():
    finder = StandInFinder()
    finder.offer({"wave": "yolox_pose.compat.pkg_resources"})
    try:
        assert importlib.util.find_spec("wave").origin.endswith("wave.py")
    finally:
        sys.meta_path.remove(finder)
