"""Augmented views of an image for test-time augmentation: several sizes, plain and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2

from yolox_pose.datasets.transforms.letterbox import LetterboxResize
from yolox_pose.datasets.transforms.packing import PackYOLOXPoseInputs
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.constants import PAD_VALUE, SIZE_DIVISOR


@TRANSFORMS.register_module()
class TTALetterbox(LetterboxResize):
    """Letterbox the image at several sizes, plain and mirrored, in place of ``LetterboxResize`` and packing.

    Each view is made from the source image, so larger views show more detail and the inverse is exact for any image size.
    The metainfo of each view has ``flip``.

    Args:
        input_size: Width and height at scale 1.
        centered: Whether padding goes to both sides, as for ``LetterboxResize``.
        pad_value: Gray level of the padding.
        scales: Scales relative to ``input_size``.
        flip: Whether each size is also used for the mirrored image.
        divisor: Number of pixels that sides of the views are rounded to multiples of.

    Raises:
        ValueError: If ``scales`` is empty or a scale is not positive.
    """

    def __init__(
        self,
        input_size: int | Sequence[int] = (640, 640),
        centered: bool = True,
        pad_value: int = PAD_VALUE,
        scales: Sequence[float] = (1.0,),
        flip: bool = True,
        divisor: int = SIZE_DIVISOR,
    ) -> None:
        super().__init__(input_size, centered, pad_value)
        if not scales or min(scales) <= 0:
            raise ValueError(f"scales must be one or more positive numbers, not {tuple(scales)}")
        sizes = [tuple(max(1, round(side * s / divisor)) * divisor for side in self.input_size) for s in scales]
        self.letterboxes = [LetterboxResize(size, centered, pad_value) for size in dict.fromkeys(sizes)]
        self.mirrored = (False, True) if flip else (False,)
        self.pack = PackYOLOXPoseInputs(meta_keys=("flip",))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return lists of the ``inputs`` and ``data_samples`` of all views, the format of MMEngine's ``BaseTTAModel``."""
        views = []
        for flip in self.mirrored:
            img = cv2.flip(results["img"], 1) if flip else results["img"]
            views += [self.pack(resize({**results, "img": img, "flip": flip})) for resize in self.letterboxes]
        return {key: [view[key] for view in views] for key in views[0]}
