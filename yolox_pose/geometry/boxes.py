"""Boxes in numpy: priors, decoding, areas and IoU; :mod:`yolox_pose.ops.boxes` does the same in torch.

Letters: m and n boxes, N priors. Boxes are xyxy in pixels, in continuous coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grid_priors(size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """Compute the grid points of all levels, row by row, level after level.

    Args:
        size: Height and width of the network's input in pixels.
        strides: Pixels of the input per cell of each level.

    Returns:
        Priors ``(x, y, stride)`` of shape (N, 3), float32.
    """
    levels = []
    for stride in strides:
        y, x = np.mgrid[0 : size[0] // stride, 0 : size[1] // stride].reshape(2, -1).astype(np.float32) * stride
        levels.append(np.stack([x, y, np.full_like(x, stride)], axis=-1))
    return np.concatenate(levels)


def decode_boxes(encoded: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Decode the outputs of the box branch: ``center = p * stride + prior``, ``size = exp(p) * stride``.

    Args:
        encoded: Encoded boxes of shape (n, 4).
        priors: Priors of shape (n, 3).

    Returns:
        Boxes of shape (n, 4), xyxy in pixels.
    """
    stride = priors[:, 2:]
    center = encoded[:, :2] * stride + priors[:, :2]
    half = np.exp(encoded[:, 2:]) * stride / 2
    return np.concatenate([center - half, center + half], axis=-1)


def box_areas(boxes: np.ndarray) -> np.ndarray:
    """Compute the areas (...) of boxes (..., 4); 0 where a side is negative."""
    return np.maximum(boxes[..., 2] - boxes[..., 0], 0) * np.maximum(boxes[..., 3] - boxes[..., 1], 0)


def intersection_areas(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the intersection areas (...) of boxes (..., 4) and (..., 4) that broadcast."""
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    return np.maximum(width, 0) * np.maximum(height, 0)


def aligned_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the IoU (...) of boxes (..., 4) and (..., 4) that broadcast; boxes without area have IoU 0."""
    intersection = intersection_areas(first, second)
    union = box_areas(first) + box_areas(second) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def pairwise_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the IoU of every box of ``first`` with boxes of ``second``.

    Args:
        first: Boxes of shape (m, 4).
        second: Boxes of shape (n, 4), or (m, n, 4) with other boxes for each row of ``first``.

    Returns:
        IoU of shape (m, n); boxes without area have IoU 0.
    """
    return aligned_iou(first[:, None], second)


def iou_above(first: np.ndarray, second: np.ndarray, threshold: float) -> np.ndarray:
    """Check, without dividing, whether the IoU of boxes (..., 4) and (..., 4) is above a threshold: (...) bool."""
    intersection = intersection_areas(first, second)
    return intersection > (box_areas(first) + box_areas(second) - intersection) * threshold


def pairwise_touching(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Check whether boxes (m, 4) and (n, 4) have a point in common: (m, n) bool. Boxes without area can touch, too."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    return (low <= high).all(-1)
