"""Same weights, same inputs: outputs, targets and losses of mmpose's built-in YOLOX-Pose."""

import pytest
import torch
from mmengine.registry import init_default_scope  # noqa: E402

from tests.test_models.models_common import build_model, make_batch
from yolox_pose.registry import MODELS  # noqa: E402


def peer_head(widen):
    init_default_scope("yolox_pose")
    return MODELS.build(
        dict(
            type="mmpose.YOLOXPoseHead",
            num_keypoints=17,
            head_module_cfg=dict(num_classes=1, in_channels=256, feat_channels=256, widen_factor=widen),
            prior_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]),
            assigner=dict(type="SimOTAAssigner", dynamic_k_indicator="oks",
                          oks_calculator=dict(type="PoseOKS", metainfo="configs/_base_/datasets/coco.py")),
            overlaps_power=0.5,
            loss_cls=dict(type="BCELoss", reduction="sum"),
            loss_bbox=dict(type="IoULoss", mode="square", eps=1e-16, reduction="sum", loss_weight=5.0),
            loss_obj=dict(type="BCELoss", use_target_weight=True, reduction="sum"),
            loss_oks=dict(type="OKSLoss", reduction="none", metainfo="configs/_base_/datasets/coco.py",
                          norm_target_weight=True, loss_weight=30.0),
            loss_vis=dict(type="BCELoss", use_target_weight=True, reduction="mean"),
            loss_bbox_aux=dict(type="L1Loss", reduction="sum"),
            use_aux_loss=True,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def models():
    model = build_model("tiny").eval()
    peer = peer_head(0.375).eval()
    missing = peer.load_state_dict(model.head.state_dict(), strict=False)
    assert missing.missing_keys == ["loss_oks.sigmas"]
    assert missing.unexpected_keys == []
    return model, peer


@pytest.fixture(scope="module")
def batch(models):
    """Every person has labelled keypoints: mmpose has no rule for the others."""
    made = make_batch((1, 4, 7), seed=11, size=160)
    for sample in made["data_samples"]:
        sample.gt_instance_labels.keypoints_visible[:, :3] = 2
    return models[0].data_preprocessor(made)


def test_raw_outputs_are_equal(models, batch):
    model, peer = models
    with torch.no_grad():
        features = model.extract_feat(batch["inputs"])
        ours, theirs = model.head(features), peer(features)
    flat = [peer._flatten_predictions(outputs) for outputs in theirs]
    for mine, other in zip(
        (ours.classes, ours.objectness[..., None], ours.boxes, ours.keypoints, ours.visibility), flat
    ):
        assert torch.equal(mine, other)


def test_losses_are_equal(models, batch):
    model, peer = models
    model.head.phase.final_epoch = 0
    with torch.no_grad():
        features = model.extract_feat(batch["inputs"])
        ours = model.head.loss(model.head(features), model.head.priors(features), batch["data_samples"])
        for sample in batch["data_samples"]:
            labels = sample.gt_instance_labels
            labels.keypoints_visible = (labels.keypoints_visible > 0).float()
        theirs = peer.loss(features, batch["data_samples"])
    model.head.phase.final_epoch = None
    names = {"loss_obj": "loss_obj", "loss_cls": "loss_cls", "loss_bbox": "loss_bbox", "loss_bbox_l1": "loss_bbox_aux",
             "loss_kpt": "loss_kpt", "loss_vis": "loss_vis"}  # fmt: skip
    for mine, other in names.items():
        assert ours[mine].item() == pytest.approx(theirs[other].mean().item(), rel=1e-4), mine
