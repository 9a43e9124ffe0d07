"""Horizontal flip."""

from __future__ import annotations

from typing import Any

import cv2

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import SampleTransform, get_instances, set_instances
from yolox_pose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class YOLOXPoseFlip(SampleTransform):
    """Mirror the image left to right, x -> W - x, and swap left and right keypoints.

    Args:
        prob: Probability of mirroring.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror image, crowd mask and labels."""
        if results["rng"].random() >= self.prob:
            return results
        width = results["img"].shape[1]
        for key in ("img", "ignore_mask"):
            if results[key] is not None:
                results[key] = cv2.flip(results[key], 1)
        mirrored = augment.mirror_instances(get_instances(results), width, results["flip_indices"])
        set_instances(results, mirrored)
        return results
