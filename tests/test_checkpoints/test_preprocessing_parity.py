"""Weights of the installed peers, read by us, compute what they compute: raw outputs, and detections after NMS."""

import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, build, pixels, randomize
from yolox_pose.checkpoints import read_checkpoint  # noqa: E402
from yolox_pose.models.loading import load_weights  # noqa: E402
from yolox_pose.models.postprocess import detect  # noqa: E402
from yolox_pose.registry import MODELS  # noqa: E402
from yolox_pose.structures.settings import PostprocessSettings as Settings  # noqa: E402

MMPOSE_CONFIGS = {
    "tiny": "yoloxpose_tiny_4xb64-300e_coco-416.py",
    "s": "yoloxpose_s_8xb32-300e_coco-640.py",
    "m": "yoloxpose_m_8xb32-300e_coco-640.py",
    "l": "yoloxpose_l_8xb32-300e_coco-640.py",
}
LARGE = pytest.mark.slow


def sizes(*names):
    return [name if name in ("nano", "tiny") else pytest.param(name, marks=LARGE) for name in names]


def peer_model(package, path, scope):
    folder = Path(importlib.util.find_spec(package).origin).parent / ".mim" / "configs" / path
    if not folder.is_file():
        pytest.skip(f"this {package} has no {path}")
    init_default_scope(scope)
    settings = Config.fromfile(folder).model
    if scope == "mmpose":
        return MODELS.build({**settings, "type": "mmpose.BottomupPoseEstimator"})
    from mmdet.registry import MODELS as MMDET_MODELS

    return MMDET_MODELS.build(settings)


def load(ours, peer, path):
    """Save the peer's weights as its own checkpoint, read it, and see that every tensor is used."""
    torch.save({"state_dict": peer.state_dict(), "meta": {}}, path)
    checkpoint = read_checkpoint(path)
    assert set(checkpoint.weights) == set(ours.state_dict())
    load_weights(ours, checkpoint)
    return checkpoint


def close(mine, other, tolerance):
    assert mine.shape == other.shape
    assert (mine - other).abs().max() <= tolerance


def partners(found, boxes):
    """For each box that we found the peer's nearest one, each once: scores that round to one another may be exchanged."""
    boxes = torch.as_tensor(boxes)
    assert len(found) == len(boxes)
    order = (found[:, None] - boxes).abs().amax(-1).argmin(1)
    assert len(order.unique()) == len(order)
    return order


@pytest.mark.parametrize("size", sizes("nano", "tiny", "s", "m", "l", "x"))
@torch.no_grad()
def test_mmdetections_detectors(size, shared_data, tmp_path):
    inputs = pixels(shared_data / "coco_ci32" / "val2017")
    peer = peer_model("mmdet", f"yolox/yolox_{size}_8xb8-300e_coco.py", "mmdet")
    randomize(peer, lambda model: model.bbox_head(model.extract_feat(inputs)))
    ours = build(DETECTOR.format(size)).eval()
    checkpoint = load(ours, peer, tmp_path / "mmdet.pth")
    assert checkpoint.layout.name == "mmdet" and checkpoint.dataset_meta["preprocessing"]["centered"] is False
    features = ours.extract_feat(inputs)
    raw, priors = ours.head(features), ours.head.priors(features)
    theirs = peer.bbox_head(peer.extract_feat(inputs))
    classes, boxes, objectness = (
        torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1) for levels in theirs
    )
    close(raw.classes.sigmoid(), classes.sigmoid(), 1e-5)
    close(raw.objectness.sigmoid(), objectness.sigmoid()[..., 0], 1e-5)
    metas = [{"img_shape": inputs.shape[-2:], "scale_factor": (1.0, 1.0)}] * len(inputs)
    expected = peer.bbox_head.predict_by_feat(*theirs, batch_img_metas=metas, cfg=peer.test_cfg, rescale=False)
    settings = Settings(score_thr=peer.test_cfg.score_thr, nms_pre=100_000, nms_thr=0.65, max_per_img=100_000)
    candidates = detect(raw, priors, settings._replace(nms_thr=1.0))
    for found, wanted, all_found in zip(detect(raw, priors, settings), expected, candidates):
        assert len(all_found.scores) >= 100 and len(found.scores) > 10
        order = partners(found.boxes, wanted.bboxes)
        assert torch.equal(found.labels, wanted.labels[order])
        close(found.boxes, wanted.bboxes[order], 1e-4)
        close(found.scores, wanted.scores[order], 1e-5)


@pytest.mark.parametrize("size", sizes("tiny", "s", "m", "l"))
@torch.no_grad()
def test_mmposes_built_in_models(size, shared_data, tmp_path):
    inputs = pixels(shared_data / "coco_ci32" / "val2017", centered=True)
    peer = peer_model("mmpose", f"body_2d_keypoint/yoloxpose/coco/{MMPOSE_CONFIGS[size]}", "mmpose")
    randomize(peer, lambda model: model.head(model.extract_feat(inputs)))
    ours = build(POSE.format(size)).eval()
    checkpoint = load(ours, peer, tmp_path / "mmpose.pth")
    assert checkpoint.layout.name == "mmpose" and checkpoint.dataset_meta["preprocessing"]["centered"] is True
    assert checkpoint.constants == ("head.loss_oks.sigmas",)
    features = ours.extract_feat(inputs)
    raw, priors = ours.head(features), ours.head.priors(features)

    class Sample:
        metainfo = {"input_size": (1e6, 1e6)}  # they clip boxes to the input, which is made too large for that

    theirs = peer.head.predict(
        peer.extract_feat(inputs), [Sample] * len(inputs), test_cfg=dict(score_thr=0.01, nms_thr=0.65)
    )
    settings = Settings(score_thr=0.01, nms_pre=100_000, nms_thr=0.65, max_per_img=100_000)
    candidates = detect(raw, priors, settings._replace(nms_thr=1.0))
    for found, wanted, all_found in zip(detect(raw, priors, settings), theirs, candidates):
        assert len(all_found.scores) >= 100 and len(found.scores) > 10
        order = partners(found.boxes.clamp(min=0), wanted.bboxes)
        close(found.boxes.clamp(min=0), torch.as_tensor(wanted.bboxes)[order], 1e-4)
        close(found.keypoints, torch.as_tensor(wanted.keypoints)[order], 1e-4)
        close(found.scores, torch.as_tensor(wanted.scores)[order], 1e-5)
        close(found.keypoint_scores, torch.as_tensor(wanted.keypoint_scores)[order], 1e-5)
