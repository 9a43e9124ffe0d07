"""The detection configs against mmdet's published ones, value by value."""

from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config  # noqa: E402

from tests.test_models.models_common import SIZES
from yolox_pose.checkpoints.model_info import find_preprocessing  # noqa: E402
from yolox_pose.config import load_config  # noqa: E402
from yolox_pose.datasets.coco import build_pipeline  # noqa: E402

PEER = Path(mmdet.__file__).parent / ".mim" / "configs" / "yolox"
RECIPES = {f"yolox_{size}_8xb8-300e_coco": size for size in (*SIZES, "darknet53")}
FAST = {f"yolox_{size}_8xb32-300e-rtmdet-hyp_coco": size for size in ("nano", "tiny", "s", "m")}


def train_transforms(config):
    dataset = config.train_dataloader.dataset
    built = build_pipeline(
        dataset.pipeline, dataset.input_size, dataset.skip_transforms, dataset.get("transform_options") or {}
    )
    return {type(transform).__name__: transform for transform in built}


@pytest.mark.parametrize("name", RECIPES)
def test_the_sgd_recipe_is_mmdets(name):
    ours, peer = load_config(name), Config.fromfile(PEER / "yolox_s_8xb8-300e_coco.py")
    assert ours.optim_wrapper.optimizer == peer.optim_wrapper.optimizer
    assert ours.optim_wrapper.paramwise_cfg == peer.optim_wrapper.paramwise_cfg and ours.optim_wrapper.clip_grad is None
    assert ours.auto_scale_lr.base_batch_size == peer.auto_scale_lr.base_batch_size == 64
    assert ours.train_dataloader.batch_size == peer.train_dataloader.batch_size == 8
    assert ours.train_cfg.max_epochs == peer.train_cfg.max_epochs == 300
    for mine, other in zip(ours.param_scheduler, peer.param_scheduler, strict=True):
        assert {**mine, "type": mine.type.split(".")[-1]} == {**other, "type": other.type.split(".")[-1]}
    hooks, others = ({h["type"].split(".")[-1]: h for h in c.custom_hooks} for c in (ours, peer))
    same_average = {**others["EMAHook"], "ema_type": "yolox_pose.BatchedExpMomentumEMA"}  # equal values: test_ema.py
    assert hooks["EMAHook"] == same_average and hooks["EMAHook"].momentum == 0.0001
    assert ours.default_hooks.training_phase.num_last_epochs == others["YOLOXModeSwitchHook"].num_last_epochs == 15
    assert ours.model.test_cfg.score_thr == peer.model.test_cfg.score_thr == 0.01
    assert ours.model.test_cfg.nms_thr == peer.model.test_cfg.nms.iou_threshold == 0.65
    assert ours.default_hooks.checkpoint.save_best == "coco/bbox_mAP"


@pytest.mark.parametrize("name", FAST)
def test_the_fast_recipe_differs_as_published(name):
    config = load_config(name)
    assert config.optim_wrapper.optimizer == {"type": "AdamW", "lr": 0.004, "weight_decay": 0.05}
    assert config.train_dataloader.batch_size == 32 and config.auto_scale_lr.base_batch_size == 256
    hooks = {hook["type"].split(".")[-1]: hook for hook in config.custom_hooks}
    assert hooks["EMAHook"].momentum == 0.0002 and config.default_hooks.training_phase.num_last_epochs == 20
    warmup, cosine, last = config.param_scheduler
    assert (warmup.end, cosine.begin, cosine.T_max, cosine.end, last.begin, last.end) == (5, 5, 280, 280, 280, 300)
    assert cosine.eta_min == pytest.approx(0.0002)
    assert config.train_cfg.dynamic_intervals == [(280, 1)]
    assert config.model.data_preprocessor.random_size_interval == 1
    slow = load_config(f"yolox_{FAST[name]}_8xb8-300e_coco")
    slow.model.data_preprocessor.random_size_interval = 1
    assert config.model == slow.model


@pytest.mark.parametrize("name", [*RECIPES, *FAST])
def test_data_of_a_detector(name):
    config, size = load_config(name), {**RECIPES, **FAST}[name]
    small = size in ("nano", "tiny")
    side = 416 if small else 640
    assert find_preprocessing(config, {}) == ((side, side), False, 114)  # padded at the right and bottom
    assert tuple(config.model.data_preprocessor.random_size) == ((320, 640) if small else (480, 800))
    transforms = train_transforms(config)
    affine = transforms["YOLOXPoseAffine"]
    assert affine.scale_range == ((0.5, 1.5) if small else (0.1, 2.0))
    assert (affine.max_rotation, affine.max_shear, affine.max_shift) == (10.0, 2.0, 0.1)
    assert ("YOLOXPoseMixUp" in transforms) is not small
    assert {transform.input_size for transform in transforms.values() if hasattr(transform, "input_size")} == {
        (side, side)
    }
    for split in ("train", "val", "test"):
        dataset = config[f"{split}_dataloader"].dataset
        assert dataset.skeleton is None and dataset.classes == "coco" and "instances_" in dataset.ann_file
    assert config.val_evaluator == config.test_evaluator and config.val_evaluator.metric == "bbox"
    assert config.val_evaluator.ann_file == "data/coco/annotations/instances_val2017.json"
    head = config.model.head
    assert (head.num_classes, head.skeleton, head.assigner) == (80, None, {"prior_offset": 0.5})
