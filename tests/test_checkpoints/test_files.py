"""Files of weights: what is taken of them, both formats, what travels, and what is refused."""

import datetime
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from yolox_pose.checkpoints import read_checkpoint, write_checkpoint
from yolox_pose.checkpoints.preprocessing import (
    LEGACY,
    adopt_normalization,
    apply_preprocessing,
    plain,
    stored_preprocessing,
)
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.classes import COCO_CLASSES

needs_safetensors = pytest.mark.skipif(find_spec("safetensors") is None, reason="the safetensors package is an extra")
STEM = "backbone.stem.conv.conv.weight"
MEGVII = {
    "backbone.backbone.stem.conv.conv.weight": torch.ones(16, 12, 3, 3),
    "head.cls_preds.0.weight": torch.zeros(80, 16, 1, 1),
}
MMDET = {STEM: torch.ones(16, 12, 3, 3), "bbox_head.multi_level_conv_cls.0.weight": torch.zeros(80, 16, 1, 1)}
NATIVE = {STEM: torch.ones(16, 12, 3, 3), "head.head_module.out_cls.0.weight": torch.zeros(2, 16, 1, 1)}


def save(path, content):
    torch.save(content, path)
    return path


def test_the_averaged_weights_are_taken(tmp_path):
    """MMEngine exchanges them before it saves, Megvii saves the average as ``model``."""
    raw = {f"module.{key}": value * 5 for key, value in MMDET.items()}
    path = save(tmp_path / "mmdet.pth", {"ema_state_dict": {**raw, "steps": torch.tensor(3)}, "state_dict": MMDET})
    assert read_checkpoint(path).weights[STEM].mean() == 1
    path = save(tmp_path / "megvii.pth", {"start_epoch": 300, "model": MEGVII, "optimizer": {"state": {}}})
    assert read_checkpoint(path).weights[STEM].mean() == 1
    old = {**MMDET, "ema_backbone_stem_conv_conv_weight": MMDET[STEM] * 5}
    found = read_checkpoint(save(tmp_path / "mmdet2.pth", {"state_dict": old}))
    assert found.constants == ("ema_backbone_stem_conv_conv_weight",) and found.weights[STEM].mean() == 1


def test_bare_weights_and_those_of_several_gpus(tmp_path):
    assert read_checkpoint(save(tmp_path / "bare.pth", MMDET)).layout.name == "mmdet"
    wrapped = {f"module.{key}": value for key, value in MMDET.items()}
    assert set(read_checkpoint(save(tmp_path / "ddp.pth", {"state_dict": wrapped})).weights) == set(
        read_checkpoint(save(tmp_path / "one.pth", {"state_dict": MMDET})).weights
    )


@pytest.mark.parametrize(
    ("content", "layout", "centered", "score_thr"),
    [
        ({"model": MEGVII}, "megvii", False, 0.01),
        ({"state_dict": MMDET}, "mmdet", False, 0.01),
        ({"state_dict": {"neck.top_down_layers.1.x": torch.ones(1), STEM: torch.ones(1)}}, "mmyolo", False, 0.001),
        ({"state_dict": {**NATIVE, "head.loss_oks.sigmas": torch.ones(17)}}, "mmpose", True, 0.01),
    ],
)
def test_what_the_layout_implies(tmp_path, content, layout, centered, score_thr):
    found = read_checkpoint(save(tmp_path / "w.pth", content))
    meta = found.dataset_meta
    assert found.layout.name == layout and meta["score_thr"] == score_thr
    assert meta["preprocessing"] == {
        "centered": centered, "pad_value": 114, "channel_order": "bgr", "mean": None, "std": None
    }  # fmt: skip
    assert meta.get("classes") == (list(COCO_CLASSES) if layout in ("megvii", "mmdet") else None)


def test_what_the_file_says_itself_wins(tmp_path):
    meta = {"cfg": "model = dict(test_cfg=dict(score_thr=5e-3, nms=dict(iou_threshold=0.65)))", "CLASSES": ("a", "b")}
    found = read_checkpoint(save(tmp_path / "w.pth", {"state_dict": MMDET, "meta": {**meta, "dataset_meta": {
        "CLASSES": ("a", "b"), "preprocessing": {"centered": True}}}})).dataset_meta  # fmt: skip
    assert found["score_thr"] == 0.005 and found["classes"] == ["a", "b"]
    assert found["preprocessing"]["centered"] is True and found["preprocessing"]["channel_order"] == "bgr"
    own = read_checkpoint(save(tmp_path / "own.pth", {"state_dict": NATIVE}))
    assert own.dataset_meta == {}


def test_legacy_weights(tmp_path):
    found = read_checkpoint(save(tmp_path / "w.pth", {"model": MEGVII}), legacy=True).dataset_meta["preprocessing"]
    assert {key: found[key] for key in LEGACY} == LEGACY and found["centered"] is False


@pytest.mark.parametrize("name", ["w.pth", pytest.param("w.safetensors", marks=needs_safetensors)])
def test_both_formats_give_back_what_was_written(tmp_path, name):
    meta = {"classes": ["a", "b"], "keypoint_id2name": {0: "nose", 1: "eye"}, "preprocessing": {"centered": False}}
    weights = {**NATIVE, "backbone.half": torch.rand(3, 4, dtype=torch.float16).t(), "backbone.count": torch.tensor(3)}
    write_checkpoint(tmp_path / name, weights, {"dataset_meta": meta})
    found = read_checkpoint(tmp_path / name)
    assert found.dataset_meta == meta and found.weights.keys() == weights.keys()
    assert all(torch.equal(found.weights[key], value) for key, value in weights.items())
    assert [path.name for path in tmp_path.iterdir()] == [name]


@needs_safetensors
def test_broken_safetensors(tmp_path):
    path = tmp_path / "w.safetensors"
    write_checkpoint(path, NATIVE, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"w\.safetensors: not loaded, it is not a complete safetensors file"):
        read_checkpoint(path)


def test_without_the_safetensors_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with pytest.raises(UsageError, match=r"pip install safetensors$"):
        write_checkpoint(tmp_path / "w.safetensors", NATIVE, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"a": 1}}, "holds no weights"),
        ({"state_dict": {}}, "holds no weights"),
        ([1, 2], "holds no weights"),
        ({"state_dict": {"fc.weight": torch.ones(1)}}, "such as 'fc.weight', match no known YOLOX layout"),
        ({"model": {"head.kpts_preds.0.weight": torch.ones(1)}}, "edgeai-yolox"),
        ({"state_dict": NATIVE, "meta": datetime.date(2026, 1, 1)}, "it asks for 'datetime.date'"),
    ],
)
def test_what_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        read_checkpoint(save(tmp_path / "w.pth", content))
    assert "w.pth" in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        write_checkpoint(tmp_path / "none" / "w.pth", NATIVE, {})


def test_plain_values():
    class Odd:
        def __str__(self):
            return "odd"

    value = {"a": np.arange(2), "b": (1, {2.5}), 3: np.float32(0.5), "c": Odd(), "d": None}
    assert plain(value) == {"a": [0, 1], "b": [1, [2.5]], 3: 0.5, "c": "odd", "d": None}


def config():
    letterbox = {"type": "yolox_pose.LetterboxResize"}
    loader = {"dataset": {"dataset": {"pipeline": [{"type": "Load"}, dict(letterbox)]}}}
    return {"model": {"test_cfg": {"score_thr": 0.01}, "data_preprocessor": {}}, "test_dataloader": loader}


def test_the_checkpoint_wins_over_the_config_with_a_line_each(caplog):
    cfg = config()
    apply_preprocessing(cfg, {"preprocessing": {"centered": False, "pad_value": 114, **LEGACY}, "score_thr": 0.001})
    assert cfg["test_dataloader"]["dataset"]["dataset"]["pipeline"][1]["centered"] is False
    assert cfg["model"]["data_preprocessor"] == {"bgr_to_rgb": True, "mean": LEGACY["mean"], "std": LEGACY["std"]}
    assert cfg["model"]["test_cfg"]["score_thr"] == 0.001
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "padding is right and bottom", "images are RGB", "score threshold 0.001"
    ]  # fmt: skip


def test_what_agrees_or_is_not_stored_changes_nothing(caplog):
    cfg = config()
    apply_preprocessing(cfg, {})
    stored = {"centered": True, "pad_value": 114, "channel_order": "bgr", "mean": None, "std": None}
    apply_preprocessing(cfg, {"preprocessing": stored, "score_thr": 0.01})
    apply_preprocessing(cfg, {"score_thr": 0.3}, threshold=False)
    assert cfg == config() and not caplog.records


def test_a_config_that_normalises_gives_way_to_weights_that_do_not(caplog):
    settings = {"mean": [1, 2, 3], "std": [1, 1, 1]}
    adopt_normalization(settings, {"mean": None, "std": None, "channel_order": "bgr"})
    assert settings == {"mean": None, "std": None, "bgr_to_rgb": False} and "0 to 255" in caplog.text


@pytest.mark.parametrize(
    "stored", [{"centered": "yes"}, {"channel_order": "gbr"}, {"mean": [1, 2]}, {"std": [1, 0, 1]}, {"pad_value": 300}]
)
def test_preprocessing_that_cannot_be_used(stored):
    with pytest.raises(DataError, match=f"'{next(iter(stored))}'"):
        stored_preprocessing({"preprocessing": stored})
