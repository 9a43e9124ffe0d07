"""Postprocessing: from raw outputs to detections (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from yolox_pose.geometry.nms import nms
from yolox_pose.ops import (
    DetectionTensors,
    HeadOutputs,
    batched_nms,
    decode_boxes,
    decode_keypoints,
    suppress_duplicates,
)
from yolox_pose.ops.structures import gather_rows
from yolox_pose.structures.settings import PostprocessSettings


@torch.no_grad()
def detect(
    outputs: HeadOutputs,
    priors: Tensor,
    settings: PostprocessSettings = PostprocessSettings(),
    has_keypoints: Tensor | None = None,
    sigmas: Tensor | None = None,
) -> list[DetectionTensors]:
    """Select, decode and suppress the detections of a batch.

    Each prior stands for its best class. Boxes of different classes do not suppress each other.

    Args:
        outputs: Raw outputs of a batch.
        priors: Priors of shape (N, 3).
        settings: Thresholds and NMS.
        has_keypoints: Mask of the classes with keypoints, shape (C,); None for all.
        sigmas: OKS constants of shape (K,), needed to compare poses.

    Returns:
        The detections of each image, on the CPU.
    """
    # Select the candidates and suppress duplicates
    candidates = select_candidates(outputs, priors, settings, has_keypoints)
    scores, order = suppress_candidates(candidates, settings, sigmas).sort(dim=-1, descending=True, stable=True)

    # Copy all images to the CPU at once, since the steps for each image are small
    counts = (scores > -torch.inf).sum(-1).clamp(max=settings.max_per_img).tolist()
    max_count = max(counts)
    order, scores = order[:, :max_count], scores[:, :max_count].cpu()
    batch = DetectionTensors._make(
        None if values is None else gather_rows(values, order).cpu() for values in candidates
    )
    batch = batch._replace(scores=scores)
    return [
        DetectionTensors._make(None if values is None else values[image, :count] for values in batch)
        for image, count in enumerate(counts)
    ]


def select_candidates(
    outputs: HeadOutputs, priors: Tensor, settings: PostprocessSettings, has_keypoints: Tensor | None
) -> DetectionTensors:
    """Select and decode the best priors of each image.

    Args:
        outputs: Raw outputs of a batch.
        priors: Priors of shape (N, 3).
        settings: Lowest score, classes and number of candidates.
        has_keypoints: Mask of the classes with keypoints, shape (C,); None for all.

    Returns:
        M candidates of each image, best first, (B, M, ...); fillers have the score ``-inf``.
    """
    # Find the best class of each prior
    scores = outputs.classes.float().sigmoid() * outputs.objectness.float().sigmoid()[..., None]
    if settings.classes is not None:
        scores = scores[..., list(settings.classes)]
    scores, labels = scores.max(-1)
    if settings.classes is not None:
        labels = labels.new_tensor(settings.classes)[labels]

    # Select the best priors above the threshold
    above = scores > settings.score_thr
    count = min(settings.nms_pre, int(above.sum(-1).max()))
    scores, prior_ids = scores.masked_fill(~above, -torch.inf).topk(count, dim=-1)  # sorted
    labels = gather_rows(labels, prior_ids)

    # Decode them
    candidate_priors = priors[prior_ids]
    boxes = decode_boxes(gather_rows(outputs.boxes, prior_ids), candidate_priors)
    if outputs.keypoints is None or outputs.visibility is None:
        return DetectionTensors(boxes, scores, labels)
    keypoint_scores = gather_rows(outputs.visibility, prior_ids).float().sigmoid()
    if has_keypoints is not None:
        keypoint_scores = keypoint_scores * has_keypoints[labels][..., None]
    keypoints = decode_keypoints(gather_rows(outputs.keypoints, prior_ids), candidate_priors)
    return DetectionTensors(boxes, scores, labels, keypoints, keypoint_scores)


def suppress_candidates(candidates: DetectionTensors, settings: PostprocessSettings, sigmas: Tensor | None) -> Tensor:
    """Return the scores (B, M) of candidates after NMS, ``-inf`` for suppressed ones."""
    if settings.nms_thr >= 1 and settings.nms_type != "oks":
        return candidates.scores
    if settings.nms_type == "box" and settings.soft_nms == "none":
        kept = suppress(candidates.boxes, candidates.scores, settings.nms_thr, candidates.labels)
        return candidates.scores.masked_fill(~kept, -torch.inf)
    return suppress_duplicates(candidates, settings, sigmas)


def suppress(boxes: Tensor, scores: Tensor, threshold: float, labels: Tensor) -> Tensor:
    """Apply greedy NMS to a batch: all images at once on a GPU, image by image in numpy on a CPU, which is faster there.

    Args:
        boxes: Boxes of shape (B, M, 4), xyxy.
        scores: Scores of shape (B, M), best first. Boxes of score ``-inf`` are dropped.
        threshold: IoU above which the box of the lower score is dropped.
        labels: Class labels of shape (B, M). Boxes of different classes do not suppress each other.

    Returns:
        Mask of shape (B, M), true for kept boxes.
    """
    if boxes.device.type != "cpu":
        return batched_nms(boxes, scores, threshold, labels)
    counts = (scores > -torch.inf).sum(-1).tolist()
    kept: np.ndarray = np.zeros(scores.shape, dtype=bool)
    arrays = boxes.numpy(), scores.numpy(), labels.numpy()
    for image, count in enumerate(counts):
        image_boxes, image_scores, image_labels = (values[image, :count] for values in arrays)
        kept[image, nms(image_boxes, image_scores, threshold, image_labels)] = True
    return torch.from_numpy(kept)
