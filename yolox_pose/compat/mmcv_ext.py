"""Stand in for ``mmcv._ext`` in PyTorch: mmcv-lite has no compiled operators, and ``mmcv.ops`` imports all of them.

mmcv has no wheel for current PyTorch, and its build needs a compiler, ``setuptools<81`` and twelve minutes. YOLOX needs two
operators, which are implemented here. Any other operator raises an error with its name when it is called.
Remove this file when mmcv publishes wheels again, or when mmdet and mmpose no longer import ``mmcv.ops``.

Shape letter: N boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.nms import batched_nms

_BLOCK = 512


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Suppress overlapping boxes greedily, in blocks of sorted boxes, so that memory stays linear in N.

    Args:
        boxes: Boxes xyxy in pixels, shape (N, 4).
        scores: Scores of shape (N,). Equal scores keep their order.
        iou_threshold: IoU with a kept box above which a box is removed.
        offset: Value added to widths and heights (1 for boxes of whole pixels).

    Returns:
        Indices of the kept boxes, int64, by descending score.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = _with_offset(boxes[order], offset)
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for stop in range(_BLOCK, len(boxes) + _BLOCK, _BLOCK):
        block = alive[stop - _BLOCK : stop].nonzero().squeeze(1) + stop - _BLOCK
        alive[block] = keep = batched_nms(boxes[block], -block.double(), iou_threshold)
        rest = alive[stop:].nonzero().squeeze(1) + stop
        alive[rest] = ~(pairwise_iou(boxes[block[keep]], boxes[rest]) > iou_threshold).any(0)
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
    """Lower the scores of overlapping boxes: soft-NMS (Bodla et al., ICCV 2017).

    Args:
        boxes: Boxes xyxy in pixels, shape (N, 4).
        scores: Scores of shape (N,).
        dets: Output of shape (N, 5): the first rows are set to the returned boxes and their new scores.
        iou_threshold: IoU above which the linear method decays and the naive method removes.
        sigma: Width of the Gaussian method.
        min_score: Score below which boxes are dropped.
        method: 0 naive, 1 linear, 2 Gaussian.
        offset: Value added to widths and heights.

    Returns:
        Indices of the returned boxes, int64, in order of selection.
    """
    scores, grown = scores.clone(), _with_offset(boxes, offset)
    remaining = torch.arange(len(boxes))
    chosen: list[int] = []
    while len(remaining):
        best = int(remaining[scores[remaining].argmax()])
        dets[len(chosen), :4], dets[len(chosen), 4] = boxes[best], scores[best]
        chosen.append(best)
        remaining = remaining[remaining != best]
        iou = pairwise_iou(grown[best : best + 1], grown[remaining])[0]
        scores[remaining] *= _decay(iou, iou_threshold, sigma, method)
        remaining = remaining[scores[remaining] >= min_score]
    return torch.tensor(chosen, dtype=torch.long)


def get_compiler_version() -> str:
    """Return the text that ``mmcv.ops`` reports in place of a compiler."""
    return "none (mmcv-lite with the operators of yolox_pose.compat)"


def get_compiling_cuda_version() -> str:
    """Return the text that ``mmcv.ops`` reports in place of a CUDA version."""
    return "not available"


def _decay(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == 2:
        return torch.exp(-(iou**2) / sigma)
    overlapping = iou >= iou_threshold
    return torch.where(overlapping, 1 - iou if method == 1 else torch.zeros_like(iou), torch.ones_like(iou))


def _with_offset(boxes: Tensor, offset: int) -> Tensor:
    return torch.cat([boxes[:, :2], boxes[:, 2:] + offset], 1)


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"mmcv operator '{name}' is compiled code, which mmcv-lite does not have; YOLOX models do not use it. "
            "To get it, replace mmcv-lite by mmcv built from source: https://mmcv.readthedocs.io"
        )

    return missing
