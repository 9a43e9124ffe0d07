"""Random affine warp that draws mosaic tiles straight into the final image."""

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
    """Scale, rotate, shear and shift about the centre of the top left ``input_size`` window, and cut that window out.

    After a mosaic the window sees mainly the first image, as in the published recipe; its three neighbours are read from
    file only where they are seen. A single image is first fitted centred into the window.

    Args:
        input_size: Width and height of the result.
        scale_range: Range of the scale.
        max_rotation: Largest rotation in degrees, either way.
        max_shear: Largest shear in degrees, either way and along both axes.
        max_shift: Largest shift as a part of ``input_size``, either way.
        pad_value: Grey where no image is.
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
        """Draw the image and move the labels; what leaves the window is cut off."""
        matrix, window = self.draw_matrix(results["rng"]), (0, 0, *self.input_size)
        if not isinstance(results["img"], TiledImage):
            self._fit(results)
        results["img"], results["ignore_mask"] = draw_tiles(results["img"], matrix, self.input_size)
        moved = augment.warp_instances(get_instances(results), matrix)
        set_instances(results, augment.clip_instances(moved, window))
        return results

    def _fit(self, results: dict[str, Any]) -> None:
        """Turn a single image into a tile that is fitted centred into the window."""
        img, size = results["img"], image_size(results)
        scale = augment.fit_scale(size, self.input_size)
        pad = [(side - scale * extent) / 2 for side, extent in zip(self.input_size, size)]
        matrix = translation(*pad) @ scaling(scale, scale)
        region = (*pad, *warp_points(size, matrix).tolist())
        tile = Tile(lambda: img, matrix, region, results["ignore_mask"])
        results["img"] = TiledImage((tile,), self.input_size, self.pad_value)
        set_instances(results, augment.warp_instances(get_instances(results), matrix))
