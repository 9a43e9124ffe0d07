"""A checkpoint stands for the config that its training wrote into it, which is read as data."""

import json
import logging

import pytest
import torch
from mmengine.config import Config

from tests.tiny_models import write_checkpoint, write_config
from yolox_pose import PoseInferencer
from yolox_pose.checkpoints import read_checkpoint
from yolox_pose.checkpoints import write_checkpoint as save
from yolox_pose.checkpoints.conversion import convert
from yolox_pose.config import config_files, find_config, load_config
from yolox_pose.config.stored import describe_difference, parse_settings, read_stored_config
from yolox_pose.errors import DataError, UsageError
from yolox_pose.models.loading import load_model


@pytest.fixture
def trained(tmp_path):
    """A checkpoint with the config in it, as MMEngine's runner writes it; the config itself is gone."""
    config = write_config(tmp_path)
    path = write_checkpoint(config, tmp_path / "best.pth", {"classes": ["person"]})
    return with_config(path, Config.fromfile(config).pretty_text + "work_dir = '/elsewhere'\nload_from = 'x.pth'\n")


def with_config(path, text):
    content = torch.load(path, weights_only=True)
    content["meta"]["cfg"] = text
    torch.save(content, path)
    return path


def test_a_checkpoint_alone_is_a_model(trained, tmp_path):
    config = load_config(trained)
    assert (
        config.model.type == "yolox_pose.YOLOXPoseEstimator" and "work_dir" not in config and "load_from" not in config
    )
    assert config.filename == str(tmp_path / "best.py"), "MMEngine writes a file of that name into work dirs"
    for pose in (PoseInferencer(trained, device="cpu"), PoseInferencer(checkpoint=trained, device="cpu")):
        assert pose.preprocessing.size == (128, 96) and pose.classes == ("person",)
    assert load_model(trained, device="cpu").dataset_meta["classes"] == ["person"]


def test_safetensors_hold_it_too(trained, tmp_path):
    pytest.importorskip("safetensors")
    checkpoint = read_checkpoint(trained)
    path = tmp_path / "best.safetensors"
    save(path, checkpoint.weights, {"dataset_meta": {}, "cfg": checkpoint.config})
    assert read_stored_config(path)["default_scope"] == "yolox_pose"
    path.write_bytes(b"no safetensors file")
    with pytest.raises(DataError, match="not a whole safetensors file"):
        read_stored_config(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (None, UsageError, "best.pth holds no config: add --config C"),
        ("default_scope = 'mmpose'", UsageError, "holds a config of mmpose: add --config C"),
        ("model = dict(type='CSPDarknet')", UsageError, "holds a config of another package"),
        ("import os", DataError, "cannot be read .line 1 is not a setting"),
        ("x = open('f')", DataError, "line 1 holds more than plain values"),
        ("x = [1", DataError, "cannot be read"),
        ("default_scope = 'yolox_pose'\nx = dict(a=[dict(type='os.system')])", DataError, "names 'os.system'"),
        ("default_scope = 'yolox_pose'\nx = dict(ema_type='mmengine.dump')", DataError, "names 'mmengine.dump'"),
    ],
)
def test_files_whose_config_cannot_be_used(trained, text, error, message):
    with_config(trained, text)
    with pytest.raises(error, match=message) as raised:
        load_config(trained)
    assert "\n" not in str(raised.value)


def test_every_config_of_the_package_survives_the_round_trip(tmp_path):
    for file in config_files()[::5]:
        config = load_config(file)
        torch.save({"meta": {"cfg": config.pretty_text}, "state_dict": {}}, tmp_path / "w.pth")
        settings = read_stored_config(tmp_path / "w.pth")
        kept = {key: value for key, value in config.to_dict().items() if key in settings}
        assert json.dumps(settings, sort_keys=True) == json.dumps(kept, sort_keys=True), file


def test_settings_are_plain_values():
    assert parse_settings("a = dict(b=-1, c=(1.5, None), d={'e': [True]}, f=inf)\n_g = {1, 2}") == {
        "a": {"b": -1, "c": (1.5, None), "d": {"e": [True]}, "f": float("inf")}, "_g": {1, 2}
    }  # fmt: skip


def test_a_config_that_is_given_wins_and_a_line_names_the_difference(trained, tmp_path, caplog):
    other = write_config(tmp_path, name="other.py")
    other.write_text(other.read_text().replace("momentum=0.03", "momentum=0.02"))
    with caplog.at_level(logging.WARNING):
        load_model(other, trained, device="cpu")
    assert "best.pth differs from the one that is used: model.backbone.norm_cfg.momentum" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        load_model(write_config(tmp_path), trained, device="cpu")
    assert "differs" not in caplog.text


def test_differences_that_do_not_matter_are_left_out():
    first = {"a": {"b": 1, "init_cfg": 2}, "test_cfg": {"score_thr": 0.1}, "c": [1, 2]}
    second = {"a": {"b": 1}, "test_cfg": {"score_thr": 0.2}, "c": (1, 2)}
    assert describe_difference(first, second) == ""
    assert describe_difference({str(i): i for i in range(5)}, {}) == "model.0, model.1, model.2 and 2 more"


def test_published_names_stand_for_their_configs():
    assert find_config("s") == find_config("yolox-pose_s_8xb32-300e_coco")
    assert find_config("yolox-l-humanart").stem == "yolox_l_8xb8-300e_coco"
    with pytest.raises(UsageError, match="neither a file nor a config"):
        find_config("rtmo-s")


def test_a_converted_checkpoint_keeps_its_config(trained, tmp_path):
    small = tmp_path / "small.pth"
    convert(trained, small, half=True)
    assert PoseInferencer(small, device="cpu").preprocessing.size == (128, 96)
    config, bare = write_config(tmp_path), tmp_path / "bare.pth"
    with_config(trained, "")
    convert(trained, bare)
    with pytest.raises(UsageError, match="bare.pth holds no config"):
        load_config(bare)
    convert(trained, bare, config=str(config), overwrite=True)
    assert load_config(bare).model.head.head_module.widen_factor == 0.125
    convert(trained, tmp_path / "peer.pth", config=str(config), to="mmpose")
    assert read_checkpoint(tmp_path / "peer.pth").config == "", "the config is not one of MMPose's"


def test_a_graph_is_no_checkpoint(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"onnx")
    with pytest.raises(UsageError, match=r"m.onnx is an ONNX graph: 'yolox-pose convert .*m.onnx weights.pth'"):
        load_model("yolox_nano_8xb8-300e_coco", tmp_path / "m.onnx", device="cpu")
