"""Greedy non-maximum suppression of boxes in numpy, without a Python loop over boxes.

Letters: n boxes, b boxes of one block, p pairs.
"""

from __future__ import annotations

import numpy as np

from yolox_pose.geometry.similarity import box_areas

BLOCK = 192
"""Boxes that are resolved together: larger blocks make fewer calls where boxes are spread, smaller ones less work where many lie on few
persons. 160 to 256 were the best compromise for 300 to 3,000 boxes."""

_ROUNDING = 1e-4
"""Pairs are searched in windows that are larger by this share, so that rounding cannot hide one."""


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, labels: np.ndarray | None = None) -> np.ndarray:
    """Keep boxes in score order, dropping each one whose IoU with a kept one is above the threshold.

    Candidates are taken in blocks of the best that are left: the block is resolved inside itself, then its survivors
    strike out what they overlap among the rest. Only pairs are looked at that can overlap by so much: an IoU above t needs
    a common width of more than t times the width of either box, hence left sides that differ by less than (1 - t) times
    the width of the left one, which a sorted search finds. The result equals the textbook greedy loop.

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
    labels = None if labels is None else np.asarray(labels)
    boxes = boxes if np.issubdtype(boxes.dtype, np.floating) else boxes.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite boxes of untrained networks
        return _greedy(boxes, scores, threshold, labels)


def _greedy(boxes: np.ndarray, scores: np.ndarray, threshold: float, labels: np.ndarray | None) -> np.ndarray:
    left = np.argsort(-scores.astype(np.float64), kind="stable")
    kept = []
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        better, worse = _covering_pairs_within(boxes[block], threshold)
        if labels is not None:
            same = labels[block[better]] == labels[block[worse]]
            better, worse = better[same], worse[same]
        block = block[_resolve(better, worse, len(block))]
        kept.append(block)
        if len(left):
            better, worse = _covering_pairs(boxes[block], boxes[left], threshold)
            if labels is not None:
                worse = worse[labels[block[better]] == labels[left[worse]]]
            left = np.delete(left, worse)
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def _covering_pairs(first: np.ndarray, second: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices (p,) and (p,) of all pairs of (m, 4) and (n, 4) boxes whose IoU is above the threshold."""
    slack = _slack(threshold)
    i, j = _window_pairs(first, second, slack, "left")
    other_j, other_i = _window_pairs(second, first, slack, "right")
    i, j = np.concatenate([i, other_i]), np.concatenate([j, other_j])
    return _covering(first, second, i, j, threshold)


def _covering_pairs_within(boxes: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices (p,) and (p,) of all pairs of (n, 4) boxes whose IoU is above the threshold, the lower index first.

    A pair that begins at the same place may be there twice.
    """
    i, j = _window_pairs(boxes, boxes, _slack(threshold), "left")
    different = np.flatnonzero(i != j)
    i, j = i.take(different), j.take(different)
    return _covering(boxes, boxes, np.minimum(i, j), np.maximum(i, j), threshold)


def _slack(threshold: float) -> float:
    return (1 - threshold) * (1 + _ROUNDING) + _ROUNDING


def _covering(
    first: np.ndarray, second: np.ndarray, i: np.ndarray, j: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Those of the pairs (p,), (p,) whose IoU is above the threshold."""
    slack = _slack(threshold)
    (top, reach), (other_top, other_reach) = _vertical_windows(first, slack), _vertical_windows(second, slack)
    near = np.flatnonzero((other_top.take(j) <= reach.take(i)) & (top.take(i) <= other_reach.take(j)))
    i, j = i.take(near), j.take(near)
    covering = np.flatnonzero(overlaps_above(first.take(i, 0), second.take(j, 0), threshold))
    return i.take(covering), j.take(covering)


def _vertical_windows(boxes: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """Tops (n,) of boxes and the lowest tops (n,) of others that can cover them from below."""
    top = np.ascontiguousarray(boxes[:, 1])
    return top, top + slack * np.maximum(boxes[:, 3] - top, 0)


def _window_pairs(first: np.ndarray, second: np.ndarray, slack: float, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (p,), (p,) where the second box begins in the first ``slack`` share of the first one's width.

    Pairs that begin at the same place are found with ``side`` "left" and left out with "right".
    """
    order = np.argsort(second[:, 0], kind="stable")
    begins = second[order, 0]
    start = np.searchsorted(begins, first[:, 0], side=side)  # type: ignore[call-overload]
    stop = np.searchsorted(begins, first[:, 0] + slack * np.maximum(first[:, 2] - first[:, 0], 0), side="right")
    counts = np.maximum(stop - start, 0)
    shift = start - (np.cumsum(counts) - counts)
    return np.repeat(np.arange(len(first)), counts), order[np.arange(counts.sum()) + np.repeat(shift, counts)]


def overlaps_above(first: np.ndarray, second: np.ndarray, threshold: float) -> np.ndarray:
    """Tell of which pairs of boxes, (p, 4) and (p, 4) xyxy, the IoU is above the threshold: (p,) bool."""
    width = np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0])
    height = np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    return intersection > (box_areas(first) + box_areas(second) - intersection) * threshold


def _resolve(better: np.ndarray, worse: np.ndarray, count: int) -> np.ndarray:
    """Greedy survivors, (b,) bool, of ``count`` boxes, where pairs (p,) say which better box covers which worse one.

    A box is struck out by surviving better ones only. Repeating that rule from "all survive" settles one more box of
    every chain of overlaps each time, at most b times (Cluster-NMS, Zheng et al., IEEE T-Cybernetics 2022, prove it).
    """
    survive: np.ndarray = np.ones(count, dtype=bool)
    while True:
        new: np.ndarray = np.ones(count, dtype=bool)
        new[worse[survive[better]]] = False
        if np.array_equal(new, survive):
            return survive
        survive = new
