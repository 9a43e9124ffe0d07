"""``mmcv._ext`` in PyTorch: mmcv-lite has no compiled operators, yet ``mmcv.ops`` asks for all of them on import.

mmcv has no wheel for current PyTorch, and building it takes a compiler, ``setuptools<81`` and twelve minutes. YOLOX
needs two of the operators, which are here; any other raises when it is called, with its name and how to get it.
May go when mmcv publishes wheels again, or when mmdet and mmpose no longer import ``mmcv.ops``.

Shape letter: N boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_BLOCK = 512


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression, exact, in blocks of sorted boxes.

    Within a block the greedy answer is the fixed point of "kept, unless a kept box before it overlaps", which a few
    matrix steps reach. Equal scores keep their order.

    Args:
        boxes: Boxes xyxy in pixels, shape (N, 4).
        scores: Shape (N,).
        iou_threshold: A box goes when its IoU with a better kept one is above this.
        offset: Added to widths and heights (1 for boxes of whole pixels).

    Returns:
        Indices of the kept boxes, int64, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order].float()
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), _BLOCK):
        block = slice(start, start + _BLOCK)
        candidates = alive[block].nonzero().squeeze(1) + start
        if not len(candidates):
            continue
        better = (_pairwise_iou(boxes[candidates], boxes[candidates], offset) > iou_threshold).triu(1)
        keep = torch.ones(len(candidates), dtype=torch.bool, device=boxes.device)
        while True:
            settled = ~(better & keep[:, None]).any(0)
            if torch.equal(settled, keep):
                break
            keep = settled
        alive[candidates] = keep
        rest = alive[block.stop :].nonzero().squeeze(1) + block.stop
        if len(rest):
            overlaps = _pairwise_iou(boxes[candidates[keep]], boxes[rest], offset) > iou_threshold
            alive[rest] = ~overlaps.any(0)
    return order[alive]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int = 0,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): lowers the scores of overlapping boxes in place of removing them.

    Args:
        boxes: Boxes xyxy in pixels, shape (N, 4).
        scores: Shape (N,).
        dets: Output, shape (N, 5): the first rows are set to the returned boxes and their new scores.
        iou_threshold: Above it the linear method decays and the naive method removes.
        sigma: Width of the Gaussian method.
        min_score: Boxes whose score falls below it are dropped.
        method: 0 naive, 1 linear, 2 Gaussian.
        offset: Added to widths and heights.

    Returns:
        Indices of the returned boxes, int64, in order of selection.
    """
    scores = scores.clone()
    remaining = torch.arange(len(boxes))
    chosen: list[int] = []
    while len(remaining):
        best = int(remaining[scores[remaining].argmax()])
        dets[len(chosen), :4], dets[len(chosen), 4] = boxes[best], scores[best]
        chosen.append(best)
        remaining = remaining[remaining != best]
        iou = _pairwise_iou(boxes[best : best + 1], boxes[remaining], offset)[0]
        scores[remaining] *= _decay(iou, iou_threshold, sigma, method)
        remaining = remaining[scores[remaining] >= min_score]
    return torch.tensor(chosen, dtype=torch.long)


def get_compiler_version() -> str:
    """Return what ``mmcv.ops`` reports in place of a compiler."""
    return "none (mmcv-lite with the operators of yolox_pose.compat)"


def get_compiling_cuda_version() -> str:
    """Return what ``mmcv.ops`` reports in place of a CUDA version."""
    return "not available"


def _decay(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-(iou**2) / sigma)
    overlapping = iou >= iou_threshold
    return torch.where(overlapping, 1 - iou if method == 1 else torch.zeros_like(iou), torch.ones_like(iou))


def _pairwise_iou(a: Tensor, b: Tensor, offset: int) -> Tensor:
    sides = (torch.minimum(a[:, None, 2:], b[:, 2:]) - torch.maximum(a[:, None, :2], b[:, :2]) + offset).clamp(min=0)
    overlap = sides.prod(-1)
    area_a, area_b = (((box[:, 2:] - box[:, :2]) + offset).prod(-1) for box in (a, b))
    return overlap / (area_a[:, None] + area_b - overlap)


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"mmcv operator '{name}' is compiled code, which mmcv-lite does not have; YOLOX models do not use it. "
            "To get it, replace mmcv-lite by mmcv built from source: https://mmcv.readthedocs.io"
        )

    return missing
