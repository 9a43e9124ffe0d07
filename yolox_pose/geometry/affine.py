"""Warps that move pixels and points by the same matrix, exactly.

A matrix is 3x3 float64, source to target, in continuous coordinates: pixel i covers [i, i + 1), so that the center of pixel
(x, y) is the point (x + 0.5, y + 0.5). cv2 puts pixel centers at integers; :func:`warp_image` converts. An image of several
sources (mosaic, mixup) is a list of :class:`Tile`. It is drawn once: each visible source is warped straight into its final
place.
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
"""Scale below which bilinear sampling would skip source pixels. Below it, the source is averaged first."""
WHOLE = 1e-6
"""Largest distance, in pixels, at which a border counts as lying on a whole pixel."""
POLYGON_BITS = 8
"""Fractional bits of the polygon corners passed to cv2."""


def translation(dx: float, dy: float) -> np.ndarray:
    """Return the matrix that moves points by (dx, dy)."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=np.float64)


def scaling(sx: float, sy: float) -> np.ndarray:
    """Return the matrix that scales points about the origin."""
    return np.diag([sx, sy, 1.0])


def mirroring(width: float) -> np.ndarray:
    """Return the matrix of the mirror x -> width - x."""
    return np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]], dtype=np.float64)


def affine_matrix(
    center: tuple[float, float],
    *,
    scale: float = 1.0,
    rotation: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Return the matrix that scales, rotates and shears about a center, in that order, and then shifts.

    Args:
        center: Fixed point of scale, rotation and shear, in pixels.
        scale: Scale factor.
        rotation: Angle in degrees.
        shear: Angles along x and y in degrees.
        shift: Shift along x and y in pixels.

    Source: mmpose ``structures/bbox/transforms.py``, ``get_pers_warp_matrix``.
    """
    angle, (shear_x, shear_y) = np.radians(rotation), np.tan(np.radians(shear))
    rotate = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    slant = np.array([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]])
    back = translation(center[0] + shift[0], center[1] + shift[1])
    return back @ slant @ rotate @ scaling(scale, scale) @ translation(-center[0], -center[1])


def warp_points(points: ArrayLike, matrix: np.ndarray) -> np.ndarray:
    """Map points (..., 2) through a matrix; the result is float64."""
    moved = np.asarray(points, dtype=np.float64) @ matrix[:2, :2].T
    for axis in (0, 1):  # several times as fast as adding a row of two to every point
        moved[..., axis] += matrix[axis, 2]
    return moved


def determinant(matrix: np.ndarray) -> float:
    """Return the factor by which a matrix changes areas."""
    return float(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]))


def _shrink(img: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average whole blocks of the source, and adapt the matrix, if it shrinks the source below :data:`SHRINK_LIMIT`."""
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
    """Warp an image by a matrix.

    Args:
        img: Image of shape (h, w) or (h, w, 3), uint8.
        matrix: Matrix of shape (3, 3), source to target.
        size: Width and height of the target in pixels.
        pad_value: Gray level outside the source.
        nearest: Whether to take the nearest pixel, for masks, in place of bilinear interpolation.
        replicate: Whether to repeat the border pixels outside the source in place of padding.

    Returns:
        Image of ``size`` with the channels and type of ``img``.
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
    """Warp an image by ``cv2.resize`` if the matrix puts its borders on whole pixels. This is several times as fast.

    Returns:
        Visible part of the resized, perhaps mirrored, image, and its left and top in the target. None for other matrices.
    """
    # Compute the borders in the target and check that they are whole
    if matrix[0, 1] or matrix[1, 0] or matrix[1, 1] <= 0 or not matrix[0, 0]:
        return None
    (sx, sy), (x1, y1) = matrix.diagonal()[:2].tolist(), matrix[:2, 2].tolist()
    x2, y2 = x1 + sx * img.shape[1], y1 + sy * img.shape[0]
    edges = min(x1, x2), y1, max(x1, x2), y2
    left, top, right, bottom = (round(edge) for edge in edges)
    exact = sum(abs(edge - whole) for edge, whole in zip(edges, (left, top, right, bottom))) < WHOLE
    if not exact or right <= left or bottom <= top:
        return None

    # Resize, crop and mirror
    method = cv2.INTER_AREA if abs(sx * sy) < SHRINK_LIMIT**2 else cv2.INTER_LINEAR
    resized = cv2.resize(img, (right - left, bottom - top), interpolation=method)
    first, last = max(left, 0), max(min(right, size[0]), 0)
    columns = slice(first - left, last - left) if sx > 0 else slice(right - last, right - first)
    part = resized[max(-top, 0) : max(size[1] - top, 0), columns]
    return (part if sx > 0 or not part.size else cv2.flip(part, 1)), first, max(top, 0)


def _surround(
    part: np.ndarray, left: int, top: int, size: tuple[int, int], border: int, value: tuple[int, int, int]
) -> np.ndarray:
    """Place an image part at (left, top) of a target of ``size`` and fill the border."""
    if not part.size:
        return np.full((size[1], size[0], *part.shape[2:]), value[0], dtype=part.dtype)
    pads = top, size[1] - top - part.shape[0], left, size[0] - left - part.shape[1]
    return cv2.copyMakeBorder(part, *pads, border, value=value) if any(pads) else part


class Tile(NamedTuple):
    """Source of a tiled image.

    Attributes:
        load: Function that returns the source, (h, w, 3) uint8. It is called only if the tile is visible.
        matrix: Matrix of shape (3, 3), source to tiled image.
        region: Part of the tiled image that the tile fills, xyxy, inside its warped source.
        ignore_mask: Crowd mask of the source, (h, w) uint8, or None.
    """

    load: Callable[[], np.ndarray]
    matrix: np.ndarray
    region: tuple[float, float, float, float]
    ignore_mask: np.ndarray | None = None


class TiledImage(NamedTuple):
    """Image of several sources that is not drawn yet.

    Attributes:
        tiles: The sources.
        size: Width and height in pixels.
        pad_value: Gray level of the padding.
    """

    tiles: tuple[Tile, ...]
    size: tuple[int, int]
    pad_value: int = PAD_VALUE

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels, as of a drawn image."""
        return self.size[1], self.size[0], 3


class Drawing(NamedTuple):
    """Drawn image.

    Attributes:
        img: Image of shape (H, W, 3), uint8.
        ignore_mask: Crowd mask of shape (H, W), uint8, or None.
    """

    img: np.ndarray
    ignore_mask: np.ndarray | None


def draw_tiles(tiled: TiledImage, matrix: np.ndarray, size: tuple[int, int]) -> Drawing:
    """Draw a tiled image through a matrix, with one warp per visible source.

    Args:
        tiled: The tiled image.
        matrix: Matrix of shape (3, 3), tiled image to target.
        size: Width and height of the target in pixels.
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
    """Average an image with a padded tile of the same size, rounded.

    Hidden parts of the tile and the padding around it are not drawn, unless the tile has a crowd mask.

    Args:
        img: Image of shape (H, W, 3), uint8.
        tile: Tile with matrix and region in pixels of ``img``.
        pad_value: Gray level around the tile.
    """
    # Draw the whole tile where it cannot be resized into place
    size = img.shape[1], img.shape[0]
    placed = _resize(tile.load(), tile.matrix, size) if tile.ignore_mask is None else None
    if placed is None:
        drawn = draw_tiles(TiledImage((tile,), size, pad_value), np.eye(3), size)
        return drawn._replace(img=cv2.addWeighted(img, 0.5, drawn.img, 0.5, 0))

    # Darken the image around the tile
    part, left, top = placed
    right, bottom, mixed = left + part.shape[1], top + part.shape[0], np.empty_like(img)
    around = np.s_[:top], np.s_[bottom:], np.s_[top:bottom, :left], np.s_[top:bottom, right:]
    for place in around:
        if img[place].size:
            cv2.convertScaleAbs(img[place], mixed[place], 0.5, pad_value / 2)

    # Average the image and the tile
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
    """Draw a tile into ``window`` of ``img``, and its crowd mask into ``masks[0]``, which is created if needed.

    Args:
        img: Target of shape (H, W, 3), uint8, changed in place.
        masks: List of at most one crowd mask of the target, changed in place.
        tile: The tile.
        matrix: Matrix of shape (3, 3), source to target.
        corners: Corners of the tile's region in the target, shape (4, 2).
        window: Bounding box of the region in whole pixels of the target, xyxy.
    """
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
    """Warp the visible part of a source straight into ``target``, in place, in a third of the time of a masked warp.

    cv2's transparent border draws the pixels whose upper left neighbor is in the source. A row and a column are therefore put
    before the part. Up to half a pixel of the source beyond the tile is drawn as well.

    Returns:
        Whether the tile was drawn. False if a resize is faster, or if the tile itself is rotated.
    """
    if matrix[0, 1] == matrix[1, 0] == 0 or tile.matrix[0, 1] or tile.matrix[1, 0]:
        return False

    # Find the rows and columns of the source that the tile shows
    bounds = []
    for axis, (extent, visible) in enumerate(zip(source.shape[1::-1], _visible_part(matrix, target.shape[1::-1]))):
        scale, shift = float(tile.matrix[axis, axis]), float(tile.matrix[axis, 2])
        edges = sorted(min(max(round((edge - shift) / scale), 0), extent) for edge in tile.region[axis::2])
        bounds.append([min(max(edge, visible[0]), visible[1]) for edge in edges])
    (left, right), (top, bottom) = bounds
    if right == left or bottom == top:
        return True

    # Warp them
    part, matrix = _shrink(source[top:bottom, left:right], matrix @ translation(left, top))
    part = cv2.copyMakeBorder(part, 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    centers = translation(-0.5, -0.5) @ matrix @ translation(-0.5, -0.5)
    cv2.warpAffine(part, centers[:2], target.shape[1::-1], dst=target, borderMode=cv2.BORDER_TRANSPARENT)
    return True


def _visible_part(matrix: np.ndarray, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return first and last column, and first and last row, of a source visible in a target, with a margin."""
    (a, b, dx), (c, d, dy) = matrix[:2].tolist()
    det, corners = a * d - b * c, ((x - dx, y - dy) for x in (0, size[0]) for y in (0, size[1]))
    xs, ys = zip(*(((d * x - b * y) / det, (a * y - c * x) / det) for x, y in corners))
    margin = 2 + 2 / abs(det) ** 0.5
    columns, rows = ((math.floor(min(side) - margin), math.ceil(max(side) + margin)) for side in (xs, ys))
    return columns, rows


def _corners(region: Sequence[float]) -> np.ndarray:
    """Return the corners (4, 2) of a rectangle xyxy, in order around it."""
    x1, y1, x2, y2 = region
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)


def _window(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Return the bounding box xyxy, in whole pixels of the target, of a quadrangle; None if it is empty."""
    xs, ys = corners.T.tolist()
    left, top = max(math.floor(min(xs)), 0), max(math.floor(min(ys)), 0)
    right, bottom = min(math.ceil(max(xs)), size[0]), min(math.ceil(max(ys)), size[1])
    return (left, top, right, bottom) if right > left and bottom > top else None


def _polygon_mask(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw a mask (H, W), uint8, 255 for pixels with centers inside a convex quadrangle."""
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    fixed = np.round((corners - 0.5) * (1 << POLYGON_BITS)).astype(np.int32)
    return cv2.fillConvexPoly(mask, fixed, 255, shift=POLYGON_BITS)
