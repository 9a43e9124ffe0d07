"""The losses of YOLOX-Pose, for a whole batch (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from yolox_pose.ops.boxes import aligned_iou, decode_boxes, encode_boxes
from yolox_pose.ops.keypoints import decode_keypoints
from yolox_pose.ops.oks import keypoint_oks
from yolox_pose.ops.simota import Assignment
from yolox_pose.structures.constants import MIN_AREA


class LossWeights(NamedTuple):
    """Weights of the loss terms; the defaults are the published recipe (mmpose, mmyolo).

    Attributes:
        box: Squared-IoU loss of the positives.
        objectness: Binary cross entropy of all priors that are not ignored.
        classes: Binary cross entropy of the positives.
        oks: ``1 - OKS`` of the positives with labelled keypoints.
        visibility: Binary cross entropy of the keypoint visibilities.
        box_l1: L1 of the encoded boxes, in the last epochs only.
        keypoint_l1: Smooth L1 of the keypoints in units of ``sqrt(area)``; 0 (no such term) in the published recipe. It
            has a gradient where OKS is flat, far from the target.
    """

    box: float = 5.0
    objectness: float = 1.0
    classes: float = 1.0
    oks: float = 30.0
    visibility: float = 1.0
    box_l1: float = 1.0
    keypoint_l1: float = 0.0


class HeadOutputs(NamedTuple):
    """Raw outputs of the head, flattened over levels, in any float type.

    Attributes:
        classes: (B, N, C) logits.
        objectness: (B, N) logits.
        boxes: (B, N, 4) encoded.
        keypoints: (B, N, 2K) encoded, or None without the keypoint branch.
        visibility: (B, N, K) logits, or None.
    """

    classes: Tensor
    objectness: Tensor
    boxes: Tensor
    keypoints: Tensor | None = None
    visibility: Tensor | None = None

    def float(self) -> HeadOutputs:
        """The same in float32."""
        return HeadOutputs(*(None if t is None else t.float() for t in self))


class Targets(NamedTuple):
    """Annotations of a batch, padded to the most instances of an image.

    Attributes:
        boxes: (B, G, 4) xyxy pixels.
        labels: (B, G) int64.
        valid: (B, G) bool, false for padding.
        keypoints: (B, G, K, 2) pixels, or None in detection mode.
        visible: (B, G, K) codes 0 (not labelled), 1 (labelled, hidden), 2 (labelled, visible), or None.
        areas: (B, G) square pixels, or None.
        ignored: (B, N) bool, true for priors inside crowd regions, or None where the batch has none.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    keypoints: Tensor | None = None
    visible: Tensor | None = None
    areas: Tensor | None = None
    ignored: Tensor | None = None


def visibility_targets(visible: Tensor, hidden_is_visible: bool, unlabelled: str) -> tuple[Tensor, Tensor]:
    """Targets and weights of the visibility loss from visibility codes.

    Args:
        visible: (..., K) codes.
        hidden_is_visible: Whether code 1 counts as visible (as published) or as not visible.
        unlabelled: ``'negative'`` (code 0 has target 0, as published) or ``'ignore'`` (code 0 has weight 0).

    Returns:
        (..., K) float32 targets and weights.

    Raises:
        ValueError: If ``unlabelled`` is something else.
    """
    if unlabelled not in ("negative", "ignore"):
        raise ValueError(f"unlabelled must be 'negative' or 'ignore', not {unlabelled!r}")
    target = (visible > 0 if hidden_is_visible else visible > 1).float()
    weight = torch.ones_like(target) if unlabelled == "negative" else (visible > 0).float()
    return target, weight


class _Positives(NamedTuple):
    """Places for the positive priors of each image, S of them, and what belongs to each.

    Their number is known without asking the device, so that a GPU need not be waited for; places that are left over
    hold priors of the background, whose predictions are replaced by zeros and which do not count.
    """

    used: Tensor  # (B, S) bool
    prior: Tensor  # (B, S)
    instance: Tensor  # (B, S)
    priors: Tensor  # (B, S, 3)

    @classmethod
    def find(cls, assignment: Assignment, priors: Tensor) -> _Positives:
        positive = assignment.instance >= 0
        order = positive.byte().argsort(dim=1, descending=True, stable=True)[:, : assignment.limit]
        return cls(positive.gather(1, order), order, assignment.instance.gather(1, order).clamp(min=0), priors[order])

    def of(self, predictions: Tensor) -> Tensor:
        """HeadOutputs (B, N, ...) of the places."""
        taken = predictions[self._rows(), self.prior]
        return taken.where(self.used.view(*self.used.shape, *[1] * (taken.dim() - 2)), 0)

    def target(self, values: Tensor) -> Tensor:
        """Annotations (B, G, ...) of the places."""
        return values[self._rows(), self.instance]

    def sum(self, values: Tensor) -> Tensor:
        """Sum of (B, S) values over the places that are used."""
        return (values * self.used).sum()

    def _rows(self) -> Tensor:
        return torch.arange(len(self.prior), device=self.prior.device)[:, None]


def _box_losses(pred: Tensor, pos: _Positives, boxes: Tensor, late: bool) -> tuple[Tensor, Tensor]:
    """Sums of the squared-IoU loss and of the L1 loss (0 before the last epochs)."""
    iou = aligned_iou(decode_boxes(pred, pos.priors), boxes)
    l1 = pos.sum((pred - encode_boxes(boxes, pos.priors)).abs().sum(-1)) if late else pred.sum() * 0
    return pos.sum(1 - iou.square()), l1


def _keypoint_losses(
    offsets: Tensor, visibility: Tensor, pos: _Positives, targets: Targets, sigmas: Tensor, options: tuple[bool, str]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums of ``1 - OKS``, visibility and smooth L1 over the positives with labelled keypoints, and their number."""
    visible, areas, truth = (pos.target(t) for t in (targets.visible, targets.areas, targets.keypoints))
    labelled = visible > 0
    has_pose = (labelled.any(-1) & pos.used).float()
    keypoints = decode_keypoints(offsets, pos.priors)
    oks = keypoint_oks(keypoints, truth, labelled, areas, sigmas)
    target, weight = visibility_targets(visible, *options)
    entropy = F.binary_cross_entropy_with_logits(visibility, target, weight, reduction="none").mean(-1)
    scale = areas.clamp(min=MIN_AREA).sqrt()[..., None, None]
    distance = F.smooth_l1_loss(keypoints / scale, truth / scale, reduction="none", beta=0.1).sum(-1)
    distance = (distance * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
    return ((1 - oks) * has_pose).sum(), (entropy * has_pose).sum(), (distance * has_pose).sum(), has_pose.sum()


@torch.no_grad()
def _statistics(pos: _Positives, valid: Tensor) -> dict[str, Tensor]:
    """How the positives are spread over the (B, G) instances; means over this process's batch, 0 without instances."""
    taken = torch.zeros(valid.shape, device=valid.device).scatter_add_(1, pos.instance, pos.used.float())
    instances = valid.sum().clamp(min=1)
    return {"positives": taken.sum() / instances, "unmatched": ((taken == 0) & valid).sum() / instances}


def at_least_one(counts: Tensor) -> Tensor:
    """What the sums of a single process are divided by."""
    return counts.clamp(min=1)


def yolox_losses(
    predictions: HeadOutputs,
    targets: Targets,
    assignment: Assignment,
    priors: Tensor,
    *,
    sigmas: Tensor | None = None,
    weights: LossWeights = LossWeights(),
    class_target_power: float | Tensor = 0.5,
    late: bool = False,
    hidden_is_visible: bool = True,
    unlabelled: str = "negative",
    reduce: Callable[[Tensor], Tensor] = at_least_one,
) -> dict[str, Tensor]:
    """All losses of a batch, and what the assignment was like. The keys depend on the mode and the weights alone, never on what the batch holds.

    Objectness is summed over the priors that are not ignored, class, box and L1 over the positives, each divided by the
    number of positives; the keypoint terms are summed over the positives with labelled keypoints and divided by their
    number. Both numbers go through ``reduce`` first.

    Args:
        predictions: Outputs of the head.
        targets: Annotations.
        assignment: Result of :func:`yolox_pose.ops.simota.simota`.
        priors: (N, 3).
        sigmas: (K,) OKS constants, with the keypoint branch only.
        weights: Weights of the terms.
        class_target_power: The class target is ``overlap ** class_target_power`` (0.5 for classes with keypoints, 1 for
            others): one number, or (C,) one a class.
        late: Whether the L1 loss of the last epochs is on.
        hidden_is_visible: See :func:`visibility_targets`.
        unlabelled: See :func:`visibility_targets`.
        reduce: Turns the two counts of this process, a (2,) tensor, into what is divided by. With several processes it
            has to give ``max(sum over processes, 1) / processes``, because DDP averages the gradients.

    Returns:
        Scalars ``loss_obj``, ``loss_cls``, ``loss_bbox``, ``loss_bbox_l1`` and, with the keypoint branch, ``loss_kpt``,
        ``loss_vis`` (and ``loss_kpt_l1`` where its weight is not 0). Beside them, for the log and without gradient:
        ``positives`` per instance, ``unmatched``, the share of instances without one, and, with the keypoint branch,
        ``oks``, the mean over the positives with labelled keypoints (0 where there are none).

    Source: Ge et al., YOLOX (2021); Maji et al., YOLO-Pose (CVPRW 2022), section 3.4, eq. 4-6; mmpose ``YOLOXPoseHead``.
    """
    predictions = predictions.float()
    pos = _Positives.find(assignment, priors)
    positive = assignment.instance >= 0
    objectness = F.binary_cross_entropy_with_logits(predictions.objectness, positive.float(), reduction="none")
    if targets.ignored is not None:
        objectness = objectness * ~(targets.ignored & ~positive)
    class_logits = pos.of(predictions.classes)
    labels = pos.target(targets.labels)
    power = class_target_power[labels] if isinstance(class_target_power, Tensor) else class_target_power
    is_class = labels[..., None] == torch.arange(class_logits.shape[-1], device=priors.device)
    class_target = is_class * (assignment.overlap.gather(1, pos.prior) ** power)[..., None]
    entropy = F.binary_cross_entropy_with_logits(class_logits, class_target, reduction="none").sum(-1)
    box, box_l1 = _box_losses(pos.of(predictions.boxes), pos, pos.target(targets.boxes), late)
    count = pos.used.sum().float()
    keypoint_sums: list[Tensor] = []
    keypoint_count = torch.zeros_like(count)
    statistics = _statistics(pos, targets.valid)
    if predictions.keypoints is not None:
        *keypoint_sums, keypoint_count = _keypoint_losses(
            pos.of(predictions.keypoints), pos.of(predictions.visibility), pos, targets, sigmas,
            (hidden_is_visible, unlabelled),
        )  # fmt: skip
        statistics["oks"] = (keypoint_count - keypoint_sums[0].detach()) / keypoint_count.clamp(min=1)
    count, keypoint_count = reduce(torch.stack([count, keypoint_count]))
    losses = {
        "loss_obj": weights.objectness * objectness.sum() / count,
        "loss_cls": weights.classes * pos.sum(entropy) / count,
        "loss_bbox": weights.box * box / count,
        "loss_bbox_l1": weights.box_l1 * box_l1 / count,
    }
    if keypoint_sums:
        oks, visibility, keypoint_l1 = keypoint_sums
        losses["loss_kpt"] = weights.oks * oks / keypoint_count
        losses["loss_vis"] = weights.visibility * visibility / keypoint_count
        if weights.keypoint_l1:
            losses["loss_kpt_l1"] = weights.keypoint_l1 * keypoint_l1 / keypoint_count
    return losses | statistics
