"""From raw outputs to detections (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from yolox_pose.geometry.nms import nms
from yolox_pose.ops import DetectionTensors, HeadOutputs, batched_nms, decode_boxes, decode_keypoints, suppress_poses
from yolox_pose.structures.settings import PostprocessSettings


@torch.no_grad()
def detect(
    predictions: HeadOutputs,
    priors: Tensor,
    settings: PostprocessSettings = PostprocessSettings(),
    has_keypoints: Tensor | None = None,
    sigmas: Tensor | None = None,
) -> list[DetectionTensors]:
    """Score, select, decode and suppress.

    Each prior stands for its best class; boxes of different classes do not suppress each other.

    Args:
        predictions: Raw outputs of a batch.
        priors: (N, 3).
        settings: What is kept.
        has_keypoints: (C,) bool, which classes have keypoints; None for all.
        sigmas: (K,) OKS constants, needed where poses are compared.

    Returns:
        The detections of each image, on the host: they are brought there together, since what follows are small steps for
        each image.
    """
    candidates = _candidates(predictions, priors, settings, has_keypoints)
    scores, order = _suppressed(candidates, settings, sigmas).sort(dim=-1, descending=True, stable=True)
    counts = (scores > -torch.inf).sum(-1).clamp(max=settings.max_per_img).tolist()
    most = max(counts)
    rows, order = torch.arange(len(order), device=order.device)[:, None], order[:, :most]
    best = DetectionTensors(*(None if column is None else column[rows, order].cpu() for column in candidates))
    best = best._replace(scores=scores[:, :most].cpu())
    return [
        DetectionTensors(*(None if column is None else column[image, :count] for column in best))
        for image, count in enumerate(counts)
    ]


def _candidates(
    predictions: HeadOutputs, priors: Tensor, settings: PostprocessSettings, has_keypoints: Tensor | None
) -> DetectionTensors:
    """The best M priors of each image, decoded and sorted: (B, M, ...); scores are ``-inf`` where there are fewer."""
    probability = predictions.classes.float().sigmoid() * predictions.objectness.float().sigmoid()[..., None]
    if settings.classes is not None:
        probability = probability[..., list(settings.classes)]
    scores, labels = probability.max(-1)
    if settings.classes is not None:
        labels = labels.new_tensor(settings.classes)[labels]
    above = scores > settings.score_thr
    count = min(settings.nms_pre, int(above.sum(-1).max()))
    scores, index = scores.masked_fill(~above, -torch.inf).topk(count, dim=-1)  # sorted
    rows = torch.arange(len(scores), device=scores.device)[:, None]
    chosen = priors[index]
    found = DetectionTensors(decode_boxes(predictions.boxes[rows, index], chosen), scores, labels[rows, index])
    if predictions.keypoints is None:
        return found
    keypoint_scores = predictions.visibility[rows, index].float().sigmoid()
    if has_keypoints is not None:
        keypoint_scores = keypoint_scores * has_keypoints[found.labels][..., None]
    keypoints = decode_keypoints(predictions.keypoints[rows, index], chosen)
    return found._replace(keypoints=keypoints, keypoint_scores=keypoint_scores)


def _suppressed(candidates: DetectionTensors, settings: PostprocessSettings, sigmas: Tensor | None) -> Tensor:
    """(B, M) scores after suppression, ``-inf`` for what goes."""
    if settings.nms_thr >= 1 and settings.nms_type != "oks":
        return candidates.scores
    if settings.nms_type == "box" and settings.soft_nms == "none":
        kept = suppress(candidates.boxes, candidates.scores, settings.nms_thr, candidates.labels)
        return candidates.scores.masked_fill(~kept, -torch.inf)
    return suppress_poses(
        candidates.boxes,
        candidates.scores,
        candidates.labels,
        soft=settings.soft_nms,
        soft_sigma=settings.soft_sigma,
        score_thr=settings.score_thr,
        max_count=settings.max_per_img,
        criterion=settings.nms_type,
        iou_threshold=settings.nms_thr,
        oks_threshold=settings.oks_thr,
        keypoints=candidates.keypoints,
        visibility=candidates.keypoint_scores,
        sigmas=sigmas,
    )


def suppress(boxes: Tensor, scores: Tensor, threshold: float, labels: Tensor) -> Tensor:
    """Greedy NMS of a batch: on a GPU of all images at once, on a CPU image by image, which is many times as fast there.

    Args:
        boxes: (B, M, 4) xyxy.
        scores: (B, M), best first; ``-inf`` is never kept.
        threshold: IoU above which the lower box goes.
        labels: (B, M); boxes of different classes do not suppress each other.

    Returns:
        (B, M) bool, true for kept boxes.
    """
    if boxes.device.type != "cpu":
        return batched_nms(boxes, scores, threshold, labels)
    counts = (scores > -torch.inf).sum(-1).tolist()
    kept: np.ndarray = np.zeros(scores.shape, dtype=bool)
    arrays = boxes.numpy(), scores.numpy(), labels.numpy()
    for image, count in enumerate(counts):
        best = [values[image, :count] for values in arrays]
        kept[image, nms(best[0], best[1], threshold, best[2])] = True
    return torch.from_numpy(kept)
