"""Distillation losses that keep a model from forgetting a detector (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from yolox_pose.ops.boxes import aligned_iou, decode_boxes
from yolox_pose.ops.losses import clamp_counts
from yolox_pose.ops.structures import HeadOutputs

MIN_TEACHER_SCORE = 0.05
"""Boxes of priors whose teacher score is not above this do not count: they are background."""


class DistillationWeights(NamedTuple):
    """Weights of the distillation losses.

    Attributes:
        score: Weight of the divergence of the scores.
        box: Weight of the squared-IoU loss of the boxes.
    """

    score: float = 0.5
    box: float = 2.5


def distillation_losses(
    outputs: HeadOutputs,
    teacher: HeadOutputs,
    priors: Tensor,
    weights: DistillationWeights = DistillationWeights(),
    reduce: Callable[[Tensor], Tensor] = clamp_counts,
) -> dict[str, Tensor]:
    """Compute the distance between the detections of a model and those of a teacher on the same images.

    The divergence of the scores (``class * objectness``) is summed over all priors and classes. The squared-IoU loss of the
    boxes is weighted by the teacher's score. Both sums are divided by the sum of the teacher's scores, which is about the
    number of its positives.

    Args:
        outputs: Raw outputs of the model.
        teacher: Raw outputs of the teacher, with the same classes. Its keypoints are not used.
        priors: Priors of shape (N, 3).
        weights: Weights of the two terms.
        reduce: Function from the sum of scores of this process, a scalar, to the divisor; see
            :func:`yolox_pose.ops.yolox_losses`.

    Returns:
        Scalars ``loss_distill_score`` and ``loss_distill_box``, 0 if the model equals the teacher.

    Source: Li and Hoiem, Learning without Forgetting (ECCV 2016), for scores; Shmelkov et al., Incremental Learning of
    Object Detectors without Catastrophic Forgetting (ICCV 2017), for boxes.
    """
    outputs, teacher = outputs.float(), teacher.float()

    # Compute the Kullback-Leibler divergence of the scores
    (log_score, log_rest), (teacher_log_score, teacher_log_rest) = log_scores(outputs), log_scores(teacher)
    divergence = teacher_log_score.exp() * (teacher_log_score - log_score)
    divergence = divergence + teacher_log_rest.exp() * (teacher_log_rest - log_rest)

    # Compare the boxes where the teacher sees an object
    score = teacher_log_score.exp().amax(-1)
    score = score * (score > MIN_TEACHER_SCORE)
    iou = aligned_iou(decode_boxes(outputs.boxes, priors), decode_boxes(teacher.boxes, priors))

    # Normalize by the teacher's scores
    total = reduce(score.sum())
    return {
        "loss_distill_score": weights.score * divergence.sum() / total,
        "loss_distill_box": weights.box * (score * (1 - iou.square())).sum() / total,
    }


def log_scores(outputs: HeadOutputs) -> tuple[Tensor, Tensor]:
    """Compute ``log(score)`` and ``log(1 - score)`` of ``score = class * objectness``, exact also near 0 and 1.

    With logits a and b, ``1 - s(a) s(b) = s(a) s(b) (exp(-a) + exp(-b) + exp(-a - b))``.

    Args:
        outputs: Raw outputs.

    Returns:
        Two tensors of shape (B, N, C).
    """
    a, b = torch.broadcast_tensors(outputs.classes, outputs.objectness[..., None])
    log_score = F.logsigmoid(a) + F.logsigmoid(b)
    return log_score, log_score + torch.stack([-a, -b, -a - b]).logsumexp(0)
