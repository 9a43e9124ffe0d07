"""Merging the detections of several views of one image (shape letters: see :mod:`yolox_pose.ops`).

M detections of all views together, V views, H merged detections.
"""

from __future__ import annotations

import torch
from torch import Tensor

from yolox_pose.ops.nms import greedy_survivors
from yolox_pose.ops.structures import DetectionTensors


def flip_boxes(boxes: Tensor, width: float) -> Tensor:
    """Boxes (..., 4) xyxy of the mirrored image of that width: ``x`` becomes ``width - x``."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def flip_keypoints(keypoints: Tensor, width: float, flip_indices: Tensor) -> Tensor:
    """Keypoints (..., K, 2) of the mirrored image; left and right swap by the permutation (K,)."""
    x, y = keypoints[..., flip_indices, :].unbind(-1)
    return torch.stack([width - x, y], dim=-1)


def merge_views(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    views: Tensor,
    same: Tensor,
    num_views: int,
    keypoints: Tensor | None = None,
    keypoint_scores: Tensor | None = None,
) -> DetectionTensors:
    """Average what several views say of one object.

    Greedy suppression over all views finds the objects; each view then gives at most its best detection of an object.
    Boxes are averaged by their scores, keypoints by score times keypoint score. An object's score is the mean over all
    views, where one that did not see it counts 0: what only one view reports is more often wrong, and the union of views
    would collect their false alarms.

    Args:
        boxes: (M, 4) xyxy pixels of the source, those of mirrored views mirrored back.
        scores: (M,), positive.
        labels: (M,).
        views: (M,) int64 number of the view.
        same: (M, M) bool, whether two detections are one object (:func:`yolox_pose.ops.compare_detections`).
        num_views: V.
        keypoints: (M, K, 2), or None.
        keypoint_scores: (M, K), or None.

    Returns:
        The merged detections. Where all views agree exactly, exactly theirs.

    Source: Solovyev et al., Weighted boxes fusion, Image and Vision Computing 2021, adapted to poses.
    """
    if not len(scores):
        return DetectionTensors(boxes, scores, labels, keypoints, keypoint_scores)
    order = scores.argsort(descending=True, stable=True)
    boxes, scores, labels, views = boxes[order], scores[order], labels[order], views[order]
    same = same[order][:, order] & (labels[:, None] == labels)
    heads = greedy_survivors(same, torch.ones_like(scores, dtype=torch.bool)).nonzero()[:, 0]
    weights = _memberships(same, heads, views, num_views) * scores  # (H, M)
    found = DetectionTensors(_average(boxes, weights, heads), weights.sum(-1) / num_views, labels[heads])
    if keypoints is not None:
        keypoints, keypoint_scores = keypoints[order], keypoint_scores[order]
        by_keypoint = weights[..., None] * keypoint_scores  # (H, M, K)
        by_keypoint = torch.where(by_keypoint.sum(1, keepdim=True) > 0, by_keypoint, weights[..., None])
        found = found._replace(
            keypoints=_average(keypoints, by_keypoint, heads),
            keypoint_scores=_average(keypoint_scores, weights, heads),
        )
    rank = found.scores.argsort(descending=True, stable=True)
    return DetectionTensors(*(None if column is None else column[rank] for column in found))


def _memberships(same: Tensor, heads: Tensor, views: Tensor, num_views: int) -> Tensor:
    """(H, M) 0 or 1: detections belong to the best head that they overlap, the best one of each view alone."""
    ties = same[heads]
    ties[torch.arange(len(heads), device=heads.device), heads] = True  # also a box without area
    owner = torch.zeros_like(ties).scatter_(0, ties.to(torch.uint8).argmax(0, keepdim=True), True) & ties
    owner[:, heads] = heads[:, None] == heads
    in_view = owner[:, None] & (views == torch.arange(num_views, device=views.device)[:, None])  # (H, V, M)
    first = in_view & (in_view.cumsum(-1) == 1)
    return first.any(1).float()


def _average(values: Tensor, weights: Tensor, heads: Tensor) -> Tensor:
    """Weighted mean of (M, ...) values over M, as the head's own value and a mean difference from it: (H, ...).

    Args:
        values: (M, ...).
        weights: (H, M), or (H, M, K) for values (M, K, ...).
        heads: (H,) rows of the values.
    """
    weights = weights / weights.sum(1, keepdim=True)
    weights = weights.reshape(*weights.shape, *[1] * (values.ndim - weights.ndim + 1))
    own = values[heads]
    return own + (weights * (values[None] - own[:, None])).sum(1)
