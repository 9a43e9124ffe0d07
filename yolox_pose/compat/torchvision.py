"""Stand in for the name of torchvision that MMPose imports: ``torchvision.transforms.ToPILImage``.

torchvision has no CPU wheel on PyPI, and MMPose uses it in one drawing function for SimCC heads. Remove this file when
``mmpose.visualization`` no longer imports it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

__version__ = "0.0.0+stand.in.of.yolox.pose"


class ToPILImage:
    """Convert a tensor (C, H, W) or an array (H, W, C) to a PIL image; floats in [0, 1] become 8 bit."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Image.Image:
        """Return the image in ``mode``, by default L for one channel and RGB for three."""
        if isinstance(pic, np.ndarray):
            array = pic if pic.ndim == 3 else pic[..., None]
        else:
            tensor = pic.detach().cpu()
            array = np.moveaxis(np.asarray(tensor if tensor.ndim == 3 else tensor[None]), 0, -1)
            if array.dtype.kind == "f":
                array = (array * 255).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(array.squeeze(-1) if array.shape[-1] == 1 else array), self.mode)
