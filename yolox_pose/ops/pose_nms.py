"""Suppression of doubles by boxes, by poses or by both, hard or soft (shape letters: see :mod:`yolox_pose.ops`).

M candidates an image. Two people who hug have boxes that overlap as much as two detections of one person do; their poses
differ. :mod:`yolox_pose.geometry.pose_nms` does the same in numpy, one image at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.nms import greedy_survivors
from yolox_pose.structures.constants import AREA_PER_BOX, MIN_AREA

CRITERIA = ("box", "oks", "box_oks")
SOFT_METHODS = ("none", "linear", "gaussian")


def mutual_oks(keypoints: Tensor, visibility: Tensor, boxes: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """OKS of every pair of detections of an image, symmetric.

    Keypoints count by the product of the two visibilities, since neither detection is the truth; the area of a pair is the
    mean of the two, each 0.53 of its box.

    Args:
        keypoints: (..., M, K, 2) pixels.
        visibility: (..., M, K) probabilities.
        boxes: (..., M, 4) xyxy pixels.
        sigmas: (K,).

    Returns:
        (..., M, M) float32 OKS, and (..., M, M) bool, whether a pair has a keypoint in common; OKS is 0 where not.
    """
    keypoints, visibility, boxes = keypoints.float(), visibility.float(), boxes.float()
    areas = AREA_PER_BOX * (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)
    areas = ((areas[..., :, None] + areas[..., None, :]) / 2).clamp(min=MIN_AREA)
    shared = visibility @ visibility.transpose(-1, -2)
    total = torch.zeros_like(shared)
    for k, sigma in enumerate(sigmas.float()):  # one by one, so that memory does not grow with K
        x, y, seen = keypoints[..., k, 0], keypoints[..., k, 1], visibility[..., k]
        squared = (x[..., :, None] - x[..., None, :]) ** 2 + (y[..., :, None] - y[..., None, :]) ** 2
        weight = seen[..., :, None] * seen[..., None, :]
        total.addcmul_(torch.exp(-squared / (8 * sigma**2 * areas)), weight)
    comparable = shared > 0
    return torch.where(comparable, total / shared.clamp(min=torch.finfo(shared.dtype).tiny), 0), comparable


def compare_detections(
    boxes: Tensor,
    *,
    criterion: str = "box",
    iou_threshold: float,
    oks_threshold: float = 1.0,
    keypoints: Tensor | None = None,
    visibility: Tensor | None = None,
    sigmas: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compare every pair of detections of an image.

    Args:
        boxes: (..., M, 4) xyxy pixels.
        criterion: ``'box'``: IoU; ``'oks'``: OKS; ``'box_oks'``: both, the pair is one object only if both say so. Pairs
            without a common keypoint, and detections without keypoints, are compared by their boxes.
        iou_threshold: IoU above which two boxes are one object.
        oks_threshold: OKS above which two poses are one person.
        keypoints: (..., M, K, 2) pixels, needed unless the criterion is ``'box'``.
        visibility: (..., M, K) probabilities, likewise.
        sigmas: (K,), likewise.

    Returns:
        (..., M, M) float32 similarity (for ``'box_oks'`` the smaller one) and (..., M, M) bool, whether a pair is one
        object.

    Raises:
        ValueError: If the criterion is not known.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    iou = pairwise_iou(boxes, boxes)
    overlap = iou > iou_threshold
    if criterion == "box" or keypoints is None or not keypoints.shape[-2]:
        return iou, overlap
    oks, comparable = mutual_oks(keypoints, visibility, boxes, sigmas)
    agree = oks > oks_threshold
    if criterion == "box_oks":
        oks, agree = torch.minimum(iou, oks), agree & overlap
    return torch.where(comparable, oks, iou), torch.where(comparable, agree, overlap)


def soft_scores(
    similarity: Tensor,
    same: Tensor,
    scores: Tensor,
    *,
    method: str = "gaussian",
    sigma: float = 0.5,
    score_thr: float = 0.0,
    max_count: int | None = None,
) -> Tensor:
    """Soft-NMS: lower the scores of what resembles a better detection instead of dropping it.

    Args:
        similarity: (B, M, M) 0 to 1; 0 for pairs that do not compete (of different classes).
        same: (B, M, M) bool, above the threshold; used by ``'linear'``.
        scores: (B, M), ``-inf`` for no candidate.
        method: ``'linear'``: times ``1 - similarity`` where ``same``; ``'gaussian'``: times ``exp(-similarity^2 / sigma)``.
        sigma: Of ``'gaussian'``.
        score_thr: What does not stay above it is dropped.
        max_count: Most detections an image; None for all.

    Returns:
        (B, M) new scores, ``-inf`` for what is dropped.

    Raises:
        ValueError: If the method is not known.

    Source: Bodla et al., Soft-NMS, ICCV 2017, equations 2 and 3.
    """
    if method not in SOFT_METHODS[1:]:
        raise ValueError(f"soft-NMS must be one of {', '.join(SOFT_METHODS[1:])}, not {method!r}")
    decay = torch.exp(-(similarity**2) / sigma) if method == "gaussian" else torch.where(same, 1 - similarity, 1.0)
    rows = torch.arange(len(scores), device=scores.device)
    left, final = scores.clone(), torch.full_like(scores, -torch.inf)
    for _ in range(min(scores.shape[-1], max_count or scores.shape[-1])):
        value, best = left.max(-1)
        going = value > score_thr
        if not going.any():
            break
        final[rows, best] = torch.where(going, value, final[rows, best])
        left = torch.where(left > -torch.inf, left * decay[rows, best], left)  # never -inf * 0
        left[rows, best] = -torch.inf
    return final


def suppress_poses(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor | None = None,
    *,
    soft: str = "none",
    soft_sigma: float = 0.5,
    score_thr: float = 0.0,
    max_count: int | None = None,
    **criterion: Any,
) -> Tensor:
    """Suppress doubles in a batch.

    Args:
        boxes: (B, M, 4) xyxy pixels, best first.
        scores: (B, M) descending; ``-inf`` for no candidate.
        groups: (B, M) integers; detections of different groups (classes) do not compete.
        soft: ``'none'``, or a method of :func:`soft_scores`.
        soft_sigma: See there, as ``score_thr`` and ``max_count``.
        score_thr: Used by soft suppression alone.
        max_count: Likewise.
        **criterion: Arguments of :func:`compare_detections`.

    Returns:
        (B, M) scores, ``-inf`` for what is suppressed; soft suppression lowers others, which are then no longer sorted.
    """
    similarity, same = compare_detections(boxes, **criterion)
    if groups is not None:
        compete = groups[..., :, None] == groups[..., None, :]
        similarity, same = similarity * compete, same & compete
    if soft == "none":
        return scores.masked_fill(~greedy_survivors(same, scores > -torch.inf), -torch.inf)
    return soft_scores(
        similarity, same, scores, method=soft, sigma=soft_sigma, score_thr=score_thr, max_count=max_count
    )
