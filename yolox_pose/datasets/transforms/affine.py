"""Random affine warp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import (
    SampleTransform,
    as_range,
    as_size,
    get_instances,
    image_size,
    set_instances,
)
from yolox_pose.geometry.affine import (
    Tile,
    TiledImage,
    affine_matrix,
    draw_tiles,
    scaling,
    translation,
    warp_points,
)
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.constants import PAD_VALUE


@TRANSFORMS.register_module()
class YOLOXPoseAffine(SampleTransform):
    """Scale, rotate, shear and shift about the center of the top left ``input_size`` window, and crop to that window.

    After a mosaic the window shows mainly the first image, as in the published recipe. The other three images are read only
    if they are visible. A single image is first fitted into the center of the window.

    Args:
        input_size: Width and height of the result.
        scale_range: Range of the scale.
        max_rotation: Largest rotation in degrees, in both directions.
        max_shear: Largest shear in degrees, in both directions and along both axes.
        max_shift: Largest shift as a fraction of ``input_size``, in both directions.
        pad_value: Gray level of the background.
    """

    takes_tiles = True

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        scale_range: Sequence[float] = (0.75, 1.0),
        max_rotation: float = 10.0,
        max_shear: float = 2.0,
        max_shift: float = 0.1,
        pad_value: int = PAD_VALUE,
    ) -> None:
        self.input_size = as_size(input_size)
        self.scale_range = as_range(scale_range)
        self.max_rotation = max_rotation
        self.max_shear = max_shear
        self.max_shift = max_shift
        self.pad_value = pad_value

    def draw_matrix(self, rng: np.random.Generator) -> np.ndarray:
        """Draw the random 3x3 matrix."""
        (width, height), unit = self.input_size, rng.uniform(-1, 1, size=5)
        return affine_matrix(
            (width / 2, height / 2),
            scale=rng.uniform(*self.scale_range),
            rotation=unit[0] * self.max_rotation,
            shear=(unit[1] * self.max_shear, unit[2] * self.max_shear),
            shift=(unit[3] * self.max_shift * width, unit[4] * self.max_shift * height),
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the image, move the labels and clip them to the window."""
        matrix, window = self.draw_matrix(results["rng"]), (0, 0, *self.input_size)
        if not isinstance(results["img"], TiledImage):
            self._fit(results)
        results["img"], results["ignore_mask"] = draw_tiles(results["img"], matrix, self.input_size)
        moved = augment.warp_instances(get_instances(results), matrix)
        set_instances(results, augment.clip_instances(moved, window))
        return results

    def _fit(self, results: dict[str, Any]) -> None:
        """Turn a single image into a tile in the center of the window."""
        img, size = results["img"], image_size(results)
        scale = augment.fit_scale(size, self.input_size)
        pad = [(side - scale * extent) / 2 for side, extent in zip(self.input_size, size)]
        matrix = translation(*pad) @ scaling(scale, scale)
        region = (*pad, *warp_points(size, matrix).tolist())
        tile = Tile(lambda: img, matrix, region, results["ignore_mask"])
        results["img"] = TiledImage((tile,), self.input_size, self.pad_value)
        set_instances(results, augment.warp_instances(get_instances(results), matrix))
