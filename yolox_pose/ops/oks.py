"""Object keypoint similarity: one definition for the loss, the assigner and NMS (shape letters: :mod:`yolox_pose.ops`).

``OKS = mean over labelled keypoints of exp(-d^2 / (2 * area * (2 * sigma)^2))``, as in COCO's evaluation: ``d`` is the
distance in pixels, ``area`` the annotated area in square pixels, ``sigma`` the per-keypoint constant.
"""

from __future__ import annotations

import torch
from torch import Tensor

MIN_AREA = 1.0
"""Square pixels; a smaller instance is measured as if it had this area."""


def _variances(areas: Tensor, sigmas: Tensor) -> Tensor:
    """``2 * area * (2 * sigma)^2``: (...) and (K,) to (..., K) float32."""
    return 2 * areas.float().clamp(min=MIN_AREA)[..., None] * (2 * sigmas.float()) ** 2


def keypoint_oks(pred: Tensor, target: Tensor, labelled: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """OKS of corresponding poses.

    Args:
        pred: (..., K, 2) pixels.
        target: (..., K, 2) pixels.
        labelled: (..., K) true where the target is annotated.
        areas: (...) square pixels.
        sigmas: (K,).

    Returns:
        (...) float32; 0 where nothing is labelled.
    """
    labelled = labelled.float()
    squared = (pred.float() - target.float()).square().sum(-1)
    similarity = torch.exp(-squared / _variances(areas, sigmas)) * labelled
    return similarity.sum(-1) / labelled.sum(-1).clamp(min=1)


def pairwise_oks(pred: Tensor, target: Tensor, labelled: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """OKS of every predicted pose with every target, keypoint by keypoint so that memory stays at (B, M, G).

    Args:
        pred: (B, M, K, 2) pixels.
        target: (B, G, K, 2) pixels.
        labelled: (B, G, K).
        areas: (B, G) square pixels.
        sigmas: (K,).

    Returns:
        (B, M, G) float32; 0 where nothing is labelled.
    """
    labelled = labelled.float()
    weight = labelled / labelled.sum(-1, keepdim=True).clamp(min=1)
    negative_precision = -1 / _variances(areas, sigmas)
    pred, target = pred.float(), target.float()
    total = pred.new_zeros(pred.shape[0], pred.shape[1], target.shape[1])
    for k in range(pred.shape[2]):
        squared = (pred[:, :, None, k, 0] - target[:, None, :, k, 0]).square_()
        squared += (pred[:, :, None, k, 1] - target[:, None, :, k, 1]).square_()
        total.addcmul_(squared.mul_(negative_precision[:, None, :, k]).exp_(), weight[:, None, :, k])
    return total
