"""SimOTA with a keypoint-aware cost, for a whole batch at once (shape letters: see :mod:`yolox_pose.ops`).

Each instance takes the ``k`` cheapest priors, ``k`` being the rounded-down sum of its best overlaps; a prior that several
instances want goes to the instance for which it is cheapest. Source: Ge et al., YOLOX (2021), section 2.1 and
``yolox/models/yolo_head.py``; the OKS term follows mmpose's ``SimOTAAssigner``. Three differences from mmpose:

* An instance without labelled keypoints uses IoU in place of OKS (in the cost, in ``k`` and as overlap).
* The penalty for priors outside an instance's box or centre is just larger than the largest cost of the batch, instead of
  ``1e5``, which would quantise those costs to 0.008 in float32.
* No loop over images or instances. Equal costs are broken as ``torch.topk`` breaks them (not specified by torch).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.oks import pairwise_oks

COST_EPS = 1e-7
"""Added inside the logarithms of the cost, as in mmdet and mmpose."""
MIN_LOG = -100.0
"""Lower bound of a log probability, as in ``torch.nn.functional.binary_cross_entropy``."""
CHUNK_ELEMENTS = 16_000_000
"""Images are handled together as long as candidates x instances stay below this number (64 MB a float tensor)."""


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
    """

    instance: Tensor
    overlap: Tensor


class _Regions(NamedTuple):
    candidate: Tensor  # (B, N) inside the box or the centre of any instance
    preferred: Tensor  # (B, N, G) inside both the box and the centre of this instance


def _regions(priors: Tensor, boxes: Tensor, valid: Tensor, settings: SimOTASettings) -> _Regions:
    """Where priors (N, 3) lie with respect to the boxes (B, G, 4) of the valid instances (B, G)."""
    stride = priors[:, 2, None]
    points = priors[:, :2] + settings.prior_offset * stride  # (N, 2)
    x, y = points[:, 0, None], points[:, 1, None]  # (N, 1)
    x1, y1, x2, y2 = boxes[:, None].unbind(-1)  # (B, 1, G)
    in_box = (x > x1) & (x < x2) & (y > y1) & (y < y2)
    radius = settings.center_radius * stride
    in_center = ((x - (x1 + x2) / 2).abs() < radius) & ((y - (y1 + y2) / 2).abs() < radius)
    valid = valid[:, None]
    candidate = ((in_box | in_center) & valid).any(-1)
    return _Regions(candidate, in_box & in_center & valid)


def _class_cost(class_logits: Tensor, objectness_logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross entropy of ``sqrt(class * objectness)`` (B, M, C), (B, M) with labels (B, G): (B, M, G)."""
    scores = (class_logits.float().sigmoid() * objectness_logits.float().sigmoid()[..., None]).sqrt()
    log_yes = scores.log().clamp(min=MIN_LOG)
    log_no = torch.log1p(-scores).clamp(min=MIN_LOG)
    gain = log_no - log_yes  # what changes where the class is the instance's own
    index = labels.clamp(min=0)[:, None].expand(-1, scores.shape[1], -1)
    return gain.gather(2, index) - log_no.sum(-1, keepdim=True)


def _resolve(cost: Tensor, overlap: Tensor, valid: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Dynamic-k matching of candidates: cost and overlap (B, M, G), valid (B, G) to (B, M) instance and overlap."""
    top_k = min(top_k, cost.shape[1])
    k = overlap.topk(top_k, dim=1).values.sum(1).int().clamp(min=1)  # (B, G)
    cheapest = cost.topk(top_k, dim=1, largest=False).indices  # (B, top_k, G)
    rank = torch.arange(top_k, device=cost.device)[None, :, None]
    chosen = (rank < k[:, None]) & valid[:, None]
    matched = torch.zeros_like(cost, dtype=torch.bool).scatter_(1, cheapest, chosen)
    count = matched.sum(-1)
    instance = torch.where(count > 1, cost.argmin(-1), matched.byte().argmax(-1))
    best = overlap.gather(2, instance[..., None])[..., 0]
    positive = count > 0
    return instance.masked_fill(~positive, -1), best.masked_fill(~positive, 0.0)


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
    if boxes.shape[1] == 0:
        return Assignment(instance, overlap)
    regions = _regions(priors, boxes.float(), valid, settings)
    most = int(regions.candidate.sum(1).max())  # the one host synchronisation
    if most == 0:
        return Assignment(instance, overlap)
    # the candidates of each image first, in prior order; images with fewer are filled up with others, barred below
    index = regions.candidate.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    arguments = (pred_boxes, class_logits, objectness_logits, pred_keypoints)
    truth = (boxes.float(), labels, valid, keypoints, labelled, areas)
    step = max(1, CHUNK_ELEMENTS // (most * boxes.shape[1]))
    for start in range(0, batch, step):
        part = slice(start, start + step)
        taken = index[part]
        found = _match_candidates(
            *(None if t is None else _take(t[part], taken) for t in arguments),
            *(None if t is None else t[part] for t in truth),
            candidate=_take(regions.candidate[part], taken),
            preferred=_take(regions.preferred[part], taken),
            sigmas=sigmas,
            settings=settings,
        )
        instance[part].scatter_(1, taken, found.instance)
        overlap[part].scatter_(1, taken, found.overlap)
    return Assignment(instance, overlap)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (B, M) of ``values`` (B, N, ...)."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, index]


def _match_candidates(
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
    candidate: Tensor,
    preferred: Tensor,
    sigmas: Tensor | None,
    settings: SimOTASettings,
) -> Assignment:
    """:func:`simota` on the M candidate priors of each image (every (B, N) argument is (B, M) here)."""
    iou = pairwise_iou(pred_boxes, boxes)
    cost = settings.iou_weight * -(iou + COST_EPS).log()
    similarity = iou
    if pred_keypoints is not None:
        oks = pairwise_oks(pred_keypoints, keypoints, labelled, areas, sigmas)
        similarity = torch.where(labelled.any(-1)[:, None], oks, iou)
        if settings.oks_weight > 0:
            cost += settings.oks_weight * -(similarity + COST_EPS).log()
    if settings.class_weight > 0:
        cost += settings.class_weight * _class_cost(class_logits, objectness_logits, labels)
    cost = cost.nan_to_num_(nan=-MIN_LOG, posinf=-MIN_LOG)
    largest = cost.abs().amax() + 1
    cost += largest * (~preferred)
    barred = ~(candidate[..., None] & valid[:, None])
    cost += 4 * largest * barred
    overlap = (similarity if settings.dynamic_k == "oks" else iou).masked_fill(barred, 0.0).nan_to_num_(nan=0.0)
    found = _resolve(cost, overlap, valid, settings.top_k)
    positive = candidate & (found[0] >= 0)
    return Assignment(found[0].masked_fill(~positive, -1), found[1].masked_fill(~positive, 0.0))
