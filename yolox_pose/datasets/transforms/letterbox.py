"""Letterbox resize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import SampleTransform, as_size, get_instances, image_size, set_instances
from yolox_pose.geometry.affine import scaling, translation, warp_image
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.constants import PAD_VALUE


@TRANSFORMS.register_module()
class LetterboxResize(SampleTransform):
    """Resize the image to fit into ``input_size`` with its aspect ratio, and pad it. ``letterbox`` holds the exact inverse.

    Args:
        input_size: Width and height of the result.
        centered: Whether padding goes to both sides (pose, joint) or only to the right and bottom (detection).
        pad_value: Gray level of the padding.
    """

    def __init__(
        self, input_size: int | Sequence[int] = (640, 640), centered: bool = True, pad_value: int = PAD_VALUE
    ) -> None:
        self.input_size = as_size(input_size)
        self.centered = centered
        self.pad_value = pad_value

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize and pad the image and move the labels."""
        letterbox = fit_letterbox(image_size(results), self.input_size, self.centered)
        matrix = translation(*letterbox.pad) @ scaling(*letterbox.scale)
        results["img"] = letterbox_image(results["img"], letterbox, self.pad_value)
        results["letterbox"] = letterbox
        if results.get("ignore_mask") is not None:
            mask = warp_image(results["ignore_mask"], matrix, self.input_size, pad_value=0, nearest=True)
            results["ignore_mask"] = mask
        if "bboxes" in results:
            set_instances(results, augment.warp_instances(get_instances(results), matrix))
        return results
