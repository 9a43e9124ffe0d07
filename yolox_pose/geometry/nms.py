"""Greedy non-maximum suppression of boxes in numpy, without a Python loop over boxes.

Letters: n boxes, b boxes of one block, p pairs.
"""

from __future__ import annotations

import numpy as np

from yolox_pose.geometry.boxes import iou_above

BLOCK = 192
"""Boxes that are resolved together. Larger blocks make fewer calls where boxes are spread, smaller ones less work where many
boxes lie on few persons. 160 to 256 were the best compromise for 300 to 3,000 boxes."""

_ROUNDING = 1e-4
"""Relative enlargement of the search windows, so that rounding cannot hide a pair."""


def nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, labels: np.ndarray | None = None) -> np.ndarray:
    """Keep boxes in score order and drop each box whose IoU with a kept box is above the threshold.

    The result equals the textbook greedy loop. The best remaining boxes form a block, which is resolved within itself; its
    survivors then suppress boxes among the rest. Only pairs that can overlap enough are compared: an IoU above t needs a
    common width above t times the width of either box. Their left sides then differ by less than (1 - t) times the width of
    the left box, and a sorted search finds such pairs.

    Args:
        boxes: Boxes of shape (n, 4), xyxy in pixels. A box without area overlaps nothing.
        scores: Scores of shape (n,). Of equal scores, the lower index comes first.
        threshold: IoU above which the box of the lower score is dropped.
        labels: Class labels of shape (n,). If given, only boxes of one class suppress each other.

    Returns:
        Indices of the kept boxes, best first, shape (m,), int64.

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


def resolve_pairs(better: np.ndarray, worse: np.ndarray, count: int) -> np.ndarray:
    """Find the greedy survivors among candidates that are sorted best first.

    A candidate is suppressed by better survivors only. That rule is applied repeatedly, starting from "all survive". Each
    round settles at least one more candidate, so ``count`` rounds are enough.

    Args:
        better: Index of the better candidate of each duplicate pair, shape (p,).
        worse: Index of the worse candidate of each pair, shape (p,).
        count: Number of candidates.

    Returns:
        Mask of shape (count,), true for survivors.

    Source: Zheng et al., Cluster-NMS, IEEE Transactions on Cybernetics 2022.
    """
    survive: np.ndarray = np.ones(count, dtype=bool)
    for _ in range(count):
        updated: np.ndarray = np.ones(count, dtype=bool)
        updated[worse[survive[better]]] = False
        if np.array_equal(updated, survive):
            break
        survive = updated
    return survive


def greedy_survivors(suppresses: np.ndarray) -> np.ndarray:
    """Find the greedy survivors among b candidates that are sorted best first.

    Args:
        suppresses: Duplicate pairs in the upper triangle, shape (b, b), bool: [i, j] with i < j says that i suppresses j.

    Returns:
        Mask of shape (b,), true for survivors.
    """
    better, worse = np.nonzero(suppresses)
    return resolve_pairs(better, worse, len(suppresses))


def _greedy(boxes: np.ndarray, scores: np.ndarray, threshold: float, labels: np.ndarray | None) -> np.ndarray:
    """Return the indices that :func:`nms` keeps."""
    remaining = np.argsort(-scores.astype(np.float64), kind="stable")
    kept = []
    while len(remaining):
        # Resolve the best boxes among themselves
        block, remaining = remaining[:BLOCK], remaining[BLOCK:]
        better, worse = _overlapping_pairs_within(boxes[block], threshold)
        if labels is not None:
            same = labels[block[better]] == labels[block[worse]]
            better, worse = better[same], worse[same]
        block = block[resolve_pairs(better, worse, len(block))]
        kept.append(block)

        # Drop the duplicates of the survivors among the rest
        if len(remaining):
            better, worse = _overlapping_pairs(boxes[block], boxes[remaining], threshold)
            if labels is not None:
                worse = worse[labels[block[better]] == labels[remaining[worse]]]
            remaining = np.delete(remaining, worse)
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def _overlapping_pairs(first: np.ndarray, second: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (p,) and (p,) of all pairs of (m, 4) and (n, 4) boxes whose IoU is above the threshold."""
    slack = _slack(threshold)
    i, j = _window_pairs(first, second, slack, "left")
    other_j, other_i = _window_pairs(second, first, slack, "right")
    i, j = np.concatenate([i, other_i]), np.concatenate([j, other_j])
    return _select_overlapping(first, second, i, j, threshold)


def _overlapping_pairs_within(boxes: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (p,) and (p,) of all pairs of (n, 4) boxes with an IoU above the threshold, lower index first.

    Pairs with equal left sides may occur twice.
    """
    i, j = _window_pairs(boxes, boxes, _slack(threshold), "left")
    different = np.flatnonzero(i != j)
    i, j = i.take(different), j.take(different)
    return _select_overlapping(boxes, boxes, np.minimum(i, j), np.maximum(i, j), threshold)


def _slack(threshold: float) -> float:
    """Return the largest shift of two boxes with an IoU above the threshold, relative to the side of the first."""
    return (1 - threshold) * (1 + _ROUNDING) + _ROUNDING


def _select_overlapping(
    first: np.ndarray, second: np.ndarray, i: np.ndarray, j: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Select the pairs (p,), (p,) whose IoU is above the threshold."""
    # Rule out most pairs by their tops, which is cheap
    slack = _slack(threshold)
    (top, reach), (other_top, other_reach) = _vertical_windows(first, slack), _vertical_windows(second, slack)
    near = np.flatnonzero((other_top.take(j) <= reach.take(i)) & (top.take(i) <= other_reach.take(j)))
    i, j = i.take(near), j.take(near)

    # Compute the IoU of the others
    overlapping = np.flatnonzero(iou_above(first.take(i, 0), second.take(j, 0), threshold))
    return i.take(overlapping), j.take(overlapping)


def _vertical_windows(boxes: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the tops (n,) of boxes, and the lowest tops (n,) of boxes below that can overlap them enough."""
    top = np.ascontiguousarray(boxes[:, 1])
    return top, top + slack * np.maximum(boxes[:, 3] - top, 0)


def _window_pairs(first: np.ndarray, second: np.ndarray, slack: float, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (p,), (p,) where the left side of the second box lies in the first ``slack`` of the first box's width.

    ``side`` is ``"left"`` to include pairs with equal left sides, ``"right"`` to exclude them.
    """
    # Sort the second boxes by their left sides and look up the window of each first box
    order = np.argsort(second[:, 0], kind="stable")
    lefts = second[order, 0]
    start = np.searchsorted(lefts, first[:, 0], side=side)  # type: ignore[call-overload]
    stop = np.searchsorted(lefts, first[:, 0] + slack * np.maximum(first[:, 2] - first[:, 0], 0), side="right")

    # Enumerate the boxes of all windows
    counts = np.maximum(stop - start, 0)
    shift = start - (np.cumsum(counts) - counts)
    return np.repeat(np.arange(len(first)), counts), order[np.arange(counts.sum()) + np.repeat(shift, counts)]
