"""Filters of instances."""

from __future__ import annotations

from typing import Any

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import SampleTransform, get_instances, set_instances
from yolox_pose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DropTinyInstances(SampleTransform):
    """Drop instances whose box is at most ``min_size`` pixels wide or high.

    Args:
        min_size: Pixels. The recipe uses 1 (mmpose ``FilterAnnotations``).
    """

    def __init__(self, min_size: float = 1.0) -> None:
        self.min_size = min_size

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Select the remaining instances."""
        instances = get_instances(results)
        set_instances(results, instances.select(augment.large_enough(instances.boxes, self.min_size)))
        return results
