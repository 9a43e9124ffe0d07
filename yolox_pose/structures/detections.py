"""Detections of an image as numpy arrays, for everything outside the training code.

Letters: n detections, K keypoints.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Detections(NamedTuple):
    """Detections of an image, best first.

    Attributes:
        boxes: Boxes of shape (n, 4), float32, xyxy in pixels.
        scores: Scores of shape (n,), float32.
        labels: Class labels of shape (n,), int64.
        keypoints: Keypoints of shape (n, K, 2), float32, in pixels; zeros for classes without keypoints.
        keypoint_scores: Keypoint scores of shape (n, K), float32; zeros for classes without keypoints.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray

    @classmethod
    def create(
        cls,
        boxes: np.ndarray,
        scores: np.ndarray,
        labels: np.ndarray,
        keypoints: np.ndarray | None = None,
        keypoint_scores: np.ndarray | None = None,
    ) -> Detections:
        """Build detections of a model that may have no keypoints.

        Args:
            boxes: Boxes of shape (n, 4).
            scores: Scores of shape (n,).
            labels: Class labels of shape (n,), of any integer type.
            keypoints: Keypoints of shape (n, K, 2); None gives K = 0.
            keypoint_scores: Keypoint scores of shape (n, K); None gives K = 0.
        """
        if keypoints is None or keypoint_scores is None:
            keypoints = np.zeros((len(scores), 0, 2), np.float32)
            keypoint_scores = np.zeros((len(scores), 0), np.float32)
        return cls(boxes, scores, labels.astype(np.int64), keypoints, keypoint_scores)

    def select(self, rows: np.ndarray | slice) -> Detections:
        """Return the detections with these indices, this mask or this slice."""
        return Detections(*(column[rows] for column in self))
