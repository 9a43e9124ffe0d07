"""Mosaic: four images around a random center."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yolox_pose.datasets import augment
from yolox_pose.datasets.transforms.base import SampleTransform, as_range, as_size, get_instances, set_instances
from yolox_pose.geometry.affine import Tile, TiledImage
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.constants import PAD_VALUE


@TRANSFORMS.register_module()
class YOLOXPoseMosaic(SampleTransform):
    """Place the image and three other images around a point of a canvas of twice ``input_size``.

    Args:
        input_size: Width and height of a quarter of the canvas.
        center_range: Range of the common corner in units of ``input_size``.
        pad_value: Gray level of the background.
        prob: Probability of a mosaic.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        center_range: Sequence[float] = (0.5, 1.5),
        pad_value: int = PAD_VALUE,
        prob: float = 1.0,
    ) -> None:
        self.input_size = as_size(input_size)
        self.center_range = as_range(center_range)
        self.pad_value = pad_value
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img`` with a :class:`TiledImage` and the labels with those of all four images."""
        rng, dataset = results["rng"], results["dataset"]
        if rng.random() >= self.prob:
            return results
        center_x, center_y = (int(rng.uniform(*self.center_range) * side) for side in self.input_size)
        others = [dataset.get_sample(int(index)) for index in rng.integers(len(dataset), size=3)]
        img, samples = results["img"], [results, *others]
        loaders = [lambda: img] + [lambda i=other["sample_idx"]: dataset.load_image(i) for other in others]
        places = augment.mosaic_placements(
            [s["ori_shape"][::-1] for s in samples], self.input_size, (center_x, center_y)
        )
        tiles = [Tile(load, *place, sample["ignore_mask"]) for load, place, sample in zip(loaders, places, samples)]
        set_instances(results, augment.place_instances([get_instances(sample) for sample in samples], places))
        canvas = 2 * self.input_size[0], 2 * self.input_size[1]
        results["img"], results["ignore_mask"] = TiledImage(tuple(tiles), canvas, self.pad_value), None
        return results
