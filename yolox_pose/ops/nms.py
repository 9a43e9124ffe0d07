"""Greedy non-maximum suppression of a batch, without a loop over boxes (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou


def batched_nms(boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None) -> Tensor:
    """Drop each box whose IoU with a kept box of a higher score is above the threshold.

    Args:
        boxes: Boxes of shape (..., M, 4), xyxy in pixels.
        scores: Scores of shape (..., M). Of equal scores, the lower index comes first. Boxes of score ``-inf`` are dropped.
        threshold: IoU above which the box of the lower score is dropped.
        groups: Integers of shape (..., M). Boxes of different groups (classes) do not suppress each other.

    Returns:
        Mask of shape (..., M), true for kept boxes.
    """
    # Sort by score
    order = scores.argsort(dim=-1, descending=True, stable=True)
    ranked = boxes.gather(-2, order[..., None].expand(*order.shape, 4))

    # Find the duplicate pairs
    suppresses = pairwise_iou(ranked, ranked) > threshold
    if groups is not None:
        group = groups.gather(-1, order)
        suppresses &= group[..., :, None] == group[..., None, :]

    # Resolve them and undo the sorting
    kept = greedy_survivors(suppresses, scores.gather(-1, order) > -torch.inf)
    return torch.zeros_like(kept).scatter_(-1, order, kept)


def greedy_survivors(suppresses: Tensor, possible: Tensor) -> Tensor:
    """Find the greedy survivors among candidates that are sorted best first.

    The greedy answer is the only set in which a candidate survives exactly if no better survivor suppresses it. That rule is
    applied repeatedly, starting from "all survive". Each round settles at least one more candidate, so M rounds are enough.

    Args:
        suppresses: Duplicate pairs of shape (..., M, M), bool; only [i, j] with i < j counts: i suppresses j.
        possible: Mask of shape (..., M), true for candidates. Others never survive and suppress nothing.

    Returns:
        Mask of shape (..., M), true for survivors.

    Source: Zheng et al., Cluster-NMS, IEEE Transactions on Cybernetics 2022.
    """
    suppresses = suppresses.triu(1)
    kept = possible
    for _ in range(possible.shape[-1]):
        updated = possible & ~(suppresses & kept[..., :, None]).any(-2)
        if torch.equal(updated, kept):
            break
        kept = updated
    return kept
