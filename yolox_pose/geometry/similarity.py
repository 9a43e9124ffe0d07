"""How alike boxes and poses are, pair by pair, in numpy. Letters: m and n instances, K keypoints."""

from __future__ import annotations

import numpy as np

from yolox_pose.structures.constants import MIN_AREA


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Areas (...) of boxes (..., 4) xyxy; 0 where a side is negative."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU (m, n) of every box of (m, 4) with every box of (n, 4), or (m, n, 4), xyxy; boxes without area have 0."""
    low = np.maximum(first[:, None, :2], second[..., :2])
    high = np.minimum(first[:, None, 2:], second[..., 2:])
    sides = np.maximum(high - low, 0)
    overlap = sides[..., 0] * sides[..., 1]
    union = box_areas(first)[:, None] + box_areas(second) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def pairwise_touching(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether each box of (m, 4) and each of (n, 4), xyxy, have a point in common, (m, n); boxes without area can, too."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    return (low <= high).all(-1)


def oks(
    first: np.ndarray,
    second: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """OKS of poses with others: the mean of ``exp(-d^2 / (2 * area * (2 * sigma)^2))``.

    Args:
        first: (..., K, 2) pixels.
        second: (..., K, 2) pixels; shapes are broadcast, so that ``first[:, None]`` gives every pair.
        areas: (...) square pixels.
        sigmas: (K,).
        weights: (..., K) of each keypoint in the mean; None counts all alike.

    Returns:
        (...); 0 where all weights are 0.
    """
    squared = sum(np.square(first[..., axis] - second[..., axis]) for axis in range(2))
    variances = 2 * np.maximum(areas, MIN_AREA)[..., None] * np.square(2 * np.asarray(sigmas))
    similarity = np.exp(-squared / variances)
    if weights is None:
        return similarity.mean(-1)
    weights = np.broadcast_to(weights, similarity.shape).astype(similarity.dtype)
    total = np.einsum("...k->...", weights)  # several times as fast as sum over so short an axis
    weighted = np.einsum("...k,...k->...", similarity, weights)
    return np.divide(weighted, total, out=np.zeros(total.shape), where=total > 0)
