"""Object keypoint similarity (OKS) in numpy; :mod:`yolox_pose.ops.oks` does the same in torch.

Letters: m and n poses, K keypoints.
"""

from __future__ import annotations

import numpy as np

from yolox_pose.geometry.boxes import box_areas
from yolox_pose.structures.constants import AREA_PER_BOX, MIN_AREA
from yolox_pose.structures.detections import Detections


def keypoint_oks(
    first: np.ndarray,
    second: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the OKS of poses, the mean of ``exp(-d^2 / (2 * area * (2 * sigma)^2))`` over the keypoints.

    Args:
        first: Keypoints of shape (..., K, 2) in pixels.
        second: Keypoints of shape (..., K, 2) in pixels. Shapes broadcast, so ``first[:, None]`` gives every pair.
        areas: Areas of shape (...) in square pixels.
        sigmas: OKS constants of shape (K,).
        weights: Weights of the keypoints in the mean, shape (..., K); None weights all alike.

    Returns:
        OKS of shape (...); 0 where all weights are 0.
    """
    # Compute the similarity of each keypoint
    squared = sum(np.square(first[..., axis] - second[..., axis]) for axis in range(2))
    variances = 2 * np.maximum(areas, MIN_AREA)[..., None] * np.square(2 * np.asarray(sigmas))
    similarity = np.exp(-squared / variances)
    if weights is None:
        return similarity.mean(-1)

    # Average with weights; einsum is several times as fast as sum over so short an axis
    weights = np.broadcast_to(weights, similarity.shape).astype(similarity.dtype)
    total = np.einsum("...k->...", weights)
    weighted = np.einsum("...k,...k->...", similarity, weights)
    return np.divide(weighted, total, out=np.zeros(total.shape), where=total > 0)


def mutual_oks(first: Detections, second: Detections, sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the OKS of every pair of detections, symmetric in both.

    Neither pose is the truth: keypoints are weighted by the product of their scores, and the area of a pair is the mean of
    both, each :data:`AREA_PER_BOX` of its box.

    Args:
        first: m detections.
        second: n detections.
        sigmas: OKS constants of shape (K,).

    Returns:
        OKS of shape (m, n), and whether a pair has a keypoint in common, (m, n) bool; OKS is 0 where it has none.
    """
    areas = AREA_PER_BOX * (box_areas(first.boxes)[:, None] + box_areas(second.boxes)) / 2
    weights = first.keypoint_scores[:, None] * second.keypoint_scores
    oks = keypoint_oks(first.keypoints[:, None], second.keypoints, areas, sigmas, weights)
    return oks, weights.any(-1)
