"""Suppression of doubles by boxes, by poses or by both, hard or soft, in numpy.

What :mod:`yolox_pose.ops.pose_nms` does for batches in torch, for one image: the torch-free runtime needs it.
Letters: n detections, b and m of them, K keypoints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.similarity import box_areas, oks, pairwise_iou
from yolox_pose.structures.constants import AREA_PER_BOX

CRITERIA = ("box", "oks", "box_oks")
SOFT_METHODS = ("none", "linear", "gaussian")

BLOCK = 64
"""Detections that are resolved together."""

Compare = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From the indices of b and of n detections to their (b, n) similarities and whether each pair is one object."""


class Poses(NamedTuple):
    """n detections of one image.

    Attributes:
        boxes: (n, 4) xyxy pixels.
        keypoints: (n, K, 2) pixels; K may be 0.
        visibility: (n, K) probabilities.
    """

    boxes: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray

    def select(self, rows: np.ndarray) -> Poses:
        """Some of the detections."""
        return Poses(self.boxes[rows], self.keypoints[rows], self.visibility[rows])


class Suppression(NamedTuple):
    """When two detections are one object, and what becomes of the worse one.

    Attributes:
        criterion: ``'box'``: IoU; ``'oks'``: OKS; ``'box_oks'``: one object only if both say so. Pairs without a common
            keypoint are compared by their boxes.
        iou_threshold: IoU above which two boxes are one object.
        oks_threshold: OKS above which two poses are one person.
        soft: ``'none'`` drops the worse one; ``'linear'`` and ``'gaussian'`` lower its score (Bodla et al., Soft-NMS, ICCV
            2017).
        soft_sigma: Of ``'gaussian'``.
        score_thr: With soft suppression, what does not stay above it is dropped.
        max_count: With soft suppression, most detections; None for all.
    """

    criterion: str = "box"
    iou_threshold: float = 0.65
    oks_threshold: float = 0.5
    soft: str = "none"
    soft_sigma: float = 0.5
    score_thr: float = 0.0
    max_count: int | None = None


def suppress_poses(
    poses: Poses, scores: np.ndarray, sigmas: np.ndarray, settings: Suppression, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Suppress doubles in one image.

    Args:
        poses: n detections.
        scores: (n,); where they are equal the lower index comes first.
        sigmas: (K,) OKS constants.
        settings: What is suppressed.
        labels: (n,) classes; if given, only detections of one class compete.

    Returns:
        (m,) int64 indices of what is kept, best first, and its (m,) scores.

    Raises:
        ValueError: If criterion or method are not known.
    """
    if settings.criterion not in CRITERIA or settings.soft not in SOFT_METHODS:
        raise ValueError(
            f"criterion must be one of {', '.join(CRITERIA)} and soft one of {', '.join(SOFT_METHODS)}, not "
            f"{settings.criterion!r} and {settings.soft!r}"
        )
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    poses, scores = poses.select(order), scores[order]
    groups = np.zeros(len(order), np.int64) if labels is None else np.asarray(labels)[order]

    def compare(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity, same = compare_poses(poses.select(rows), poses.select(columns), sigmas, settings)
        compete = groups[rows, None] == groups[columns]
        return similarity * compete, same & compete

    if settings.soft != "none":
        kept, scores = _soften(scores.astype(np.float64), compare, settings)
        return order[kept], scores
    kept = _greedy(len(order), lambda rows, columns: compare(rows, columns)[1])
    return order[kept], scores[kept]


def compare_poses(a: Poses, b: Poses, sigmas: np.ndarray, settings: Suppression) -> tuple[np.ndarray, np.ndarray]:
    """Similarity, (b, n), of every pair (for ``'box_oks'`` the smaller of the two), and whether it is one object."""
    iou = pairwise_iou(a.boxes, b.boxes)
    overlap = iou > settings.iou_threshold
    if settings.criterion == "box" or not a.keypoints.shape[1]:
        return iou, overlap
    poses, comparable = mutual_oks(a, b, sigmas)
    agree = poses > settings.oks_threshold
    if settings.criterion == "box_oks":
        poses, agree = np.minimum(iou, poses), agree & overlap
    return np.where(comparable, poses, iou), np.where(comparable, agree, overlap)


def mutual_oks(a: Poses, b: Poses, sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OKS, (b, n), of every pair, and whether it has a keypoint in common (OKS is 0 where not).

    Keypoints count by the product of the two visibilities, since neither pose is the truth; the area of a pair is the mean
    of the two, each 0.53 of its box.
    """
    areas = AREA_PER_BOX * (box_areas(a.boxes)[:, None] + box_areas(b.boxes)) / 2
    weights = a.visibility[:, None] * b.visibility
    return oks(a.keypoints[:, None], b.keypoints, areas, sigmas, weights), weights.any(-1)


def _greedy(count: int, same: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Indices, ascending, that survive greedy suppression of candidates given best first.

    Blocks of the best that are left are resolved inside themselves, then strike out the rest, as in
    :func:`yolox_pose.geometry.nms.nms`.
    """
    kept, left = [], np.arange(count)
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        block = block[greedy_survivors(np.triu(same(block, block), 1))]
        kept.append(block)
        if len(left):
            left = left[~same(block, left).any(axis=0)]
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def greedy_survivors(suppresses: np.ndarray) -> np.ndarray:
    """Greedy survivors, (b,) bool, of candidates given best first, whose (b, b) upper triangle says who suppresses whom."""
    survive: np.ndarray = np.ones(len(suppresses), dtype=bool)
    while True:
        new = ~suppresses[survive].any(axis=0)
        if np.array_equal(new, survive):
            return survive
        survive = new


def _soften(left: np.ndarray, compare: Compare, settings: Suppression) -> tuple[np.ndarray, np.ndarray]:
    """Indices, best first, and scores of what soft suppression keeps of sorted (n,) scores."""
    everything = np.arange(len(left))
    kept: list[int] = []
    final: list[float] = []
    for _ in range(min(len(left), settings.max_count or len(left))):
        best = int(left.argmax())
        if not left[best] > settings.score_thr:
            break
        kept.append(best)
        final.append(float(left[best]))
        similarity, same = compare(everything[best : best + 1], everything)
        linear = np.where(same[0], 1 - similarity[0], 1.0)
        left = left * (linear if settings.soft == "linear" else np.exp(-(similarity[0] ** 2) / settings.soft_sigma))
        left[kept] = -np.inf
    return np.asarray(kept, np.int64), np.asarray(final)
