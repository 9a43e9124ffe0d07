"""MixUp: the average of two images."""

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
from yolox_pose.geometry.affine import Tile, mix_tile
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.constants import PAD_VALUE

MIXUP_TRIES = 15
"""Maximum number of draws until a partner has instances, as in mmdet's ``YOLOXMixUp`` (``max_iters``)."""


@TRANSFORMS.register_module()
class YOLOXPoseMixUp(SampleTransform):
    """Average the image with a random crop of another image of the data set.

    Partners without instances are drawn again, up to :data:`MIXUP_TRIES` times.

    Args:
        input_size: Width and height that the partner is fitted into before scaling.
        scale_range: Range of the partner's scale.
        flip_prob: Probability of mirroring the partner.
        pad_value: Gray level outside the partner.
        prob: Probability of a MixUp.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        scale_range: Sequence[float] = (0.8, 1.6),
        flip_prob: float = 0.5,
        pad_value: int = PAD_VALUE,
        prob: float = 1.0,
    ) -> None:
        self.input_size = as_size(input_size)
        self.scale_range = as_range(scale_range)
        self.flip_prob = flip_prob
        self.pad_value = pad_value
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mix the images and append the partner's labels."""
        rng, dataset, size = results["rng"], results["dataset"], image_size(results)
        if rng.random() >= self.prob:
            return results
        other = dataset.get_sample(self._partner(rng, dataset))
        mirror, jitter = bool(rng.random() < self.flip_prob), rng.uniform(*self.scale_range)
        source = other["ori_shape"][1], other["ori_shape"][0]
        place = augment.mixup_placement(
            source, self.input_size, size, jitter=jitter, mirror=mirror, crop=tuple(rng.random(2))
        )
        tile = Tile(lambda: dataset.load_image(other["sample_idx"]), *place, other["ignore_mask"])
        results["img"], crowd = mix_tile(results["img"], tile, self.pad_value)
        crowds = [mask for mask in (results["ignore_mask"], crowd) if mask is not None]
        results["ignore_mask"] = np.maximum.reduce(crowds) if crowds else None
        moved = augment.warp_instances(get_instances(other), place.matrix)
        if mirror:
            moved = augment.swap_keypoints(moved, results["flip_indices"])
        parts = [get_instances(results), augment.clip_instances(moved, place.region)]
        set_instances(results, augment.concat_instances(parts))
        return results

    @staticmethod
    def _partner(rng: np.random.Generator, dataset: Any) -> int:
        for index in rng.integers(len(dataset), size=MIXUP_TRIES).tolist():
            if dataset.num_instances(index):
                break
        return index
