"""Colors, rectangles and coordinates of a canvas, shared by the drawing modules.

A canvas is an image of shape (H, W, 3), uint8 BGR. Coordinates are continuous pixels: the center of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Color = tuple[int, int, int]
"""BGR."""

PALETTE: tuple[Color, ...] = (
    (0, 215, 255), (211, 85, 186), (208, 224, 64), (180, 105, 255), (87, 229, 190), (235, 206, 250), (80, 80, 240),
    (170, 232, 238), (219, 112, 147), (50, 205, 154), (203, 192, 255), (250, 230, 180),
)  # fmt: skip
"""Colors of persons, tracks or classes, used in turn. They differ from the blue and orange of left and right limbs."""

CASING: Color = (30, 30, 30)
"""Color of the casing around limbs and keypoints."""

MIDDLE: Color = (255, 255, 255)
"""Color in the middle of keypoints."""

SHIFT = 4
"""Fractional bits of the fixed-point coordinates that cv2 draws at: 1/16 px."""


class Area(NamedTuple):
    """Rectangle of whole pixels; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the pixels of the rectangle in a canvas: rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def meets(self, other: Area) -> bool:
        """Return whether the two rectangles share a pixel."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def clamp(value: float, low: float, high: float) -> float:
    """Limit a number to a range. ``np.clip`` is ten times slower for a single number."""
    return min(max(value, low), high)


def fixed_point(values: np.ndarray) -> np.ndarray:
    """Convert pixels to cv2's fixed-point integers.

    Subtract 0.5 from coordinates first: cv2 puts the center of the first pixel at 0, it is at 0.5 here.
    """
    return np.rint(values * (1 << SHIFT)).astype(np.int32)
