"""SimOTA with a keypoint-aware cost, for a whole batch at once (shape letters: see :mod:`yolox_pose.ops`).

Each instance takes the ``k`` cheapest priors, ``k`` being the rounded-down sum of its best overlaps; a prior that several
instances want goes to the instance for which it is cheapest. Source: Ge et al., YOLOX (2021), section 2.1 and
``yolox/models/yolo_head.py``; the OKS term follows mmpose's ``SimOTAAssigner``. Three differences from mmpose:

* An instance without labelled keypoints uses IoU in place of OKS (in the cost, in ``k`` and as overlap).
* The penalty for priors outside an instance's box or centre is just larger than the largest cost of the batch, instead of
  ``1e5``, which would quantise those costs to 0.008 in float32.
* No loop over images or instances, one host synchronisation.

Ties: of priors that cost an instance the same, those are taken that ``torch.topk`` takes (always the same for the same
tensors on the same device, but not specified by torch); of instances for which a prior costs the same, the first one.

Inside, tensors of pairs are (B, G, M), M being the candidate priors: long rows are what processors are fast with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.oks import pairwise_oks

COST_EPS = 1e-7
"""Added inside the logarithms of the cost, as in mmdet and mmpose."""
MIN_LOG = -100.0
"""Lower bound of a log probability, as in ``torch.nn.functional.binary_cross_entropy``."""
CHUNK_ELEMENTS = {"cpu": 250_000, "other": 16_000_000}
"""Images are handled together as long as candidates x instances stay below this number: a float tensor of 1 MB on CPU,
which stays in the cache, of 64 MB elsewhere, where few large kernels are better."""
FAR = 1e18
"""Pixels; keypoints put there have OKS 0 with everything. Its square is still a float32."""


class SimOTASettings(NamedTuple):
    """Weights of the cost and the size of the candidate region.

    Attributes:
        iou_weight: Weight of ``-log IoU``.
        class_weight: Weight of the binary cross entropy between ``sqrt(class * objectness)`` and the instance's class.
        oks_weight: Weight of ``-log OKS``.
        center_radius: Half side, in strides, of the square around a box centre in which priors are preferred.
        top_k: Number of best overlaps that are summed to get ``k``.
        dynamic_k: ``'oks'`` or ``'iou'``: which overlap gives ``k`` and is returned.
        prior_offset: Shift of the priors in strides for assignment only (0 for pose, 0.5 for detection as in mmdet).
    """

    iou_weight: float = 3.0
    class_weight: float = 1.0
    oks_weight: float = 3.0
    center_radius: float = 2.5
    top_k: int = 10
    dynamic_k: str = "oks"
    prior_offset: float = 0.0


class Assignment(NamedTuple):
    """What each prior has to predict.

    Attributes:
        instance: (B, N) int64 index of the instance, -1 for background.
        overlap: (B, N) float32 OKS (or IoU) of the prior's prediction with its instance, 0 for background.
        limit: Positives that an image has at most, known without asking the device; None if it is not known.
    """

    instance: Tensor
    overlap: Tensor
    limit: int | None = None


class _Regions(NamedTuple):
    candidate: Tensor  # (B, N) inside the box or the centre of any instance
    preferred: Tensor  # (B, G, N) inside both the box and the centre of this instance


def _regions(priors: Tensor, boxes: Tensor, valid: Tensor, settings: SimOTASettings) -> _Regions:
    """Where priors (N, 3) lie with respect to the boxes (B, G, 4) of the valid instances (B, G)."""
    x, y, stride = priors.t().contiguous()  # (N,) each
    x, y = x + settings.prior_offset * stride, y + settings.prior_offset * stride
    radius = settings.center_radius * stride
    x1, y1, x2, y2 = boxes[:, :, None].unbind(-1)  # (B, G, 1)
    in_box = (x > x1).logical_and_(x < x2).logical_and_(y > y1).logical_and_(y < y2)
    in_center = (x - (x1 + x2) / 2).abs_() < radius
    in_center.logical_and_((y - (y1 + y2) / 2).abs_() < radius)
    valid = valid[..., None]
    candidate = (in_box | in_center).logical_and_(valid).any(1)
    return _Regions(candidate, in_box.logical_and_(in_center).logical_and_(valid))


def _class_costs(class_logits: Tensor, objectness_logits: Tensor) -> Tensor:
    """What each class costs each prior: (B, M, C), (B, M) to (B, C, M).

    Binary cross entropy of ``sqrt(class * objectness)`` with the one-hot target of the class.
    """
    scores = (class_logits.float().sigmoid() * objectness_logits.float().sigmoid()[..., None]).sqrt()
    scores = scores.nan_to_num(nan=0.0).transpose(1, 2)
    log_yes = scores.log().clamp_(min=MIN_LOG)
    log_no = torch.log1p(-scores).clamp_(min=MIN_LOG)
    return log_no - log_yes - log_no.sum(1, keepdim=True)


def _resolve(cost: Tensor, overlap: Tensor, valid: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Dynamic-k matching of candidates: cost and overlap (B, G, M), valid (B, G) to (B, M) instance and overlap."""
    batch, instances, number = cost.shape
    top_k = min(top_k, number)
    k = overlap.topk(top_k).values.sum(-1).int().clamp(min=1)  # (B, G)
    prior = cost.topk(top_k, largest=False).indices  # (B, G, top_k)
    rank = torch.arange(top_k, device=cost.device)
    chosen = ((rank < k[..., None]) & valid[..., None]).flatten(1)
    prior = prior.flatten(1).masked_fill(~chosen, number)  # what is not chosen is written to a column of its own
    wanted = torch.zeros(batch, number + 1, dtype=torch.long, device=cost.device)
    wanted.scatter_add_(1, prior, torch.ones_like(prior))
    index = prior.clamp(max=number - 1)
    cheapest = cost.gather(2, index[:, None].expand(-1, instances, -1)).argmin(1)  # (B, G * top_k)
    own = torch.arange(instances, device=cost.device).repeat_interleave(top_k)
    winner = torch.where(wanted.gather(1, prior) > 1, cheapest, own)
    instance, best = torch.full_like(wanted, -1), overlap.new_zeros(batch, number + 1)
    instance.scatter_(1, prior, winner)  # priors that come twice get the same value twice
    best.scatter_(1, prior, overlap.flatten(1).gather(1, winner * number + index))
    return instance[:, :number], best[:, :number]


@torch.no_grad()
def simota(
    priors: Tensor,
    pred_boxes: Tensor,
    class_logits: Tensor,
    objectness_logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    valid: Tensor,
    *,
    pred_keypoints: Tensor | None = None,
    keypoints: Tensor | None = None,
    labelled: Tensor | None = None,
    areas: Tensor | None = None,
    sigmas: Tensor | None = None,
    settings: SimOTASettings = SimOTASettings(),
) -> Assignment:
    """Assign priors to instances.

    Args:
        priors: (N, 3).
        pred_boxes: (B, N, 4) decoded boxes in pixels.
        class_logits: (B, N, C).
        objectness_logits: (B, N).
        boxes: (B, G, 4) boxes of the instances, padded.
        labels: (B, G) int64 classes, padded.
        valid: (B, G) true for instances, false for padding.
        pred_keypoints: (B, N, K, 2) decoded keypoints; None in detection mode, as are the four below.
        keypoints: (B, G, K, 2).
        labelled: (B, G, K) true where a keypoint is annotated.
        areas: (B, G) square pixels.
        sigmas: (K,).
        settings: Weights and sizes.

    Returns:
        The assignment of all priors.

    Raises:
        ValueError: If ``settings.dynamic_k`` is neither ``'oks'`` nor ``'iou'``.
    """
    if settings.dynamic_k not in ("oks", "iou"):
        raise ValueError(f"dynamic_k must be 'oks' or 'iou', not {settings.dynamic_k!r}")
    batch, total = pred_boxes.shape[:2]
    instance = torch.full((batch, total), -1, dtype=torch.long, device=pred_boxes.device)
    overlap = pred_boxes.new_zeros(batch, total, dtype=torch.float32)
    result = Assignment(instance, overlap, min(total, settings.top_k * boxes.shape[1]))
    if boxes.shape[1] == 0:
        return result
    size = CHUNK_ELEMENTS["cpu" if boxes.device.type == "cpu" else "other"]
    regions = _joined(
        _regions(priors, boxes[part].float(), valid[part], settings)
        for part in _chunks(batch, size // (total * boxes.shape[1]))
    )
    most = int(regions.candidate.sum(1).max())  # the one host synchronisation
    if most == 0:
        return result
    # the candidates of each image first, in prior order; images with fewer are filled up with others, barred below
    index = regions.candidate.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    arguments = (regions.candidate, pred_boxes, class_logits, objectness_logits, pred_keypoints)
    truth = (boxes.float(), labels, valid, keypoints, labelled, areas)
    for part in _chunks(batch, size // (most * boxes.shape[1])):
        taken = index[part]
        found = _match_candidates(
            *(None if t is None else _take(t[part], taken) for t in arguments),
            *(None if t is None else t[part] for t in truth),
            preferred=regions.preferred[part].gather(2, taken[:, None].expand(-1, boxes.shape[1], -1)),
            sigmas=sigmas,
            settings=settings,
        )
        instance[part].scatter_(1, taken, found.instance)
        overlap[part].scatter_(1, taken, found.overlap)
    return result


def _chunks(number: int, size: int) -> list[slice]:
    """Slices of ``size``, at least 1, that cover ``number`` images."""
    size = max(1, size)
    return [slice(start, start + size) for start in range(0, number, size)]


def _joined(parts: Iterable[_Regions]) -> _Regions:
    return _Regions(*(torch.cat(values) for values in zip(*parts)))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (B, M) of ``values`` (B, N, ...)."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, index]


def _match_candidates(
    candidate: Tensor,
    pred_boxes: Tensor,
    class_logits: Tensor,
    objectness_logits: Tensor,
    pred_keypoints: Tensor | None,
    boxes: Tensor,
    labels: Tensor,
    valid: Tensor,
    keypoints: Tensor | None,
    labelled: Tensor | None,
    areas: Tensor | None,
    *,
    preferred: Tensor,
    sigmas: Tensor | None,
    settings: SimOTASettings,
) -> Assignment:
    """:func:`simota` on the M candidate priors of each image (every (B, N) argument is (B, M) here)."""
    # predictions that are no numbers, and of priors that are barred, overlap with nothing
    iou = pairwise_iou(boxes, pred_boxes.nan_to_num(nan=0.0).masked_fill(~candidate[..., None], 0.0))
    similarity, weights = iou, settings.iou_weight
    if pred_keypoints is not None:
        pred_keypoints = pred_keypoints.nan_to_num(nan=FAR).masked_fill(~candidate[..., None, None], FAR)
        oks = pairwise_oks(pred_keypoints, keypoints, labelled, areas, sigmas).transpose(1, 2)
        similarity = torch.where(labelled.any(-1)[..., None], oks, iou)
        weights += settings.oks_weight
    classes = _class_costs(class_logits, objectness_logits).mul_(settings.class_weight)
    penalty = classes.amax() - weights * math.log(COST_EPS) + 1  # above every cost
    classes += 2 * penalty * ~candidate[:, None]
    cost = torch.add(2 * penalty * ~valid[..., None], (iou + COST_EPS).log_(), alpha=-settings.iou_weight)
    if pred_keypoints is not None and settings.oks_weight > 0:
        cost.sub_((similarity + COST_EPS).log_(), alpha=settings.oks_weight)
    cost += _take(classes, labels.clamp(min=0))
    cost += penalty * ~preferred
    instance, best = _resolve(cost, similarity if settings.dynamic_k == "oks" else iou, valid, settings.top_k)
    return Assignment(instance.masked_fill(~candidate, -1), best.masked_fill(~candidate, 0.0))
