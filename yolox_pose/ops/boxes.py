"""Priors, box coding and IoU (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LOG_EPS = 1e-8
"""Added inside the logarithm of an encoded width or height, as in YOLOX and mmdet."""


def grid_priors(sizes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Grid points of all levels, row by row, level after level.

    Args:
        sizes: ``(height, width)`` of the feature map of each level.
        strides: Pixels of the input per cell of each level.
        device: Where the result lives.

    Returns:
        (N, 3) float32 ``(x, y, stride)`` with ``x = column * stride`` and ``y = row * stride``.
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
    """Boxes from the outputs of the box branch: ``xy = p * stride + prior``, ``wh = exp(p) * stride``.

    Args:
        encoded: (..., N, 4) of any float type.
        priors: (N, 3), or (..., N, 3) that broadcasts.

    Returns:
        (..., N, 4) float32 xyxy in pixels.

    Source: Ge et al., YOLOX, 2021, section 2.1.
    """
    encoded = encoded.float()
    stride = priors[..., 2:3]
    center = encoded[..., :2] * stride + priors[..., :2]
    half = encoded[..., 2:].exp() * stride / 2
    return torch.cat([center - half, center + half], dim=-1)


def encode_boxes(boxes: Tensor, priors: Tensor) -> Tensor:
    """Inverse of :func:`decode_boxes` (up to ``LOG_EPS``): the targets of the late L1 loss.

    Args:
        boxes: (..., 4) xyxy.
        priors: (..., 3) of the same leading shape.

    Returns:
        (..., 4) float32.
    """
    stride = priors[..., 2:3]
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat([(center - priors[..., :2]) / stride, (size / stride + LOG_EPS).log()], dim=-1)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(min=0)


def pairwise_iou(a: Tensor, b: Tensor, eps: float = 1e-6) -> Tensor:
    """IoU of every box of ``a`` with every box of ``b``.

    Args:
        a: (..., M, 4) xyxy.
        b: (..., G, 4) xyxy, same leading shape.
        eps: Smallest union that is divided by; two empty boxes have IoU 0.

    Returns:
        (..., M, G) float32.
    """
    ax1, ay1, ax2, ay2 = a.float()[..., None].unbind(-2)  # (..., M, 1)
    bx1, by1, bx2, by2 = b.float()[..., None, :, :].unbind(-1)  # (..., 1, G)
    overlap = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    overlap = overlap * (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    union = (_areas(a.float())[..., :, None] + _areas(b.float())[..., None, :]).sub_(overlap)
    return overlap / union.clamp_(min=eps)


def aligned_iou(a: Tensor, b: Tensor, eps: float = 1e-6) -> Tensor:
    """IoU of corresponding boxes.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy.
        eps: Smallest union that is divided by.

    Returns:
        (...) float32.
    """
    a, b = a.float(), b.float()
    size = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    overlap = size[..., 0] * size[..., 1]
    return overlap / (_areas(a) + _areas(b) - overlap).clamp(min=eps)
