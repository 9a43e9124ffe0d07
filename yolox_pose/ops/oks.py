"""Object keypoint similarity: one definition for the loss, the assigner and NMS (shape letters: :mod:`yolox_pose.ops`).

``OKS = mean over labelled keypoints of exp(-d^2 / (2 * area * (2 * sigma)^2))``, as in COCO's evaluation: ``d`` is the
distance in pixels, ``area`` the annotated area in square pixels, ``sigma`` the per-keypoint constant.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from yolox_pose.structures.constants import MIN_AREA


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
        (B, M, G) float32, laid out as (B, G, M); 0 where nothing is labelled. Not differentiable.
    """
    labelled = labelled.float()
    weight = labelled / labelled.sum(-1, keepdim=True).clamp(min=1)
    # torch's exp on CPU takes fifty times as long as exp2 where the result underflows, which that of most pairs does
    precision = -math.log2(math.e) / _variances(areas, sigmas)
    truth = torch.stack([target[..., 0].float(), target[..., 1].float(), precision, weight])  # (4, B, G, K)
    found = pred.float().permute(2, 3, 0, 1).contiguous()[:, :, :, None]  # (K, 2, B, 1, M)
    total = found.new_zeros(pred.shape[0], target.shape[1], pred.shape[1])  # M last: long rows are fast on CPU
    squared, across = torch.empty_like(total), torch.empty_like(total)
    for (x, y), (target_x, target_y, precision_k, weight_k) in zip(found, truth.permute(3, 0, 1, 2)[..., None]):
        torch.sub(x, target_x, out=across)
        torch.mul(across, across, out=squared)
        torch.sub(y, target_y, out=across)
        squared.addcmul_(across, across).mul_(precision_k).exp2_()
        total.addcmul_(squared, weight_k)
    return total.transpose(1, 2)
