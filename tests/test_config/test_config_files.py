"""Configs are found by path, by name and by their path inside ``configs``, from anywhere."""

import pytest

from yolox_pose.config import files as config
from yolox_pose.errors import UsageError


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A checkout with four configs, two of which share a name."""
    for name in ("pose/pose_s_coco.py", "pose/pose_m_coco.py", "a/same.py", "b/same.py", "_base_/hidden.py"):
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).touch()
    (tmp_path / "setup.py").touch()
    monkeypatch.setattr(config, "PACKAGE", tmp_path / "yolox_pose")
    return tmp_path / "configs"


@pytest.mark.parametrize(
    "name", ["pose_s_coco", "pose_s_coco.py", "pose/pose_s_coco", "configs/pose/pose_s_coco.py", "pose/pose_s_coco.py"]
)
def test_a_config_is_found_by_name(configs, name):
    assert config.find_config(name) == configs / "pose" / "pose_s_coco.py"


def test_an_existing_file_is_taken_as_it_is(configs, tmp_path):
    own = tmp_path / "own.py"
    own.touch()
    assert config.find_config(own) == own


def test_a_miss_names_near_matches(configs):
    with pytest.raises(UsageError, match=r"'pose_l_coco' is neither .*near matches: pose_[sm]_coco, pose_[sm]_coco"):
        config.find_config("pose_l_coco")
    with pytest.raises(UsageError, match="package$"):
        config.find_config("zzzzzzzz")


def test_bases_are_not_offered(configs):
    with pytest.raises(UsageError):
        config.find_config("hidden")


def test_an_ambiguous_name_lists_the_paths(configs):
    with pytest.raises(UsageError, match="ambiguous: a/same, b/same"):
        config.find_config("same")
    assert config.find_config("b/same") == configs / "b" / "same.py"


def test_an_installed_package_has_its_own_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "PACKAGE", tmp_path / "yolox_pose")
    assert config.resource_folder("configs") == tmp_path / "yolox_pose" / "_configs"
    assert config.config_files() == []
