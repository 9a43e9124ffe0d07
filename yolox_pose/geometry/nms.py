"""Greedy non-maximum suppression of boxes in numpy, without a Python loop over boxes.

Letters: n boxes, b rows of one block.
"""

from __future__ import annotations

import numpy as np

BLOCK = 64
"""Boxes that are resolved together. 32 to 128 were equally fast for 300 to 5,000 boxes; larger ones leave the cache."""


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, labels: np.ndarray | None = None) -> np.ndarray:
    """Keep boxes in score order, dropping each one whose IoU with a kept one is above the threshold.

    Candidates are taken in blocks of the best that are left: the block is resolved inside itself, then its survivors
    strike out what they overlap among the rest in one array operation. The result equals the textbook greedy loop.

    Args:
        boxes: (n, 4) xyxy pixels. A box without area overlaps nothing.
        scores: (n,) scores; where they are equal the lower index comes first.
        threshold: IoU above which the lower score is dropped.
        labels: (n,) class ids. If given, only boxes of one class suppress each other.

    Returns:
        (m,) int64 indices of the kept boxes, best first.

    Raises:
        ValueError: If the lengths of the arguments differ.
    """
    boxes, scores = np.asarray(boxes), np.asarray(scores)
    if boxes.shape != (len(scores), 4) or (labels is not None and len(labels) != len(scores)):
        raise ValueError(f"nms: boxes {boxes.shape}, scores {scores.shape}, labels do not belong together")
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    if labels is None:
        return order[_nms_sorted(boxes[order], threshold)]
    sorted_labels = np.asarray(labels)[order]
    kept = np.zeros(len(order), dtype=bool)
    for label in np.unique(sorted_labels):
        group = np.flatnonzero(sorted_labels == label)
        kept[group[_nms_sorted(boxes[order[group]], threshold)]] = True
    return order[kept]


def overlap_mask(rows: np.ndarray, columns: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which pairs of boxes, (b, 4) against (n, 4) xyxy, have an IoU above the threshold: (b, n) bool."""
    intersection = _extent(rows, columns, 0)
    intersection *= _extent(rows, columns, 1)
    limit = _areas(rows)[:, None] + _areas(columns)
    limit -= intersection
    limit *= threshold
    return intersection > limit


def _nms_sorted(boxes: np.ndarray, threshold: float) -> np.ndarray:
    """Indices, ascending, that survive greedy NMS of (n, 4) boxes given best first."""
    boxes = boxes if np.issubdtype(boxes.dtype, np.floating) else boxes.astype(np.float64)
    kept, left = [], np.arange(len(boxes))
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        block = block[_resolve(np.triu(overlap_mask(boxes[block], boxes[block], threshold), 1))]
        kept.append(block)
        if len(left):
            left = left[~overlap_mask(boxes[block], boxes[left], threshold).any(axis=0)]
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def _resolve(overlaps: np.ndarray) -> np.ndarray:
    """Greedy survivors, (b,) bool, of a block whose (b, b) upper triangle says which better box covers which worse one.

    A box is struck out by surviving better ones only. Repeating that rule from "all survive" settles one more box of
    every chain of overlaps each time, at most b times (Cluster-NMS, Zheng et al., IEEE T-Cybernetics 2022, prove it).
    """
    survive: np.ndarray = np.ones(len(overlaps), dtype=bool)
    while True:
        new = ~overlaps[survive].any(axis=0)
        if np.array_equal(new, survive):
            return survive
        survive = new


def _extent(rows: np.ndarray, columns: np.ndarray, axis: int) -> np.ndarray:
    """Length, (b, n), of the common part of each pair along one axis."""
    extent = np.minimum(rows[:, None, axis + 2], columns[:, axis + 2])
    extent -= np.maximum(rows[:, None, axis], columns[:, axis])
    return np.maximum(extent, 0, out=extent)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)
