"""SimOTA with a keypoint-aware cost, for a whole batch at once (shape letters: see :mod:`yolox_pose.ops`).

Each instance takes its ``k`` cheapest priors; ``k`` is the rounded-down sum of its best overlaps. A prior that several
instances select goes to the instance for which it is cheapest. Source: Ge et al., YOLOX (2021), section 2.1 and
``yolox/models/yolo_head.py``; the OKS term follows mmpose's ``SimOTAAssigner``. Three differences from mmpose:

* An instance without labeled keypoints uses IoU in place of OKS (in the cost, in ``k`` and as overlap).
* The penalty for priors outside an instance's box or center is just above the largest cost of the batch. mmpose adds
  ``1e5``, which quantizes those costs to 0.008 in float32.
* No loop over images or instances, and one host synchronization.

Ties: among priors of equal cost for an instance, ``torch.topk`` decides (always the same for the same tensors on the same
device, but not specified by torch). Among instances for which a prior has equal cost, the first one wins.

Pairs of instances and candidate priors have the shape (B, G, M), M being the candidates: processors are fast with long rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.oks import pairwise_oks
from yolox_pose.ops.structures import Assignment, DecodedOutputs, Targets, gather_rows

COST_EPS = 1e-7
"""Added inside the logarithms of the cost, as in mmdet and mmpose."""
MIN_LOG = -100.0
"""Lower bound of a log probability, as in ``torch.nn.functional.binary_cross_entropy``."""
CHUNK_ELEMENTS = {"cpu": 250_000, "other": 16_000_000}
"""Maximum number of candidates x instances in a group of images: a float tensor of 1 MB on CPU, which stays in the cache,
and of 64 MB elsewhere, where few large kernels are faster."""
FAR = 1e18
"""Pixels; keypoints moved there have OKS 0 with everything. Its square is still a float32."""


class SimOTASettings(NamedTuple):
    """Weights of the cost and size of the candidate region.

    Attributes:
        iou_weight: Weight of ``-log IoU``.
        class_weight: Weight of the binary cross entropy between ``sqrt(class * objectness)`` and the instance's class.
        oks_weight: Weight of ``-log OKS``.
        center_radius: Half side, in strides, of the square around a box center in which priors are preferred.
        top_k: Number of best overlaps that are summed to get ``k``.
        dynamic_k: Overlap that gives ``k`` and is returned, ``'oks'`` or ``'iou'``.
        prior_offset: Shift of the priors in strides for assignment only (0 for pose, 0.5 for detection as in mmdet).
    """

    iou_weight: float = 3.0
    class_weight: float = 1.0
    oks_weight: float = 3.0
    center_radius: float = 2.5
    top_k: int = 10
    dynamic_k: str = "oks"
    prior_offset: float = 0.0


class Candidates(NamedTuple):
    """Candidate priors of each image; images with fewer candidates than M are filled up with other priors.

    Attributes:
        is_candidate: Mask of shape (B, M), false for fillers.
        in_box_and_center: Mask of shape (B, G, M), true inside both the box and the center of the instance.
        outputs: Outputs of the head at the candidates, (B, M, ...).
    """

    is_candidate: Tensor
    in_box_and_center: Tensor
    outputs: DecodedOutputs


class Regions(NamedTuple):
    """Position of the priors relative to the instances.

    Attributes:
        is_candidate: Mask of shape (B, N), true inside the box or the center of any instance.
        in_box_and_center: Mask of shape (B, G, N), true inside both the box and the center of the instance.
    """

    is_candidate: Tensor
    in_box_and_center: Tensor


def find_regions(targets: Targets, priors: Tensor, settings: SimOTASettings) -> Regions:
    """Find the priors inside the boxes and around the centers of the instances.

    Args:
        targets: Annotations.
        priors: Priors of shape (N, 3).
        settings: Radius of the centers and offset of the priors.
    """
    # Shift the priors
    x, y, stride = priors.t().contiguous()  # (N,) each
    x, y = x + settings.prior_offset * stride, y + settings.prior_offset * stride

    # Compare them with the boxes and with squares around the centers
    radius = settings.center_radius * stride
    x1, y1, x2, y2 = targets.boxes.float()[:, :, None].unbind(-1)  # (B, G, 1)
    in_box = (x > x1).logical_and_(x < x2).logical_and_(y > y1).logical_and_(y < y2)
    in_center = (x - (x1 + x2) / 2).abs_() < radius
    in_center.logical_and_((y - (y1 + y2) / 2).abs_() < radius)

    # Leave out padded instances
    valid = targets.valid[..., None]
    is_candidate = (in_box | in_center).logical_and_(valid).any(1)
    return Regions(is_candidate, in_box.logical_and_(in_center).logical_and_(valid))


def class_costs(class_logits: Tensor, objectness_logits: Tensor) -> Tensor:
    """Compute the binary cross entropy of ``sqrt(class * objectness)`` with the one-hot target of each class.

    Args:
        class_logits: Class logits of shape (B, M, C).
        objectness_logits: Objectness logits of shape (B, M).

    Returns:
        Cost of each class at each prior, shape (B, C, M).
    """
    scores = (class_logits.float().sigmoid() * objectness_logits.float().sigmoid()[..., None]).sqrt()
    scores = scores.nan_to_num(nan=0.0).transpose(1, 2)
    log_yes = scores.log().clamp_(min=MIN_LOG)
    log_no = torch.log1p(-scores).clamp_(min=MIN_LOG)
    return log_no - log_yes - log_no.sum(1, keepdim=True)


def candidate_overlaps(candidates: Candidates, targets: Targets, sigmas: Tensor | None) -> tuple[Tensor, Tensor]:
    """Compute the IoU and the similarity of every instance with every candidate.

    The similarity is OKS for instances with labeled keypoints and IoU for others. Fillers and predictions that are not
    finite overlap with nothing.

    Args:
        candidates: Candidate priors.
        targets: Annotations.
        sigmas: OKS constants of shape (K,), or None in detection mode.

    Returns:
        IoU and similarity of shape (B, G, M).
    """
    outputs, filler = candidates.outputs, ~candidates.is_candidate
    boxes = outputs.boxes.nan_to_num(nan=0.0).masked_fill(filler[..., None], 0.0)
    iou = pairwise_iou(targets.boxes.float(), boxes)
    if outputs.keypoints is None:
        return iou, iou
    if targets.pose is None or sigmas is None:
        raise ValueError("keypoint outputs need keypoint targets and sigmas")
    keypoints = outputs.keypoints.nan_to_num(nan=FAR).masked_fill(filler[..., None, None], FAR)
    pose = targets.pose
    oks = pairwise_oks(keypoints, pose.keypoints, pose.labeled, pose.areas, sigmas).transpose(1, 2)
    return iou, torch.where(pose.labeled.any(-1)[..., None], oks, iou)


def cost_matrix(
    candidates: Candidates, targets: Targets, iou: Tensor, similarity: Tensor, settings: SimOTASettings
) -> Tensor:
    """Compute the cost of assigning each candidate to each instance.

    Args:
        candidates: Candidate priors.
        targets: Annotations.
        iou: IoU of shape (B, G, M).
        similarity: OKS, or IoU for instances without labeled keypoints, shape (B, G, M).
        settings: Weights of the terms.

    Returns:
        Costs of shape (B, G, M).
    """
    with_keypoints = candidates.outputs.keypoints is not None

    # Compute the classification cost, and a penalty above every cost
    classes = class_costs(candidates.outputs.classes, candidates.outputs.objectness).mul_(settings.class_weight)
    overlap_weight = settings.iou_weight + (settings.oks_weight if with_keypoints else 0)
    penalty = classes.amax() - overlap_weight * math.log(COST_EPS) + 1

    # Rule out fillers and padded instances
    classes += 2 * penalty * ~candidates.is_candidate[:, None]
    ruled_out = 2 * penalty * ~targets.valid[..., None]

    # Add the IoU, OKS and classification costs
    cost = torch.add(ruled_out, (iou + COST_EPS).log_(), alpha=-settings.iou_weight)
    if with_keypoints and settings.oks_weight > 0:
        cost.sub_((similarity + COST_EPS).log_(), alpha=settings.oks_weight)
    cost += gather_rows(classes, targets.labels.clamp(min=0))

    # Prefer candidates inside both the box and the center
    cost += penalty * ~candidates.in_box_and_center
    return cost


def dynamic_k_matching(cost: Tensor, overlap: Tensor, valid: Tensor, top_k: int) -> Assignment:
    """Match each instance to its ``k`` cheapest candidates, ``k`` being the rounded-down sum of its best overlaps.

    Args:
        cost: Costs of shape (B, G, M).
        overlap: Overlaps of shape (B, G, M).
        valid: Mask of shape (B, G), true for instances.
        top_k: Number of best overlaps that are summed.

    Returns:
        Assignment of the M candidates.
    """
    batch, num_instances, num_candidates = cost.shape
    top_k = min(top_k, num_candidates)

    # Select the k cheapest candidates of each instance; the others are written to a column of their own
    k = overlap.topk(top_k).values.sum(-1).int().clamp(min=1)  # (B, G)
    candidate_ids = cost.topk(top_k, largest=False).indices  # (B, G, top_k)
    selected = ((torch.arange(top_k, device=cost.device) < k[..., None]) & valid[..., None]).flatten(1)
    columns = candidate_ids.flatten(1).masked_fill(~selected, num_candidates)  # (B, G * top_k)

    # Give a candidate that several instances selected to the instance for which it is cheapest
    matches = torch.zeros(batch, num_candidates + 1, dtype=torch.long, device=cost.device)
    matches.scatter_add_(1, columns, torch.ones_like(columns))
    clamped = columns.clamp(max=num_candidates - 1)
    cheapest = cost.gather(2, clamped[:, None].expand(-1, num_instances, -1)).argmin(1)
    selected_by = torch.arange(num_instances, device=cost.device).repeat_interleave(top_k)
    winner = torch.where(matches.gather(1, columns) > 1, cheapest, selected_by)

    # Write the winners to their candidates; duplicate columns get the same value
    instance, best = torch.full_like(matches, -1), overlap.new_zeros(batch, num_candidates + 1)
    instance.scatter_(1, columns, winner)
    best.scatter_(1, columns, overlap.flatten(1).gather(1, winner * num_candidates + clamped))
    return Assignment(instance[:, :num_candidates], best[:, :num_candidates])


def match_candidates(
    candidates: Candidates, targets: Targets, sigmas: Tensor | None, settings: SimOTASettings
) -> Assignment:
    """Assign the candidates to the instances.

    Args:
        candidates: Candidate priors.
        targets: Annotations.
        sigmas: OKS constants of shape (K,), or None in detection mode.
        settings: Weights and sizes.

    Returns:
        Assignment of the M candidates; fillers are background.
    """
    iou, similarity = candidate_overlaps(candidates, targets, sigmas)
    cost = cost_matrix(candidates, targets, iou, similarity, settings)
    overlap = similarity if settings.dynamic_k == "oks" else iou
    matched = dynamic_k_matching(cost, overlap, targets.valid, settings.top_k)
    filler = ~candidates.is_candidate
    return Assignment(matched.instance.masked_fill(filler, -1), matched.overlap.masked_fill(filler, 0.0))


@torch.no_grad()
def simota(
    outputs: DecodedOutputs,
    targets: Targets,
    priors: Tensor,
    *,
    sigmas: Tensor | None = None,
    settings: SimOTASettings = SimOTASettings(),
) -> Assignment:
    """Assign priors to instances.

    Args:
        outputs: Outputs of the head with decoded boxes and keypoints.
        targets: Annotations.
        priors: Priors of shape (N, 3).
        sigmas: OKS constants of shape (K,); needed with the keypoint branch.
        settings: Weights and sizes.

    Returns:
        The assignment of all priors.

    Raises:
        ValueError: If ``settings.dynamic_k`` is neither ``'oks'`` nor ``'iou'``.
    """
    if settings.dynamic_k not in ("oks", "iou"):
        raise ValueError(f"dynamic_k must be 'oks' or 'iou', not {settings.dynamic_k!r}")
    (batch, num_priors), num_instances = outputs.boxes.shape[:2], targets.boxes.shape[1]
    instance = torch.full((batch, num_priors), -1, dtype=torch.long, device=outputs.boxes.device)
    overlap = outputs.boxes.new_zeros(batch, num_priors, dtype=torch.float32)
    assignment = Assignment(instance, overlap, min(num_priors, settings.top_k * num_instances))
    if num_instances == 0:
        return assignment

    # Find the candidate priors, in groups of images that fit into the cache
    group_elements = CHUNK_ELEMENTS["cpu" if outputs.boxes.device.type == "cpu" else "other"]
    regions = _concatenate(
        find_regions(targets.select(images), priors, settings)
        for images in _chunks(batch, group_elements // (num_priors * num_instances))
    )
    max_candidates = int(regions.is_candidate.sum(1).max())  # the only host synchronization
    if max_candidates == 0:
        return assignment

    # Move the candidates of each image to the front, in prior order
    candidate_ids = regions.is_candidate.byte().argsort(dim=1, descending=True, stable=True)[:, :max_candidates]

    # Match the candidates of each group of images
    for images in _chunks(batch, group_elements // (max_candidates * num_instances)):
        ids = candidate_ids[images]
        candidates = Candidates(
            regions.is_candidate[images].gather(1, ids),
            regions.in_box_and_center[images].gather(2, ids[:, None].expand(-1, num_instances, -1)),
            outputs.select(images, ids),
        )
        matched = match_candidates(candidates, targets.select(images), sigmas, settings)
        instance[images].scatter_(1, ids, matched.instance)
        overlap[images].scatter_(1, ids, matched.overlap)
    return assignment


def _chunks(number: int, size: int) -> list[slice]:
    """Return slices of ``size``, at least 1, that cover ``number`` images."""
    size = max(1, size)
    return [slice(start, start + size) for start in range(0, number, size)]


def _concatenate(parts: Iterable[Regions]) -> Regions:
    """Concatenate the regions of several groups of images."""
    return Regions(*(torch.cat(values) for values in zip(*parts)))
