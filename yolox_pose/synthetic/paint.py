"""Anti-aliased shapes on a canvas that records the topmost surface of every pixel.

A shape is a signed distance (negative inside, pixels): its coverage of a pixel is ``clip(0.5 - d, 0, 1)`` at the
pixel's center, and it *owns* the pixel where the coverage is at least one half, that is where ``d <= 0``. Shapes are
painted back to front, so that the owner of a pixel is the surface that a viewer sees there. Colors are BGR in 0..255; points
are in continuous coordinates (the pixel (i, j) has its center at (j + .5, i + .5)).

Shape letters: H, W of the picture; h, w of the window that a shape can touch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

Color = tuple[float, float, float]

BACKGROUND = -1
"""Owner of a pixel that nothing covers."""


class Local(NamedTuple):
    """Pixel coordinates in the frame of a shape, arrays of shape (h, w).

    Attributes:
        distance: Signed distance to the outline in pixels, negative inside.
        along: Position from the first end (0) to the second end (1).
        across: Position from one side (-1) to the other side (1).
    """

    distance: np.ndarray
    along: np.ndarray
    across: np.ndarray


@dataclass(frozen=True)
class Capsule:
    """Limb: a disc of radius ``ra`` at ``a``, swept to a disc of radius ``rb`` at ``b``."""

    a: tuple[float, float]
    b: tuple[float, float]
    ra: float
    rb: float

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the box (x0, y0, x1, y1) outside of which the distance is positive."""
        r = max(self.ra, self.rb)
        (ax, ay), (bx, by) = self.a, self.b
        return min(ax, bx) - r, min(ay, by) - r, max(ax, bx) + r, max(ay, by) + r

    def local(self, x: np.ndarray, y: np.ndarray) -> Local:
        """Return the coordinates of points in the frame of the shape."""
        dx, dy = self.b[0] - self.a[0], self.b[1] - self.a[1]
        length = max((dx * dx + dy * dy) ** 0.5, 1e-3)
        px, py = x - self.a[0], y - self.a[1]  # (1, w) and (h, 1): sums of the two are the only (h, w) work
        along_px = px * (dx / length) + py * (dy / length)
        across_px = px * (-dy / length) + py * (dx / length)
        along = clip01(along_px / length)
        radius = self.ra + (self.rb - self.ra) * along
        along_px -= length * along
        distance = np.sqrt(along_px * along_px + across_px * across_px) - radius
        return Local(distance, along, across_px / radius)


@dataclass(frozen=True)
class Slab:
    """Trunk: a trapezoid of half widths ``wa`` at ``a`` and ``wb`` at ``b``, with corners rounded by ``corner``."""

    a: tuple[float, float]
    b: tuple[float, float]
    wa: float
    wb: float
    corner: float

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the box (x0, y0, x1, y1) outside of which the distance is positive."""
        return Capsule(self.a, self.b, self.wa, self.wb).bounds()

    def local(self, x: np.ndarray, y: np.ndarray) -> Local:
        """Return the coordinates of points in the frame of the shape."""
        dx, dy = self.b[0] - self.a[0], self.b[1] - self.a[1]
        length = max((dx * dx + dy * dy) ** 0.5, 1e-3)
        px, py = x - self.a[0], y - self.a[1]
        along_px = px * (dx / length) + py * (dy / length)
        across_px = px * (-dy / length) + py * (dx / length)
        along = clip01(along_px / length)
        half_width = self.wa + (self.wb - self.wa) * along
        corner = min(self.corner, self.wa, self.wb, length / 2)
        qx = np.abs(across_px) - (half_width - corner)
        qy = np.abs(along_px - length / 2) - (length / 2 - corner)
        ox, oy = np.maximum(qx, 0), np.maximum(qy, 0)
        distance = np.sqrt(ox * ox + oy * oy) + np.minimum(np.maximum(qx, qy), 0) - corner
        return Local(distance, along, across_px / half_width)


@dataclass(frozen=True)
class Ellipse:
    """Ellipse with half axes ``rx``, ``ry``, turned clockwise by ``angle`` radians."""

    center: tuple[float, float]
    rx: float
    ry: float
    angle: float = 0.0

    def bounds(self) -> tuple[float, float, float, float]:
        """Return the box (x0, y0, x1, y1) outside of which the distance is positive."""
        r = max(self.rx, self.ry)
        return self.center[0] - r, self.center[1] - r, self.center[0] + r, self.center[1] + r

    def normalized(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the points in the frame where the ellipse is the unit circle."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        px, py = x - self.center[0], y - self.center[1]
        return px * (c / self.rx) + py * (s / self.rx), py * (c / self.ry) - px * (s / self.ry)

    def local(self, x: np.ndarray, y: np.ndarray) -> Local:
        """Return the coordinates of points in the frame of the shape; the distance is exact on the outline only."""
        nx, ny = self.normalized(x, y)
        distance = (np.sqrt(nx * nx + ny * ny) - 1) * min(self.rx, self.ry)
        return Local(distance, clip01((ny + 1) * 0.5), nx)


Shape = Capsule | Slab | Ellipse


@dataclass(frozen=True)
class Material:
    """Color and pattern of a surface.

    Args:
        color: Main BGR color.
        second: Second color of the pattern.
        pattern: ``plain``, ``stripes`` (across the part), ``bars`` (along it), ``checks`` or ``dots``.
        repeats: Periods of the pattern along the part.
    """

    color: Color
    second: Color = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    repeats: float = 5.0

    def paint(self, local: Local, aspect: float = 1.0) -> np.ndarray:
        """Return the BGR colors (3, h, w), or (3, 1, 1) if plain.

        Args:
            local: Pixel coordinates in the frame of the part.
            aspect: Half width of the part divided by its length.
        """
        color = planar(self.color)
        if self.pattern == "plain":
            return color
        t, u = local.along * self.repeats, local.across * (self.repeats * aspect)
        return np.where(self._is_second(t, u), planar(self.second), color)

    def _is_second(self, t: np.ndarray, u: np.ndarray) -> np.ndarray:
        if self.pattern == "stripes":
            return (t % 1) < 0.45
        if self.pattern == "bars":
            return (u % 1) < 0.45
        if self.pattern == "checks":
            return ((t % 1) < 0.5) ^ ((u % 1) < 0.5)
        return np.hypot(t % 1 - 0.5, u % 1 - 0.5) < 0.3


class Canvas:
    """Picture that is being painted.

    Args:
        planes: Background of shape (3, H, W); it is copied.

    Attributes:
        planes: Colors of shape (3, H, W), float32.
        owner: Topmost surface of each pixel, of shape (H, W), int32.
    """

    def __init__(self, planes: np.ndarray) -> None:
        self.planes = np.array(planes, np.float32)
        height, width = self.planes.shape[1:]
        self.owner = np.full((height, width), BACKGROUND, np.int32)
        self._x = np.arange(width, dtype=np.float32)[None] + np.float32(0.5)
        self._y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)

    def window(self, shape: Shape) -> tuple[slice, slice] | None:
        """Return the rows and columns that a shape can touch, or None if it is outside the picture."""
        height, width = self.owner.shape
        x0, y0, x1, y1 = shape.bounds()
        left, top = max(math.floor(x0) - 1, 0), max(math.floor(y0) - 1, 0)
        right, bottom = min(math.ceil(x1) + 1, width), min(math.ceil(y1) + 1, height)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def grid(self, window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixel centers of a window: x of shape (1, w) and y of shape (h, 1)."""
        return self._x[:, window[1]], self._y[window[0]]

    def blend(self, window: tuple[slice, slice], distance: np.ndarray, color: np.ndarray, owner: int) -> None:
        """Blend a shape into the picture, and give its pixels to ``owner``.

        Args:
            window: Rows and columns of the shape.
            distance: Signed distance to the outline of the shape, of shape (h, w).
            color: Colors of shape (3, h, w) or (3, 1, 1).
            owner: New owner.
        """
        under = self.planes[:, window[0], window[1]]
        under += clip01(0.5 - distance) * (color - under)
        np.copyto(self.owner[window], owner, where=distance <= 0)

    def fill(self, shape: Shape, color: Color | Material, owner: int = BACKGROUND) -> None:
        """Paint a shape in a flat color or a pattern."""
        window = self.window(shape)
        if window is None:
            return
        local = shape.local(*self.grid(window))
        paint = color.paint(local) if isinstance(color, Material) else planar(color)
        self.blend(window, local.distance, paint, owner)

    def shadow(self, center: tuple[float, float], rx: float, ry: float, strength: float) -> None:
        """Darken an ellipse on the ground, with a soft edge."""
        shape = Ellipse(center, rx, ry)
        window = self.window(shape)
        if window is None:
            return
        nx, ny = shape.normalized(*self.grid(window))
        self.planes[:, window[0], window[1]] *= 1 - strength * clip01(1 - np.hypot(nx, ny))


def planar(color: Color | np.ndarray) -> np.ndarray:
    """Return a color as a (3, 1, 1) float32 array."""
    return np.array(color, np.float32)[:, None, None]


def clip01(values: np.ndarray) -> np.ndarray:
    """Clip values to 0..1, in place."""
    return np.minimum(np.maximum(values, 0, out=values), 1, out=values)


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> np.ndarray:
    """Draw (H, W) float32 noise of about -1..1 with ``cells`` bumps along the longer side; ``size`` is (W, H)."""
    width, height = size
    longest = max(width, height)
    shape = (max(2, round(cells * height / longest)), max(2, round(cells * width / longest)))
    coarse = rng.random(shape, np.float32) * 2 - 1
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
