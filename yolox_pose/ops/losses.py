"""Losses of YOLOX-Pose for a whole batch, one function per term (shape letters: see :mod:`yolox_pose.ops`).

Each term returns unreduced values: (B, N), one per prior, for objectness, and (B, S), one per positive slot, for the others.
:func:`yolox_losses` masks, sums, normalizes and weights them. S: slots for the positive priors of an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from yolox_pose.ops.boxes import aligned_iou, decode_boxes, encode_boxes
from yolox_pose.ops.keypoints import decode_keypoints
from yolox_pose.ops.oks import keypoint_oks
from yolox_pose.ops.structures import Assignment, HeadOutputs, KeypointTargets, Targets, gather_rows
from yolox_pose.structures.constants import MIN_AREA

KEYPOINT_L1_BETA = 0.1
"""Distance, in units of ``sqrt(area)``, below which the keypoint L1 loss is quadratic."""


LOSS_KEYS = {
    "objectness": "loss_obj",
    "classes": "loss_cls",
    "box": "loss_bbox",
    "box_l1": "loss_bbox_l1",
    "oks": "loss_kpt",
    "visibility": "loss_vis",
    "keypoint_l1": "loss_kpt_l1",
}
"""Key of each term in the loss dict, by field of :class:`LossWeights`; mmdet and mmpose use the same keys."""


class LossWeights(NamedTuple):
    """Weights of the loss terms; the defaults are the published recipe (mmpose, mmyolo).

    Attributes:
        box: Weight of :func:`box_loss`.
        objectness: Weight of :func:`objectness_loss`.
        classes: Weight of :func:`class_loss`.
        oks: Weight of :func:`oks_loss`.
        visibility: Weight of :func:`visibility_loss`.
        box_l1: Weight of :func:`box_l1_loss`, which is on in the last epochs only.
        keypoint_l1: Weight of :func:`keypoint_l1_loss`; 0, as in the published recipe, leaves the term out.
    """

    box: float = 5.0
    objectness: float = 1.0
    classes: float = 1.0
    oks: float = 30.0
    visibility: float = 1.0
    box_l1: float = 1.0
    keypoint_l1: float = 0.0


def clamp_counts(counts: Tensor) -> Tensor:
    """Clamp the counts to 1, the normalizer of a single process."""
    return counts.clamp(min=1)


def objectness_loss(logits: Tensor, positive: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Compute the binary cross entropy of the objectness.

    Args:
        logits: Objectness logits of shape (B, N).
        positive: Mask of shape (B, N), true for positive priors.
        ignored: Mask of shape (B, N), true inside crowd regions. Negative priors there do not count.

    Returns:
        Loss of each prior, shape (B, N).
    """
    loss = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    return loss if ignored is None else loss * ~(ignored & ~positive)


def class_loss(logits: Tensor, labels: Tensor, overlap: Tensor, power: float | Tensor = 0.5) -> Tensor:
    """Compute the binary cross entropy of the classes; the target of the true class is ``overlap ** power``.

    Args:
        logits: Class logits of shape (B, S, C).
        labels: Class labels of shape (B, S).
        overlap: OKS or IoU of shape (B, S).
        power: Exponent, one number or one per class, shape (C,).

    Returns:
        Loss of each slot, summed over the classes, shape (B, S).
    """
    exponent = power[labels] if isinstance(power, Tensor) else power
    is_class = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    target = is_class * (overlap**exponent)[..., None]
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)


def box_loss(encoded: Tensor, boxes: Tensor, priors: Tensor) -> Tensor:
    """Compute the squared-IoU loss, ``1 - IoU^2``, as YOLOX does.

    Args:
        encoded: Predicted boxes of shape (B, S, 4), encoded.
        boxes: Target boxes of shape (B, S, 4), xyxy in pixels.
        priors: Priors of shape (B, S, 3).

    Returns:
        Loss of each slot, shape (B, S).
    """
    return 1 - aligned_iou(decode_boxes(encoded, priors), boxes).square()


def box_l1_loss(encoded: Tensor, boxes: Tensor, priors: Tensor) -> Tensor:
    """Compute the L1 distance of encoded boxes; arguments and result as in :func:`box_loss`."""
    return (encoded - encode_boxes(boxes, priors)).abs().sum(-1)


def oks_loss(keypoints: Tensor, targets: KeypointTargets, sigmas: Tensor) -> Tensor:
    """Compute ``1 - OKS``.

    Args:
        keypoints: Predicted keypoints of shape (B, S, K, 2) in pixels.
        targets: Annotations of the slots, (B, S, ...).
        sigmas: OKS constants of shape (K,).

    Returns:
        Loss of each slot, shape (B, S).

    Source: Maji et al., YOLO-Pose (CVPRW 2022), section 3.4, equation 5.
    """
    return 1 - keypoint_oks(keypoints, targets.keypoints, targets.labeled, targets.areas, sigmas)


def keypoint_l1_loss(keypoints: Tensor, targets: KeypointTargets) -> Tensor:
    """Compute the smooth L1 distance of keypoints in units of ``sqrt(area)``, averaged over the labeled keypoints.

    It has a gradient far from the target, where OKS is flat.

    Args:
        keypoints: Predicted keypoints of shape (B, S, K, 2) in pixels.
        targets: Annotations of the slots, (B, S, ...).

    Returns:
        Loss of each slot, shape (B, S).
    """
    scale = targets.areas.clamp(min=MIN_AREA).sqrt()[..., None, None]
    distance = F.smooth_l1_loss(
        keypoints / scale, targets.keypoints / scale, reduction="none", beta=KEYPOINT_L1_BETA
    ).sum(-1)
    return (distance * targets.labeled).sum(-1) / targets.labeled.sum(-1).clamp(min=1)


def visibility_targets(visible: Tensor, hidden_is_visible: bool, unlabelled: str) -> tuple[Tensor, Tensor]:
    """Convert visibility codes to targets and weights of the visibility loss.

    Args:
        visible: Codes of shape (..., K).
        hidden_is_visible: Whether code 1 counts as visible, as published, or as not visible.
        unlabelled: ``'negative'`` gives code 0 the target 0, as published; ``'ignore'`` gives it the weight 0.

    Returns:
        Targets and weights of shape (..., K), float32.

    Raises:
        ValueError: If ``unlabelled`` is neither.
    """
    if unlabelled not in ("negative", "ignore"):
        raise ValueError(f"unlabelled must be 'negative' or 'ignore', not {unlabelled!r}")
    target = (visible > 0 if hidden_is_visible else visible > 1).float()
    weight = torch.ones_like(target) if unlabelled == "negative" else (visible > 0).float()
    return target, weight


def visibility_loss(
    logits: Tensor, visible: Tensor, hidden_is_visible: bool = True, unlabelled: str = "negative"
) -> Tensor:
    """Compute the binary cross entropy of the keypoint visibility, averaged over all K keypoints.

    Ignored keypoints count in the mean with a loss of 0.

    Args:
        logits: Visibility logits of shape (B, S, K).
        visible: Visibility codes of shape (B, S, K).
        hidden_is_visible: See :func:`visibility_targets`.
        unlabelled: See :func:`visibility_targets`.

    Returns:
        Loss of each slot, shape (B, S).
    """
    target, weight = visibility_targets(visible, hidden_is_visible, unlabelled)
    return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none").mean(-1)


class Positives(NamedTuple):
    """Slots for the positive priors of each image.

    The number of slots is known on the host, so a GPU is not waited for. Unused slots hold background priors: their
    predictions are replaced by zeros, and they do not count.

    Attributes:
        used: Mask of shape (B, S), true for slots that hold a positive prior.
        prior_ids: Index of the prior, shape (B, S).
        instance_ids: Index of the instance, shape (B, S); 0 in unused slots.
        priors: Priors of shape (B, S, 3).
        overlap: Overlap of the prior's prediction with its instance, shape (B, S).
    """

    used: Tensor
    prior_ids: Tensor
    instance_ids: Tensor
    priors: Tensor
    overlap: Tensor

    @classmethod
    def find(cls, assignment: Assignment, priors: Tensor) -> Positives:
        """Collect the positive priors of an assignment, in prior order."""
        positive = assignment.instance >= 0
        ids = positive.byte().argsort(dim=1, descending=True, stable=True)[:, : assignment.max_positives]
        instance_ids = assignment.instance.gather(1, ids).clamp(min=0)
        return cls(positive.gather(1, ids), ids, instance_ids, priors[ids], assignment.overlap.gather(1, ids))

    def predictions(self, values: Tensor) -> Tensor:
        """Gather predictions (B, N, ...) of the slots: (B, S, ...), zeros in unused slots."""
        gathered = gather_rows(values, self.prior_ids)
        return gathered.where(self.used.view(*self.used.shape, *[1] * (gathered.dim() - 2)), 0)

    def targets(self, values: Tensor) -> Tensor:
        """Gather annotations (B, G, ...) of the slots: (B, S, ...)."""
        return gather_rows(values, self.instance_ids)

    def sum(self, values: Tensor) -> Tensor:
        """Sum values (B, S) over the used slots."""
        return (values * self.used).sum()


@torch.no_grad()
def assignment_statistics(positives: Positives, valid: Tensor) -> dict[str, Tensor]:
    """Compute ``positives`` per instance and ``unmatched``, the share of instances without a positive prior.

    Args:
        positives: Positive priors.
        valid: Mask of shape (B, G), true for instances.

    Returns:
        Scalars of this process's batch, 0 without instances.
    """
    counts = torch.zeros(valid.shape, device=valid.device)
    counts.scatter_add_(1, positives.instance_ids, positives.used.float())
    instances = valid.sum().clamp(min=1)
    return {"positives": counts.sum() / instances, "unmatched": ((counts == 0) & valid).sum() / instances}


def _detector_sums(
    outputs: HeadOutputs,
    targets: Targets,
    assignment: Assignment,
    positives: Positives,
    class_target_power: float | Tensor,
    use_l1: bool,
) -> dict[str, Tensor]:
    """Sum the detector's losses by field of :class:`LossWeights`; arguments as in :func:`yolox_losses`."""
    # Gather predictions and targets of the positive priors
    encoded, class_logits = positives.predictions(outputs.boxes), positives.predictions(outputs.classes)
    boxes, labels = positives.targets(targets.boxes), positives.targets(targets.labels)

    # Compute the terms; without L1 the box branch still gets a gradient of 0, which DDP needs
    objectness = objectness_loss(outputs.objectness, assignment.instance >= 0, targets.ignored)
    classes = class_loss(class_logits, labels, positives.overlap, class_target_power)
    box = box_loss(encoded, boxes, positives.priors)
    box_l1 = positives.sum(box_l1_loss(encoded, boxes, positives.priors)) if use_l1 else encoded.sum() * 0
    return {
        "objectness": objectness.sum(),
        "classes": positives.sum(classes),
        "box": positives.sum(box),
        "box_l1": box_l1,
    }


def _keypoint_sums(
    outputs: HeadOutputs,
    targets: Targets,
    positives: Positives,
    sigmas: Tensor | None,
    hidden_is_visible: bool,
    unlabelled: str,
) -> tuple[dict[str, Tensor], Tensor]:
    """Sum the keypoint losses by field of :class:`LossWeights`, and count the positives with labeled keypoints."""
    if outputs.keypoints is None:
        return {}, torch.zeros((), device=positives.used.device)
    if outputs.visibility is None or targets.pose is None or sigmas is None:
        raise ValueError("keypoint outputs need visibility outputs, keypoint targets and sigmas")

    # Gather predictions and targets of the positive priors
    keypoints = decode_keypoints(positives.predictions(outputs.keypoints), positives.priors)
    visibility = positives.predictions(outputs.visibility)
    pose = KeypointTargets(*(positives.targets(values) for values in targets.pose))

    # Sum over the positives with labeled keypoints
    has_keypoints = (pose.labeled.any(-1) & positives.used).float()
    terms = {
        "oks": oks_loss(keypoints, pose, sigmas),
        "visibility": visibility_loss(visibility, pose.visible, hidden_is_visible, unlabelled),
        "keypoint_l1": keypoint_l1_loss(keypoints, pose),
    }
    return {name: (values * has_keypoints).sum() for name, values in terms.items()}, has_keypoints.sum()


def yolox_losses(
    outputs: HeadOutputs,
    targets: Targets,
    assignment: Assignment,
    priors: Tensor,
    *,
    sigmas: Tensor | None = None,
    weights: LossWeights = LossWeights(),
    class_target_power: float | Tensor = 0.5,
    use_l1: bool = False,
    hidden_is_visible: bool = True,
    unlabelled: str = "negative",
    reduce: Callable[[Tensor], Tensor] = clamp_counts,
) -> dict[str, Tensor]:
    """Compute all losses of a batch, and statistics of the assignment.

    Objectness is summed over all priors that are not ignored, and class and box losses over the positives. Each sum is
    divided by the number of positives. The keypoint losses are summed over the positives with labeled keypoints and divided
    by their number. The keys depend on the mode and the weights alone, never on the content of the batch.

    Args:
        outputs: Raw outputs of the head.
        targets: Annotations.
        assignment: Result of :func:`yolox_pose.ops.simota`.
        priors: Priors of shape (N, 3).
        sigmas: OKS constants of shape (K,); needed with the keypoint branch.
        weights: Weights of the terms.
        class_target_power: Exponent of the class target, a number or one per class, shape (C,): 0.5 for classes with
            keypoints, 1 for others.
        use_l1: Whether the box L1 loss of the last epochs is on.
        hidden_is_visible: See :func:`visibility_targets`.
        unlabelled: See :func:`visibility_targets`.
        reduce: Function from the two counts of this process, shape (2,), to the divisors. With several processes it must
            return ``max(sum over processes, 1) / processes``, because DDP averages the gradients.

    Returns:
        Scalars ``loss_obj``, ``loss_cls``, ``loss_bbox``, ``loss_bbox_l1`` and, with the keypoint branch, ``loss_kpt``,
        ``loss_vis`` (and ``loss_kpt_l1`` if its weight is not 0). Statistics without gradient: those of
        :func:`assignment_statistics` and, with the keypoint branch, ``oks``, the mean over the positives with labeled
        keypoints.

    Source: Ge et al., YOLOX (2021); Maji et al., YOLO-Pose (CVPRW 2022), section 3.4, equations 4 to 6; mmpose
    ``YOLOXPoseHead``.
    """
    outputs, positives = outputs.float(), Positives.find(assignment, priors)

    # Sum each term over the batch
    detector_sums = _detector_sums(outputs, targets, assignment, positives, class_target_power, use_l1)
    keypoint_sums, keypoint_count = _keypoint_sums(outputs, targets, positives, sigmas, hidden_is_visible, unlabelled)

    # Describe the assignment
    statistics = assignment_statistics(positives, targets.valid)
    if keypoint_sums:
        statistics["oks"] = (keypoint_count - keypoint_sums["oks"].detach()) / keypoint_count.clamp(min=1)
    if not weights.keypoint_l1:
        keypoint_sums.pop("keypoint_l1", None)

    # Weight the sums and normalize them by the counts of all processes
    count, keypoint_count = reduce(torch.stack([positives.used.sum().float(), keypoint_count]))
    losses = {LOSS_KEYS[name]: getattr(weights, name) * value / count for name, value in detector_sums.items()}
    losses |= {
        LOSS_KEYS[name]: getattr(weights, name) * value / keypoint_count for name, value in keypoint_sums.items()
    }
    return losses | statistics
