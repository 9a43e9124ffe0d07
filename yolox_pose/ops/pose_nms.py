"""NMS by boxes, by poses or by both, hard or soft, for a batch (shape letters: see :mod:`yolox_pose.ops`).

M candidates per image. Two people who hug have boxes that overlap as much as two detections of one person do; their poses
differ. :mod:`yolox_pose.geometry.pose_nms` does the same in numpy, one image at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from yolox_pose.ops.boxes import pairwise_iou
from yolox_pose.ops.nms import greedy_survivors
from yolox_pose.ops.oks import mutual_oks
from yolox_pose.ops.structures import DetectionTensors
from yolox_pose.structures.settings import PostprocessSettings, check_settings


def suppress_duplicates(
    detections: DetectionTensors, settings: PostprocessSettings, sigmas: Tensor | None = None
) -> Tensor:
    """Suppress the duplicates in each image of a batch. Only detections of one class compete.

    Args:
        detections: Candidates of a batch, (B, M, ...), best first; scores of ``-inf`` mark fillers.
        settings: Type and thresholds of NMS; ``score_thr`` and ``max_per_img`` apply to soft-NMS only.
        sigmas: OKS constants of shape (K,), needed to compare poses.

    Returns:
        Scores of shape (B, M), ``-inf`` for suppressed candidates. Soft-NMS lowers others, which are then no longer sorted.

    Raises:
        UsageError: If the type of NMS is unknown.
    """
    similarity, duplicate = compare_detections(detections, settings, sigmas)
    compete = detections.labels[..., :, None] == detections.labels[..., None, :]
    duplicate = duplicate & compete
    if settings.soft_nms == "none":
        survivors = greedy_survivors(duplicate, detections.scores > -torch.inf)
        return detections.scores.masked_fill(~survivors, -torch.inf)
    return soft_nms(similarity * compete, duplicate, detections.scores, settings)


def compare_detections(
    detections: DetectionTensors, settings: PostprocessSettings, sigmas: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compare every pair of detections of an image.

    Pairs without a common keypoint, and detections without keypoints, are compared by their boxes.

    Args:
        detections: Detections, (..., M, ...).
        settings: Type and thresholds of NMS.
        sigmas: OKS constants of shape (K,), needed to compare poses.

    Returns:
        Similarity of shape (..., M, M), float32, for ``'box_oks'`` the smaller of IoU and OKS, and whether a pair is a
        duplicate, (..., M, M) bool.

    Raises:
        UsageError: If the type of NMS is unknown.
    """
    check_settings({"nms_type": settings.nms_type, "soft_nms": settings.soft_nms})

    # Compare the boxes
    iou = pairwise_iou(detections.boxes, detections.boxes)
    overlap = iou > settings.nms_thr
    keypoints, visibility = detections.keypoints, detections.keypoint_scores
    if settings.nms_type == "box" or keypoints is None or visibility is None or not keypoints.shape[-2]:
        return iou, overlap

    # Compare the poses
    if sigmas is None:
        raise ValueError(f"nms_type '{settings.nms_type}' needs the OKS sigmas")
    oks, comparable = mutual_oks(keypoints, visibility, detections.boxes, sigmas)
    agree = oks > settings.oks_thr
    if settings.nms_type == "box_oks":
        oks, agree = torch.minimum(iou, oks), agree & overlap
    return torch.where(comparable, oks, iou), torch.where(comparable, agree, overlap)


def soft_nms(similarity: Tensor, duplicate: Tensor, scores: Tensor, settings: PostprocessSettings) -> Tensor:
    """Lower the scores of detections that resemble a better one, instead of dropping them.

    ``'linear'`` multiplies the scores of duplicates by ``1 - similarity``, ``'gaussian'`` all scores by
    ``exp(-similarity^2 / sigma)``.

    Args:
        similarity: Similarity of shape (B, M, M), 0 to 1; 0 for pairs that do not compete.
        duplicate: Mask of shape (B, M, M), true for pairs above the threshold.
        scores: Scores of shape (B, M); ``-inf`` marks fillers.
        settings: Method, sigma, lowest score and maximum number of detections.

    Returns:
        New scores of shape (B, M), ``-inf`` for detections that are dropped.

    Source: Bodla et al., Soft-NMS, ICCV 2017, equations 2 and 3.
    """
    # Compute the factors of all pairs
    if settings.soft_nms == "gaussian":
        decay = torch.exp(-(similarity**2) / settings.soft_sigma)
    else:
        decay = torch.where(duplicate, 1 - similarity, 1.0)

    # Keep the best remaining detection of each image and lower the scores of the others
    images = torch.arange(len(scores), device=scores.device)
    remaining, final = scores.clone(), torch.full_like(scores, -torch.inf)
    for _ in range(min(scores.shape[-1], settings.max_per_img)):
        score, best = remaining.max(-1)
        above = score > settings.score_thr
        if not above.any():
            break
        final[images, best] = torch.where(above, score, final[images, best])
        remaining = torch.where(remaining > -torch.inf, remaining * decay[images, best], remaining)  # never -inf * 0
        remaining[images, best] = -torch.inf
    return final
