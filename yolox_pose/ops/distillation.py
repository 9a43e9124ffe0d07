"""What keeps a detector while it learns poses (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from yolox_pose.ops.boxes import aligned_iou, decode_boxes
from yolox_pose.ops.losses import clamp_counts
from yolox_pose.ops.structures import HeadOutputs

SEEN_SCORE = 0.05
"""Boxes of priors that the detector gives a lower score are left out: they are of nothing."""


class DistillationWeights(NamedTuple):
    """Weights of the terms that hold a model at what a detector says.

    Attributes:
        score: Of the scores.
        box: Of the boxes.
    """

    score: float = 0.5
    box: float = 2.5


def distillation_losses(
    predictions: HeadOutputs,
    wanted: HeadOutputs,
    priors: Tensor,
    weights: DistillationWeights = DistillationWeights(),
    reduce: Callable[[Tensor], Tensor] = clamp_counts,
) -> dict[str, Tensor]:
    """How far the detections of a model are from those of a detector on the same images.

    Scores, ``class * objectness`` probabilities, are compared by their Kullback-Leibler divergence, summed over all priors
    and classes, boxes by the squared-IoU loss, weighted with the detector's score. Both sums are divided by the sum of the
    detector's scores, which is about the number of its positives.

    Args:
        predictions: Raw outputs of the model.
        wanted: Those of the detector, of as many classes; its keypoints, if it has any, do not count.
        priors: (N, 3).
        weights: Of the two terms.
        reduce: Turns the sum of scores of this process, a scalar, into what is divided by; see
            :func:`yolox_pose.ops.yolox_losses`.

    Returns:
        Scalars ``loss_distill_score`` and ``loss_distill_box``, 0 where the model is the detector.

    Source: Li and Hoiem, Learning without Forgetting (ECCV 2016), for scores; Shmelkov et al., Incremental Learning of
    Object Detectors without Catastrophic Forgetting (ICCV 2017), for boxes.
    """
    predictions, wanted = predictions.float(), wanted.float()
    (yes, no), (wanted_yes, wanted_no) = log_scores(predictions), log_scores(wanted)
    divergence = wanted_yes.exp() * (wanted_yes - yes) + wanted_no.exp() * (wanted_no - no)
    score = wanted_yes.exp().amax(-1)
    score = score * (score > SEEN_SCORE)
    iou = aligned_iou(decode_boxes(predictions.boxes, priors), decode_boxes(wanted.boxes, priors))
    total = reduce(score.sum())
    return {
        "loss_distill_score": weights.score * divergence.sum() / total,
        "loss_distill_box": weights.box * (score * (1 - iou.square())).sum() / total,
    }


def log_scores(predictions: HeadOutputs) -> tuple[Tensor, Tensor]:
    """Logarithms of ``class * objectness`` and of what is missing to 1, (B, N, C) each, exact also near 0 and 1.

    With logits a and b, ``1 - s(a) s(b) = s(a) s(b) (exp(-a) + exp(-b) + exp(-a - b))``.
    """
    a, b = torch.broadcast_tensors(predictions.classes, predictions.objectness[..., None])
    yes = F.logsigmoid(a) + F.logsigmoid(b)
    return yes, yes + torch.stack([-a, -b, -a - b]).logsumexp(0)
