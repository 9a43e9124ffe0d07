"""Priors, box coding and IoU (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LOG_EPS = 1e-8
"""Added inside the logarithm of an encoded width or height, as in YOLOX and mmdet."""


def grid_priors(sizes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Compute the grid points of all levels, row by row, level after level.

    Args:
        sizes: Height and width of the feature map of each level.
        strides: Pixels of the input per cell of each level.
        device: Device of the result.

    Returns:
        Priors ``(x, y, stride)`` of shape (N, 3), float32, with ``x = column * stride`` and ``y = row * stride``.
    """
    levels = []
    for (height, width), stride in zip(sizes, strides):
        y, x = torch.meshgrid(
            torch.arange(height, device=device, dtype=torch.float32),
            torch.arange(width, device=device, dtype=torch.float32),
            indexing="ij",
        )
        level = torch.stack([x * stride, y * stride, torch.full_like(x, stride)], dim=-1)
        levels.append(level.view(-1, 3))
    return torch.cat(levels)


def decode_boxes(encoded: Tensor, priors: Tensor) -> Tensor:
    """Decode the outputs of the box branch: ``center = p * stride + prior``, ``size = exp(p) * stride``.

    Args:
        encoded: Encoded boxes of shape (..., N, 4), of any float type.
        priors: Priors of shape (N, 3), or (..., N, 3) that broadcasts.

    Returns:
        Boxes of shape (..., N, 4), float32, xyxy in pixels.

    Source: Ge et al., YOLOX, 2021, section 2.1.
    """
    encoded = encoded.float()
    stride = priors[..., 2:3]
    center = encoded[..., :2] * stride + priors[..., :2]
    half = encoded[..., 2:].exp() * stride / 2
    return torch.cat([center - half, center + half], dim=-1)


def encode_boxes(boxes: Tensor, priors: Tensor) -> Tensor:
    """Encode boxes as targets of the box L1 loss, the inverse of :func:`decode_boxes` up to :data:`LOG_EPS`.

    Args:
        boxes: Boxes of shape (..., 4), xyxy in pixels.
        priors: Priors of shape (..., 3).

    Returns:
        Encoded boxes of shape (..., 4), float32.
    """
    stride = priors[..., 2:3]
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([(center - priors[..., :2]) / stride, (size / stride + LOG_EPS).log()], dim=-1)


def box_areas(boxes: Tensor) -> Tensor:
    """Compute the areas (...) of boxes (..., 4); 0 where a side is negative."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def pairwise_iou(first: Tensor, second: Tensor, eps: float = 1e-6) -> Tensor:
    """Compute the IoU of every box of ``first`` with every box of ``second``.

    Args:
        first: Boxes of shape (..., M, 4), xyxy.
        second: Boxes of shape (..., G, 4), xyxy, of the same leading shape.
        eps: Smallest union that is divided by; two empty boxes have IoU 0.

    Returns:
        IoU of shape (..., M, G), float32.
    """
    first, second = first.float(), second.float()
    x1, y1, x2, y2 = first[..., None].unbind(-2)  # (..., M, 1)
    other_x1, other_y1, other_x2, other_y2 = second[..., None, :, :].unbind(-1)  # (..., 1, G)
    overlap = (torch.minimum(x2, other_x2) - torch.maximum(x1, other_x1)).clamp_(min=0)
    overlap = overlap * (torch.minimum(y2, other_y2) - torch.maximum(y1, other_y1)).clamp_(min=0)
    union = (box_areas(first)[..., :, None] + box_areas(second)[..., None, :]).sub_(overlap)
    return overlap / union.clamp_(min=eps)


def aligned_iou(first: Tensor, second: Tensor, eps: float = 1e-6) -> Tensor:
    """Compute the IoU of corresponding boxes.

    Args:
        first: Boxes of shape (..., 4), xyxy.
        second: Boxes of shape (..., 4), xyxy.
        eps: Smallest union that is divided by.

    Returns:
        IoU of shape (...), float32.
    """
    first, second = first.float(), second.float()
    size = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    size = size.clamp(min=0)
    overlap = size[..., 0] * size[..., 1]
    return overlap / (box_areas(first) + box_areas(second) - overlap).clamp(min=eps)
