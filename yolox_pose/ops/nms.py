"""Greedy non-maximum suppression of a batch, without a loop over boxes (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou


def batched_nms(boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None) -> Tensor:
    """Greedy NMS: a box is dropped if its IoU with a kept box of a higher score is above ``threshold``.

    The greedy answer is the only set in which a box is kept exactly if no kept, better box overlaps it. It is reached by
    repeating that rule from "all kept" until nothing changes: as many rounds as the longest chain of suppressions.

    Args:
        boxes: (..., M, 4) xyxy in pixels.
        scores: (..., M); of equal scores the lower index is the better one. Boxes with score ``-inf`` are never kept.
        threshold: IoU above which the lower box goes.
        groups: (..., M) integers; boxes of different groups (classes) do not suppress each other.

    Returns:
        (..., M) bool, true for kept boxes.
    """
    order = scores.argsort(dim=-1, descending=True, stable=True)
    ranked = boxes.gather(-2, order[..., None].expand(*order.shape, 4))
    suppresses = pairwise_iou(ranked, ranked) > threshold
    if groups is not None:
        group = groups.gather(-1, order)
        suppresses &= group[..., :, None] == group[..., None, :]
    kept = greedy_survivors(suppresses, scores.gather(-1, order) > -torch.inf)
    return torch.zeros_like(kept).scatter_(-1, order, kept)


def greedy_survivors(suppresses: Tensor, possible: Tensor) -> Tensor:
    """Greedy answer for candidates that are given best first.

    Args:
        suppresses: (..., M, M) bool, whether the pair is one object; only [i, j] with i < j counts: i suppresses j.
        possible: (..., M) bool, the candidates; others are never kept and suppress nothing.

    Returns:
        (..., M) bool.
    """
    suppresses = suppresses.triu(1)  # [..., i, j]: i is better than j and overlaps it
    kept = possible
    while True:
        updated = possible & ~(suppresses & kept[..., :, None]).any(-2)
        if torch.equal(updated, kept):
            return kept
        kept = updated
