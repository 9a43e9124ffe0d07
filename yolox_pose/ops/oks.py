"""Object keypoint similarity (OKS) for the loss, the assigner and NMS (shape letters: see :mod:`yolox_pose.ops`).

``OKS = mean over labeled keypoints of exp(-d^2 / (2 * area * (2 * sigma)^2))``, as in COCO's evaluation: ``d`` is the distance
in pixels, ``area`` the annotated area in square pixels, ``sigma`` a constant of the keypoint.
:mod:`yolox_pose.geometry.oks` does the same in numpy.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from yolox_pose.ops.boxes import box_areas
from yolox_pose.structures.constants import AREA_PER_BOX, MIN_AREA


def oks_variances(areas: Tensor, sigmas: Tensor) -> Tensor:
    """Compute ``2 * area * (2 * sigma)^2`` of areas (...) and sigmas (K,): (..., K) float32."""
    return 2 * areas.float().clamp(min=MIN_AREA)[..., None] * (2 * sigmas.float()) ** 2


def keypoint_oks(pred: Tensor, target: Tensor, labeled: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Compute the OKS of corresponding poses.

    Args:
        pred: Predicted keypoints of shape (..., K, 2) in pixels.
        target: Annotated keypoints of shape (..., K, 2) in pixels.
        labeled: Mask of shape (..., K), true for annotated keypoints.
        areas: Areas of shape (...) in square pixels.
        sigmas: OKS constants of shape (K,).

    Returns:
        OKS of shape (...), float32; 0 where no keypoint is labeled.
    """
    labeled = labeled.float()
    squared = (pred.float() - target.float()).square().sum(-1)
    similarity = torch.exp(-squared / oks_variances(areas, sigmas)) * labeled
    return similarity.sum(-1) / labeled.sum(-1).clamp(min=1)


def pairwise_oks(pred: Tensor, target: Tensor, labeled: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Compute the OKS of every predicted pose with every target. Not differentiable.

    Keypoints are processed one by one, so that memory does not grow with K.

    Args:
        pred: Predicted keypoints of shape (B, M, K, 2) in pixels.
        target: Annotated keypoints of shape (B, G, K, 2) in pixels.
        labeled: Mask of shape (B, G, K), true for annotated keypoints.
        areas: Areas of shape (B, G) in square pixels.
        sigmas: OKS constants of shape (K,).

    Returns:
        OKS of shape (B, M, G), float32, laid out as (B, G, M); 0 where no keypoint is labeled.
    """
    # Scale the exponent to base 2: torch's exp on CPU is fifty times as slow where the result underflows, as for most pairs
    labeled = labeled.float()
    weight = labeled / labeled.sum(-1, keepdim=True).clamp(min=1)
    precision = -math.log2(math.e) / oks_variances(areas, sigmas)

    # Bring the keypoints to the front and the predictions to the back: processors are fast with long rows
    targets = torch.stack([target[..., 0].float(), target[..., 1].float(), precision, weight])  # (4, B, G, K)
    points = pred.float().permute(2, 3, 0, 1).contiguous()[:, :, :, None]  # (K, 2, B, 1, M)

    # Add the similarities of one keypoint after the other
    total = points.new_zeros(pred.shape[0], target.shape[1], pred.shape[1])
    squared, difference = torch.empty_like(total), torch.empty_like(total)
    for (x, y), (target_x, target_y, precision_k, weight_k) in zip(points, targets.permute(3, 0, 1, 2)[..., None]):
        torch.sub(x, target_x, out=difference)
        torch.mul(difference, difference, out=squared)
        torch.sub(y, target_y, out=difference)
        squared.addcmul_(difference, difference).mul_(precision_k).exp2_()
        total.addcmul_(squared, weight_k)
    return total.transpose(1, 2)


def mutual_oks(keypoints: Tensor, visibility: Tensor, boxes: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the OKS of every pair of detections of an image, symmetric in both.

    Neither pose is the truth: keypoints are weighted by the product of their visibilities, and the area of a pair is the mean
    of both, each :data:`AREA_PER_BOX` of its box. Keypoints are processed one by one, so that memory does not grow with K.

    Args:
        keypoints: Keypoints of shape (..., M, K, 2) in pixels.
        visibility: Visibility probabilities of shape (..., M, K).
        boxes: Boxes of shape (..., M, 4), xyxy in pixels.
        sigmas: OKS constants of shape (K,).

    Returns:
        OKS of shape (..., M, M), float32, and whether a pair has a keypoint in common, (..., M, M) bool; OKS is 0 where it has
        none.
    """
    keypoints, visibility, boxes = keypoints.float(), visibility.float(), boxes.float()

    # Compute the area of each pair
    areas = AREA_PER_BOX * box_areas(boxes)
    areas = (areas[..., :, None] + areas[..., None, :]) / 2

    # Add the weighted similarities of one keypoint after the other
    weights = visibility @ visibility.transpose(-1, -2)
    total = torch.zeros_like(weights)
    for k, sigma in enumerate(sigmas):
        x, y, visible = keypoints[..., k, 0], keypoints[..., k, 1], visibility[..., k]
        squared = (x[..., :, None] - x[..., None, :]) ** 2 + (y[..., :, None] - y[..., None, :]) ** 2
        weight = visible[..., :, None] * visible[..., None, :]
        total.addcmul_(torch.exp(-squared / oks_variances(areas, sigma[None])[..., 0]), weight)

    # Divide by the weights where there are any
    comparable = weights > 0
    return torch.where(comparable, total / weights.clamp(min=torch.finfo(weights.dtype).tiny), 0), comparable
