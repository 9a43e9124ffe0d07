"""Detections as tensors (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class DetectionTensors(NamedTuple):
    """n detections of an image, best first; :class:`yolox_pose.structures.detections.Detections` holds the same in numpy.

    Attributes:
        boxes: Boxes of shape (n, 4), float32, xyxy in pixels.
        scores: Scores of shape (n,), float32.
        labels: Class labels of shape (n,), int64.
        keypoints: Keypoints of shape (n, K, 2), float32, in pixels; None without the keypoint branch.
        keypoint_scores: Visibility probabilities of shape (n, K), 0 for classes without keypoints; None without the branch.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    keypoints: Tensor | None = None
    keypoint_scores: Tensor | None = None
