"""Base class of the transforms, and access to the labels of a sample."""

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
    """Return the labels of a sample."""
    return Instances(*(results[key] for key in LABEL_KEYS))


def set_instances(results: dict[str, Any], instances: Instances) -> None:
    """Replace the labels of a sample."""
    results.update(zip(LABEL_KEYS, instances))


def as_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return width and height from a setting of one side (a square) or both sides.

    Raises:
        ValueError: If the setting is not one or two positive integers.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"input_size must be one or two whole positive numbers (width, height), not {size!r}")
    return sides[0], sides[1]


def as_range(limits: Sequence[float]) -> tuple[float, float]:
    """Return lower and upper limit from a setting.

    Raises:
        ValueError: If there are not two limits in ascending order.
    """
    low, high = limits
    if not low <= high:
        raise ValueError(f"a range needs its lower limit first, not {tuple(limits)}")
    return low, high


def image_size(results: dict[str, Any]) -> tuple[int, int]:
    """Return width and height of the current image."""
    return results["img"].shape[1], results["img"].shape[0]


def to_planes(img: np.ndarray) -> np.ndarray:
    """Copy an (H, W, 3) image to (3, H, W); cv2 splits channels several times faster than numpy transposes."""
    planes = np.empty((img.shape[2], *img.shape[:2]), dtype=img.dtype)
    cv2.split(img, list(planes))
    return planes


class SampleTransform(BaseTransform):
    """Base class of the transforms. It draws a tiled image first unless the class sets ``takes_tiles``."""

    takes_tiles = False

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform a sample in place."""
        if not self.takes_tiles and isinstance(results.get("img"), TiledImage):
            results["img"], results["ignore_mask"] = draw_tiles(results["img"], np.eye(3), results["img"].size)
        return self.transform(results)
