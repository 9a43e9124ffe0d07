"""Warps that move pixels and points by the same matrix, exactly.

A matrix here is 3x3 float64, source to target, in continuous coordinates: pixel i covers [i, i+1), so that the lit pixel
(x, y) is the point (x+.5, y+.5). cv2 puts pixel centres at whole numbers; :func:`warp_image` converts. A picture of
several sources (mosaic, mixup) is a list of :class:`Tile`; it is drawn once, by one warp of each source that is seen,
straight into its final place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from yolox_pose.structures.constants import PAD_VALUE

SHRINK_LIMIT = 0.5
"""Scale below which bilinear sampling would skip source pixels, so that the source is averaged first."""
WHOLE = 1e-6
"""Pixels by which borders may miss whole pixels and still count as on them."""
POLYGON_BITS = 8
"""Binary digits behind the point of polygon corners given to cv2."""


def translation(dx: float, dy: float) -> np.ndarray:
    """Matrix that moves points by (dx, dy)."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=np.float64)


def scaling(sx: float, sy: float) -> np.ndarray:
    """Matrix that scales points about the origin."""
    return np.diag([sx, sy, 1.0])


def mirroring(width: float) -> np.ndarray:
    """Matrix of the mirror x -> width - x."""
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


def affine_matrix(
    center: tuple[float, float],
    *,
    scale: float = 1.0,
    rotation: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Scale, rotate (degrees), shear (degrees along x and y), in that order about ``center``, then shift by pixels.

    Source: mmpose ``structures/bbox/transforms.py``, ``get_pers_warp_matrix``.
    """
    angle, (shear_x, shear_y) = np.radians(rotation), np.tan(np.radians(shear))
    rotate = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    slant = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
    back = translation(center[0] + shift[0], center[1] + shift[1])
    return back @ slant @ rotate @ scaling(scale, scale) @ translation(-center[0], -center[1])


def warp_points(points: ArrayLike, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) moved by a matrix, float64."""
    moved = np.asarray(points, dtype=np.float64) @ matrix[:2, :2].T
    for axis in (0, 1):  # numpy adds a row of two to each of many rows several times as slowly
        moved[..., axis] += matrix[axis, 2]
    return moved


def determinant(matrix: np.ndarray) -> float:
    """Factor by which the matrix changes areas."""
    return float(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def _shrink(img: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average whole blocks of the source if the matrix shrinks it below :data:`SHRINK_LIMIT`."""
    factor = int(1 / max(np.sqrt(determinant(matrix)), 1e-6))
    if factor < 1 / SHRINK_LIMIT:
        return img, matrix
    height, width = img.shape[:2]
    size = max(width // factor, 1), max(height // factor, 1)
    small = cv2.resize(img, size, interpolation=cv2.INTER_AREA)
    return small, matrix @ scaling(width / size[0], height / size[1])


def warp_image(
    img: np.ndarray,
    matrix: np.ndarray,
    size: tuple[int, int],
    *,
    pad_value: int = PAD_VALUE,
    nearest: bool = False,
    replicate: bool = False,
) -> np.ndarray:
    """Draw an image through a matrix.

    Args:
        img: (h, w) or (h, w, 3) uint8.
        matrix: 3x3, source to target.
        size: Width and height of the target.
        pad_value: Value outside the source.
        nearest: Take the nearest pixel (masks) instead of bilinear interpolation.
        replicate: Continue the border pixels outside the source instead of padding.

    Returns:
        Array of ``size`` with the channels and type of ``img``.
    """
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    value = (pad_value,) * 3
    if not nearest:
        resized = _resize(img, matrix, size)
        if resized is not None:
            return _surround(*resized, size, border, value)
        img, matrix = _shrink(img, matrix)
    centers = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.warpAffine(img, centers[:2], size, flags=flags, borderMode=border, borderValue=value)


def _resize(img: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, int, int] | None:
    """Draw an image by ``cv2.resize``, several times as fast as a warp, if the matrix puts its borders on whole pixels.

    Returns:
        What a target of ``size`` shows of the resized, perhaps mirrored, image, and its left and top there; None if the
        matrix is another one.
    """
    if matrix[0, 1] or matrix[1, 0] or matrix[1, 1] <= 0 or not matrix[0, 0]:
        return None
    (sx, sy), (x1, y1) = matrix.diagonal()[:2].tolist(), matrix[:2, 2].tolist()
    x2, y2 = x1 + sx * img.shape[1], y1 + sy * img.shape[0]
    edges = min(x1, x2), y1, max(x1, x2), y2
    left, top, right, bottom = (round(edge) for edge in edges)
    exact = sum(abs(edge - whole) for edge, whole in zip(edges, (left, top, right, bottom))) < WHOLE
    if not exact or right <= left or bottom <= top:
        return None
    method = cv2.INTER_AREA if abs(sx * sy) < SHRINK_LIMIT**2 else cv2.INTER_LINEAR
    resized = cv2.resize(img, (right - left, bottom - top), interpolation=method)
    first, last = max(left, 0), max(min(right, size[0]), 0)
    columns = slice(first - left, last - left) if sx > 0 else slice(right - last, right - first)
    part = resized[max(-top, 0) : max(size[1] - top, 0), columns]
    return (part if sx > 0 or not part.size else cv2.flip(part, 1)), first, max(top, 0)


def _surround(
    part: np.ndarray, left: int, top: int, size: tuple[int, int], border: int, value: tuple[int, int, int]
) -> np.ndarray:
    """Target of ``size`` that shows an image part at (left, top), with a border around it."""
    if not part.size:
        return np.full((size[1], size[0], *part.shape[2:]), value[0], dtype=part.dtype)
    pads = top, size[1] - top - part.shape[0], left, size[0] - left - part.shape[1]
    return cv2.copyMakeBorder(part, *pads, border, value=value) if any(pads) else part


class Tile(NamedTuple):
    """One source of a picture of several.

    Attributes:
        load: Gives the (h, w, 3) uint8 source; called only if the tile is seen.
        matrix: 3x3, source to picture.
        region: x1, y1, x2, y2 of the part of the picture that the tile fills, inside its warped source.
        ignore_mask: (h, w) uint8 crowd mask of the source, or None.
    """

    load: Callable[[], np.ndarray]
    matrix: np.ndarray
    region: tuple[float, float, float, float]
    ignore_mask: np.ndarray | None = None


class TiledImage(NamedTuple):
    """A picture of several sources that is not drawn yet: its tiles, its width and height, its padding."""

    tiles: tuple[Tile, ...]
    size: tuple[int, int]
    pad_value: int = PAD_VALUE

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, as of an image array."""
        return self.size[1], self.size[0], 3


class Drawing(NamedTuple):
    """A drawn picture: (H, W, 3) uint8 image, and (H, W) uint8 crowd mask or None."""

    img: np.ndarray
    ignore_mask: np.ndarray | None


def draw_tiles(tiled: TiledImage, matrix: np.ndarray, size: tuple[int, int]) -> Drawing:
    """Draw a picture of several sources through a matrix with one warp of each source that is seen.

    Args:
        tiled: The picture.
        matrix: 3x3, picture to target.
        size: Width and height of the target.
    """
    img = np.full((size[1], size[0], 3), tiled.pad_value, dtype=np.uint8)
    masks: list[np.ndarray] = []
    quadrangles = warp_points([_corners(tile.region) for tile in tiled.tiles], matrix)
    for tile, corners in zip(tiled.tiles, quadrangles):
        window = _window(corners, size)
        if window is not None:
            _draw_tile(img, masks, tile, matrix @ tile.matrix, corners, window)
    return Drawing(img, masks[0] if masks else None)


def mix_tile(img: np.ndarray, tile: Tile, pad_value: int = PAD_VALUE) -> Drawing:
    """Mean of an image and of a picture of its size with one tile, rounded.

    Neither the part of the tile that is not seen nor the grey around it is drawn, unless the tile has a crowd mask.

    Args:
        img: (H, W, 3) uint8.
        tile: The tile, its matrix and region in pixels of ``img``.
        pad_value: Grey of the picture where the tile is not.
    """
    size = img.shape[1], img.shape[0]
    placed = _resize(tile.load(), tile.matrix, size) if tile.ignore_mask is None else None
    if placed is None:
        drawn = draw_tiles(TiledImage((tile,), size, pad_value), np.eye(3), size)
        return drawn._replace(img=cv2.addWeighted(img, 0.5, drawn.img, 0.5, 0))
    part, left, top = placed
    right, bottom, mixed = left + part.shape[1], top + part.shape[0], np.empty_like(img)
    around = np.s_[:top], np.s_[bottom:], np.s_[top:bottom, :left], np.s_[top:bottom, right:]
    for place in around:
        if img[place].size:
            cv2.convertScaleAbs(img[place], mixed[place], 0.5, pad_value / 2)
    inside = np.s_[top:bottom, left:right]
    if part.size:
        cv2.addWeighted(img[inside], 0.5, part, 0.5, 0, mixed[inside])
    return Drawing(mixed, None)


def _draw_tile(
    img: np.ndarray,
    masks: list[np.ndarray],
    tile: Tile,
    matrix: np.ndarray,
    corners: np.ndarray,
    window: tuple[int, int, int, int],
) -> None:
    """Draw a tile inside ``window`` of ``img``, and its crowd mask into ``masks[0]``, made when first needed."""
    x1, y1, x2, y2 = window
    to_window, target, source = translation(-x1, -y1) @ matrix, img[y1:y2, x1:x2], tile.load()
    size, drawn = (x2 - x1, y2 - y1), _draw_through(target, source, tile, to_window)
    if drawn and tile.ignore_mask is None:
        return
    inside = _polygon_mask(corners - (x1, y1), size)
    if not drawn:
        cv2.copyTo(warp_image(source, to_window, size, replicate=True), inside, target)
    if tile.ignore_mask is not None:
        if not masks:
            masks.append(np.zeros(img.shape[:2], dtype=np.uint8))
        crowd = warp_image(tile.ignore_mask, to_window, size, pad_value=0, nearest=True)
        cv2.copyTo(crowd, inside, masks[0][y1:y2, x1:x2])


def _draw_through(target: np.ndarray, source: np.ndarray, tile: Tile, matrix: np.ndarray) -> bool:
    """Warp the part of a source that its tile shows straight into ``target``, in place, in a third of the time of a masked
    warp of a continued border.

    cv2's transparent border draws the pixels whose upper left neighbour is in the source, so that a row and a column are
    put before it; up to half a pixel of the source beyond the tile is drawn as well.

    Returns:
        Whether it was done: a resize is faster still, and a tile that is turned by itself has no upright part.
    """
    if matrix[0, 1] == matrix[1, 0] == 0 or tile.matrix[0, 1] or tile.matrix[1, 0]:
        return False
    bounds = []
    for axis, (extent, seen) in enumerate(zip(source.shape[1::-1], _seen(matrix, target.shape[1::-1]))):
        scale, shift = float(tile.matrix[axis, axis]), float(tile.matrix[axis, 2])
        edges = sorted(min(max(round((edge - shift) / scale), 0), extent) for edge in tile.region[axis::2])
        bounds.append([min(max(edge, seen[0]), seen[1]) for edge in edges])
    (left, right), (top, bottom) = bounds
    if right == left or bottom == top:
        return True
    part, matrix = _shrink(source[top:bottom, left:right], matrix @ translation(left, top))
    part = cv2.copyMakeBorder(part, 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    centers = translation(-0.5, -0.5) @ matrix @ translation(-0.5, -0.5)
    cv2.warpAffine(part, centers[:2], target.shape[1::-1], dst=target, borderMode=cv2.BORDER_TRANSPARENT)
    return True


def _seen(matrix: np.ndarray, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last column, and row, of a source that a target of ``size`` shows, with a margin for interpolation."""
    (a, b, dx), (c, d, dy) = matrix[:2].tolist()
    det, corners = a * d - b * c, ((x - dx, y - dy) for x in (0, size[0]) for y in (0, size[1]))
    xs, ys = zip(*(((d * x - b * y) / det, (a * y - c * x) / det) for x, y in corners))
    margin = 2 + 2 / abs(det) ** 0.5
    columns, rows = ((math.floor(min(side) - margin), math.ceil(max(side) + margin)) for side in (xs, ys))
    return columns, rows


def _corners(region: Sequence[float]) -> np.ndarray:
    """(4, 2) corners of a rectangle, in order around it."""
    x1, y1, x2, y2 = region
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)


def _window(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Whole pixels of the target that may lie inside a quadrangle; None if there are none."""
    xs, ys = corners.T.tolist()
    left, top = max(math.floor(min(xs)), 0), max(math.floor(min(ys)), 0)
    right, bottom = min(math.ceil(max(xs)), size[0]), min(math.ceil(max(ys)), size[1])
    return (left, top, right, bottom) if right > left and bottom > top else None


def _polygon_mask(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8, 255 for pixels whose centre is inside a convex quadrangle."""
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    fixed = np.round((corners - 0.5) * (1 << POLYGON_BITS)).astype(np.int32)
    return cv2.fillConvexPoly(mask, fixed, 255, shift=POLYGON_BITS)
