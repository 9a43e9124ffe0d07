"""Fusion of the detections of several augmented views of one image (shape letters: see :mod:`yolox_pose.ops`).

M detections of all views together, V views, H fused detections.
"""

from __future__ import annotations

import torch
from torch import Tensor

from yolox_pose.ops.nms import greedy_survivors
from yolox_pose.ops.structures import DetectionTensors


def flip_boxes(boxes: Tensor, width: float) -> Tensor:
    """Mirror boxes (..., 4) xyxy in an image of that width: ``x`` becomes ``width - x``."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def flip_keypoints(keypoints: Tensor, width: float, flip_indices: Tensor) -> Tensor:
    """Mirror keypoints (..., K, 2) in an image of that width and swap left and right by the permutation (K,)."""
    x, y = keypoints[..., flip_indices, :].unbind(-1)
    return torch.stack([width - x, y], dim=-1)


def fuse_views(detections: DetectionTensors, view_ids: Tensor, duplicate: Tensor, num_views: int) -> DetectionTensors:
    """Average the detections of each object over the augmented views.

    Greedy NMS over all views finds the objects; each view then contributes its best detection of an object. Boxes are averaged
    with their scores as weights, keypoints with score times keypoint score. The score of an object is the mean over all views,
    and a view without a detection of it counts 0: detections of a single view are more often wrong.

    Args:
        detections: M detections of all views, with positive scores, in pixels of the source; those of mirrored views mirrored
            back.
        view_ids: Index of the view of each detection, shape (M,), int64.
        duplicate: Mask of shape (M, M), true for pairs that are one object (:func:`yolox_pose.ops.compare_detections`).
        num_views: Number of views, V.

    Returns:
        The fused detections, best first. If all views agree exactly, so does the result.

    Source: Solovyev et al., Weighted boxes fusion, Image and Vision Computing 2021, adapted to poses.
    """
    if not len(detections.scores):
        return detections

    # Sort by score
    order = detections.scores.argsort(descending=True, stable=True)
    boxes, scores, labels = detections.boxes[order], detections.scores[order], detections.labels[order]
    duplicate = duplicate[order][:, order] & (labels[:, None] == labels)

    # Find the objects and the detections of each
    heads = greedy_survivors(duplicate, torch.ones_like(scores, dtype=torch.bool)).nonzero()[:, 0]
    weights = _memberships(duplicate, heads, view_ids[order], num_views) * scores  # (H, M)

    # Average boxes and scores
    fused = DetectionTensors(_average(boxes, weights, heads), weights.sum(-1) / num_views, labels[heads])

    # Average keypoints, by scores alone where no view has a score for a keypoint
    if detections.keypoints is not None and detections.keypoint_scores is not None:
        keypoints, keypoint_scores = detections.keypoints[order], detections.keypoint_scores[order]
        keypoint_weights = weights[..., None] * keypoint_scores  # (H, M, K)
        has_weight = keypoint_weights.sum(1, keepdim=True) > 0
        keypoint_weights = torch.where(has_weight, keypoint_weights, weights[..., None])
        fused = fused._replace(
            keypoints=_average(keypoints, keypoint_weights, heads),
            keypoint_scores=_average(keypoint_scores, weights, heads),
        )

    # Sort by the new scores
    rank = fused.scores.argsort(descending=True, stable=True)
    return DetectionTensors._make(None if values is None else values[rank] for values in fused)


def _memberships(duplicate: Tensor, heads: Tensor, view_ids: Tensor, num_views: int) -> Tensor:
    """Find the detections that contribute to each object.

    A detection belongs to the best head that it is a duplicate of. Each view contributes its best detection only.

    Args:
        duplicate: Mask of shape (M, M), sorted best first.
        heads: Index of the best detection of each object, shape (H,).
        view_ids: Index of the view of each detection, shape (M,).
        num_views: V.

    Returns:
        Float tensor of shape (H, M), 1 for members and 0 for others.
    """
    # Assign each detection to one head
    member = duplicate[heads]
    member[torch.arange(len(heads), device=heads.device), heads] = True  # also a box without area
    first_head = torch.zeros_like(member).scatter_(0, member.to(torch.uint8).argmax(0, keepdim=True), True)
    member = first_head & member
    member[:, heads] = heads[:, None] == heads

    # Keep the best member of each view
    views = torch.arange(num_views, device=view_ids.device)[:, None]
    in_view = member[:, None] & (view_ids == views)  # (H, V, M)
    best_in_view = in_view & (in_view.cumsum(-1) == 1)
    return best_in_view.any(1).float()


def _average(values: Tensor, weights: Tensor, heads: Tensor) -> Tensor:
    """Compute the weighted mean over M, as the head's value plus the mean difference from it.

    Args:
        values: Values of shape (M, ...).
        weights: Weights of shape (H, M), or (H, M, K) for values (M, K, ...).
        heads: Index of the head of each object, shape (H,).

    Returns:
        Means of shape (H, ...).
    """
    weights = weights / weights.sum(1, keepdim=True)
    weights = weights.reshape(*weights.shape, *[1] * (values.ndim - weights.ndim + 1))
    head_values = values[heads]
    return head_values + (weights * (values[None] - head_values[:, None])).sum(1)
