"""From raw outputs to detections (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from yolox_pose.geometry.nms import nms
from yolox_pose.ops import Predictions, batched_nms, decode_boxes, decode_keypoints


class TestSettings(NamedTuple):
    """Which detections are kept.

    Attributes:
        score_thr: Smallest ``class * objectness`` probability.
        nms_pre: Most candidates an image that go into NMS, the best ones.
        nms_thr: IoU above which the lower of two boxes of a class goes; 1 or more switches NMS off.
        max_per_img: Most detections an image.
        classes: Labels that are looked for; None for all.
    """

    score_thr: float = 0.01
    nms_pre: int = 3000
    nms_thr: float = 0.65
    max_per_img: int = 300
    classes: tuple[int, ...] | None = None


class Detections(NamedTuple):
    """Detections of an image in pixels of the network's input, best first.

    Attributes:
        boxes: (n, 4) xyxy.
        scores: (n,).
        labels: (n,) int64.
        keypoints: (n, K, 2), or None without the keypoint branch.
        keypoint_scores: (n, K) visibility probabilities, 0 for classes without keypoints, or None.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    keypoints: Tensor | None = None
    keypoint_scores: Tensor | None = None


@torch.no_grad()
def detect(
    predictions: Predictions,
    priors: Tensor,
    settings: TestSettings = TestSettings(),
    has_keypoints: Tensor | None = None,
) -> list[Detections]:
    """Score, select, decode and suppress.

    Each prior stands for its best class; boxes of different classes do not suppress each other.

    Args:
        predictions: Raw outputs of a batch.
        priors: (N, 3).
        settings: What is kept.
        has_keypoints: (C,) bool, which classes have keypoints; None for all.

    Returns:
        The detections of each image.
    """
    probability = predictions.classes.float().sigmoid() * predictions.objectness.float().sigmoid()[..., None]
    if settings.classes is not None:
        probability = probability[..., list(settings.classes)]
    scores, labels = probability.max(-1)
    if settings.classes is not None:
        labels = labels.new_tensor(settings.classes)[labels]
    above = scores > settings.score_thr
    count = min(settings.nms_pre, int(above.sum(-1).max()))
    scores, index = scores.masked_fill(~above, -torch.inf).topk(count, dim=-1)  # sorted
    rows = torch.arange(len(scores), device=scores.device)[:, None]
    boxes = decode_boxes(predictions.boxes[rows, index], priors[index])
    labels = labels[rows, index]
    kept = scores > -torch.inf
    if settings.nms_thr < 1:
        kept = suppress(boxes, scores, settings.nms_thr, labels)
    pose = None
    if predictions.keypoints is not None:
        pose = (predictions.keypoints[rows, index], predictions.visibility[rows, index])
    found = []
    for image in range(len(scores)):
        keep = kept[image].nonzero()[: settings.max_per_img, 0]
        keypoints = keypoint_scores = None
        if pose is not None:
            keypoints = decode_keypoints(pose[0][image, keep], priors[index[image, keep]])
            keypoint_scores = pose[1][image, keep].float().sigmoid()
            if has_keypoints is not None:
                keypoint_scores = keypoint_scores * has_keypoints[labels[image, keep]][:, None]
        found.append(
            Detections(boxes[image, keep], scores[image, keep], labels[image, keep], keypoints, keypoint_scores)
        )
    return found


def suppress(boxes: Tensor, scores: Tensor, threshold: float, labels: Tensor) -> Tensor:
    """Greedy NMS of a batch: on a GPU of all images at once, on a CPU image by image, which is many times as fast there.

    Args:
        boxes: (B, M, 4) xyxy.
        scores: (B, M), best first; ``-inf`` is never kept.
        threshold: IoU above which the lower box goes.
        labels: (B, M); boxes of different classes do not suppress each other.

    Returns:
        (B, M) bool, true for kept boxes.
    """
    if boxes.device.type != "cpu":
        return batched_nms(boxes, scores, threshold, labels)
    counts = (scores > -torch.inf).sum(-1).tolist()
    kept: np.ndarray = np.zeros(scores.shape, dtype=bool)
    arrays = boxes.numpy(), scores.numpy(), labels.numpy()
    for image, count in enumerate(counts):
        best = [values[image, :count] for values in arrays]
        kept[image, nms(best[0], best[1], threshold, best[2])] = True
    return torch.from_numpy(kept)
