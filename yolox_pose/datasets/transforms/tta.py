"""TTASettings of an image for test-time augmentation: several sizes, as it is and mirrored."""

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
    """Letterbox the image at several sizes, as it is and mirrored; takes the place of ``LetterboxResize`` and packing.

    The source image itself is mirrored and resized once for each view, so that a larger view shows more detail and
    coordinates come back exactly whatever the size of the image. The metainfo of each view has ``flip``.

    Args:
        input_size: Width and height of the view of scale 1.
        centered: As for ``LetterboxResize``.
        pad_value: Likewise.
        scales: Sizes of the views against ``input_size``, rounded to multiples of ``divisor``.
        flip: Whether each view is also taken of the mirrored image.
        divisor: Pixels.

    Raises:
        ValueError: If there is no scale, or one is not positive.
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
        """Lists of the ``inputs`` and ``data_samples`` of all views, as MMEngine's ``BaseTTAModel`` takes them."""
        views = []
        for flip in self.mirrored:
            img = cv2.flip(results["img"], 1) if flip else results["img"]
            views += [self.pack(resize({**results, "img": img, "flip": flip})) for resize in self.letterboxes]
        return {key: [view[key] for view in views] for key in views[0]}
