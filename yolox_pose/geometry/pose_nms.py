"""NMS by boxes, by poses or by both, hard or soft, in numpy, one image at a time.

:mod:`yolox_pose.ops.pose_nms` does the same for batches in torch. Letters: n detections, b and m of them, K keypoints.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from yolox_pose.geometry.boxes import pairwise_iou
from yolox_pose.geometry.nms import greedy_survivors
from yolox_pose.geometry.oks import mutual_oks
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings, check_settings

BLOCK = 64
"""Detections that are resolved together."""

Compare = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Function from the indices of b and of m detections to their similarities (b, m) and whether pairs are duplicates (b, m)."""


def suppress_duplicates(
    detections: Detections, settings: PostprocessSettings, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Suppress the duplicates in one image. Only detections of one class compete.

    Args:
        detections: n detections. Of equal scores, the lower index comes first.
        settings: Type and thresholds of NMS; ``score_thr`` and ``max_per_img`` apply to soft-NMS only.
        sigmas: OKS constants of shape (K,).

    Returns:
        Indices of the kept detections, best first, shape (m,), int64, and their scores, shape (m,).

    Raises:
        UsageError: If the type of NMS is unknown.
    """
    check_settings({"nms_type": settings.nms_type, "soft_nms": settings.soft_nms})
    order = np.argsort(-detections.scores.astype(np.float64), kind="stable")
    ranked = detections.select(order)

    def compare(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity, duplicate = compare_detections(ranked.select(rows), ranked.select(columns), settings, sigmas)
        compete = ranked.labels[rows, None] == ranked.labels[columns]
        return similarity * compete, duplicate & compete

    if settings.soft_nms != "none":
        kept, scores = _soft_nms(ranked.scores.astype(np.float64), compare, settings)
        return order[kept], scores
    kept = _greedy(len(order), lambda rows, columns: compare(rows, columns)[1])
    return order[kept], ranked.scores[kept]


def compare_detections(
    first: Detections, second: Detections, settings: PostprocessSettings, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare every pair of detections; pairs without a common keypoint are compared by their boxes.

    Args:
        first: m detections.
        second: n detections.
        settings: Type and thresholds of NMS.
        sigmas: OKS constants of shape (K,).

    Returns:
        Similarity of shape (m, n), for ``'box_oks'`` the smaller of IoU and OKS, and whether a pair is a duplicate, (m, n)
        bool.
    """
    iou = pairwise_iou(first.boxes, second.boxes)
    overlap = iou > settings.nms_thr
    if settings.nms_type == "box" or not first.keypoints.shape[1]:
        return iou, overlap
    oks, comparable = mutual_oks(first, second, sigmas)
    agree = oks > settings.oks_thr
    if settings.nms_type == "box_oks":
        oks, agree = np.minimum(iou, oks), agree & overlap
    return np.where(comparable, oks, iou), np.where(comparable, agree, overlap)


def _greedy(count: int, duplicate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the indices, ascending, that survive greedy suppression of candidates sorted best first.

    Blocks of the best are resolved within themselves and then suppress the rest, as in :func:`yolox_pose.geometry.nms.nms`.
    """
    kept, remaining = [], np.arange(count)
    while len(remaining):
        block, remaining = remaining[:BLOCK], remaining[BLOCK:]
        block = block[greedy_survivors(np.triu(duplicate(block, block), 1))]
        kept.append(block)
        if len(remaining):
            remaining = remaining[~duplicate(block, remaining).any(axis=0)]
    return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def _soft_nms(scores: np.ndarray, compare: Compare, settings: PostprocessSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices, best first, and the new scores that soft-NMS keeps of sorted scores (n,)."""
    ids = np.arange(len(scores))
    kept: list[int] = []
    kept_scores: list[float] = []
    for _ in range(min(len(scores), settings.max_per_img)):
        # Keep the best remaining detection
        best = int(scores.argmax())
        if not scores[best] > settings.score_thr:
            break
        kept.append(best)
        kept_scores.append(float(scores[best]))

        # Lower the scores of the others
        similarity, duplicate = (values[0] for values in compare(ids[best : best + 1], ids))
        linear = np.where(duplicate, 1 - similarity, 1.0)
        scores = scores * (linear if settings.soft_nms == "linear" else np.exp(-(similarity**2) / settings.soft_sigma))
        scores[kept] = -np.inf
    return np.asarray(kept, np.int64), np.asarray(kept_scores)
