"""``import yolox_pose`` and the names that it offers."""

import importlib

import pytest

import yolox_pose


def test_every_public_name_resolves():
    for name in yolox_pose.__all__:
        assert getattr(yolox_pose, name) is not None
        assert name in dir(yolox_pose)


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        yolox_pose.no_such_name  # noqa: B018


def test_version_is_a_version():
    assert yolox_pose.__version__ == importlib.import_module("yolox_pose.version").__version__
    assert yolox_pose.__version__.count(".") == 2
