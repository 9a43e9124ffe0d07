"""Base class of the transforms and access to the labels of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from yolox_pose.datasets.augment import Instances
from yolox_pose.geometry.affine import TiledImage, draw_tiles

LABEL_KEYS = ("bboxes", "labels", "keypoints", "keypoints_visible", "areas", "ann_ids")
"""Keys of a sample that hold one row per instance, in the order of :class:`Instances`."""


def get_instances(results: dict[str, Any]) -> Instances:
    """The labels of a sample."""
    return Instances(*(results[key] for key in LABEL_KEYS))


def set_instances(results: dict[str, Any], instances: Instances) -> None:
    """Replace the labels of a sample."""
    results.update(zip(LABEL_KEYS, instances))


def as_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Width and height from a setting of one side (a square) or of both.

    Raises:
        ValueError: If it is something else.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"input_size must be one or two whole positive numbers (width, height), not {size!r}")
    return sides[0], sides[1]


def as_range(limits: Sequence[float]) -> tuple[float, float]:
    """Lower and upper limit from a setting.

    Raises:
        ValueError: If there are not two, or they are not in order.
    """
    low, high = limits
    if not low <= high:
        raise ValueError(f"a range needs its lower limit first, not {tuple(limits)}")
    return low, high


def image_size(results: dict[str, Any]) -> tuple[int, int]:
    """Width and height of the current image."""
    return results["img"].shape[1], results["img"].shape[0]


def to_planes(img: np.ndarray) -> np.ndarray:
    """(3, H, W) copy of an (H, W, 3) image; cv2 splits channels several times as fast as numpy transposes."""
    planes = np.empty((img.shape[2], *img.shape[:2]), dtype=img.dtype)
    cv2.split(img, list(planes))
    return planes


class SampleTransform(BaseTransform):
    """Base of the transforms: draws a picture of several tiles first, unless the transform takes it as it is."""

    takes_tiles = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform a sample in place."""
        if not self.takes_tiles and isinstance(results.get("img"), TiledImage):
            results["img"], results["ignore_mask"] = draw_tiles(results["img"], np.eye(3), results["img"].size)
        return self.transform(results)
