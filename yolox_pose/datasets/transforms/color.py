"""Random changes of color."""

from __future__ import annotations

from typing import Any

import numpy as np

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import SampleTransform
from yolox_pose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class YOLOXPoseHSV(SampleTransform):
    """Shift hue, saturation and value by random integers, each with probability 0.5.

    Args:
        hue: Largest shift of the hue (0 to 179).
        saturation: Largest shift of the saturation (0 to 255).
        value: Largest shift of the value (0 to 255).
    """

    def __init__(self, hue: int = 5, saturation: int = 30, value: int = 30) -> None:
        self.limits = np.array([hue, saturation, value], dtype=np.float64)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img``."""
        rng = results["rng"]
        gains = (rng.uniform(-1, 1, 3) * self.limits * rng.integers(0, 2, 3)).astype(int)
        results["img"] = augment.shift_hsv(results["img"], gains.tolist())
        return results
