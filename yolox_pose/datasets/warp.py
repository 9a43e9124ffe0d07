"""Warps that move pixels and points by the same matrix, exactly.

A matrix here is 3x3 float64, source to target, in continuous coordinates: pixel i covers [i, i+1), so that the lit pixel
(x, y) is the point (x+.5, y+.5). cv2 puts pixel centres at whole numbers; :func:`warp_image` converts. A picture of
several sources (mosaic, mixup) is a list of :class:`Tile`; it is drawn once, by one warp of each source that is seen,
straight into its final place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

PAD_VALUE = 114
"""Grey of the padding in Megvii YOLOX (``yolox/data/data_augment.py``)."""
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
    return np.asarray(points, dtype=np.float64) @ matrix[:2, :2].T + matrix[:2, 2]


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
        resized = _resize(img, matrix)
        if resized is not None:
            return _cut_out(*resized, size, border, value)
        img, matrix = _shrink(img, matrix)
    centers = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return cv2.warpAffine(img, centers[:2], size, flags=flags, borderMode=border, borderValue=value)


def _resize(img: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, int, int] | None:
    """Draw an image by ``cv2.resize``, several times as fast as a warp, if the matrix puts its borders on whole pixels.

    Returns:
        The resized, perhaps mirrored, image, and its left and top in the target; None if the matrix is another one.
    """
    if matrix[0, 1] or matrix[1, 0] or matrix[1, 1] <= 0 or not matrix[0, 0]:
        return None
    (x1, y1), (x2, y2) = warp_points([(0, 0), img.shape[1::-1]], matrix).tolist()
    left, top, right, bottom = (round(edge) for edge in (min(x1, x2), y1, max(x1, x2), y2))
    exact = abs(min(x1, x2) - left) + abs(max(x1, x2) - right) + abs(y1 - top) + abs(y2 - bottom) < WHOLE
    if not exact or right <= left or bottom <= top:
        return None
    shrinks = determinant(matrix) < SHRINK_LIMIT**2
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(img, (right - left, bottom - top), interpolation=method)
    return (resized if x1 < x2 else cv2.flip(resized, 1)), left, top


def _cut_out(
    img: np.ndarray, left: int, top: int, size: tuple[int, int], border: int, value: tuple[int, int, int]
) -> np.ndarray:
    """Window of ``size`` at the origin of a target in which the image lies at (left, top)."""
    height, width = img.shape[:2]
    part = img[max(-top, 0) : max(size[1] - top, 0), max(-left, 0) : max(size[0] - left, 0)]
    if not part.size:
        return np.full((size[1], size[0], *img.shape[2:]), value[0], dtype=img.dtype)
    pads = max(top, 0), max(size[1] - top - height, 0), max(left, 0), max(size[0] - left - width, 0)
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
    for tile in tiled.tiles:
        corners = warp_points(_corners(tile.region), matrix)
        window = _window(corners, size)
        if window is not None:
            _draw_tile(img, masks, tile, matrix @ tile.matrix, corners, window)
    return Drawing(img, masks[0] if masks else None)


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
    (left, right), (top, bottom) = (
        sorted(min(max(round((edge - shift) / scale), 0), extent) for edge in tile.region[axis::2])
        for axis, (scale, shift, extent) in enumerate(
            zip(tile.matrix.diagonal().tolist(), tile.matrix[:2, 2].tolist(), source.shape[1::-1])
        )
    )
    part, matrix = _shrink(source[top:bottom, left:right], matrix @ translation(left, top))
    part = cv2.copyMakeBorder(part, 1, 0, 1, 0, cv2.BORDER_REPLICATE)
    centers = translation(-0.5, -0.5) @ matrix @ translation(-0.5, -0.5)
    cv2.warpAffine(part, centers[:2], target.shape[1::-1], dst=target, borderMode=cv2.BORDER_TRANSPARENT)
    return True


def _corners(region: Sequence[float]) -> np.ndarray:
    """(4, 2) corners of a rectangle, in order around it."""
    x1, y1, x2, y2 = region
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], dtype=np.float64)


def _window(corners: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """Whole pixels of the target that may lie inside a quadrangle; None if there are none."""
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)), size).astype(int)
    return (*low.tolist(), *high.tolist()) if (high > low).all() else None


def _polygon_mask(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8, 255 for pixels whose centre is inside a convex quadrangle."""
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    fixed = np.round((corners - 0.5) * (1 << POLYGON_BITS)).astype(np.int32)
    return cv2.fillConvexPoly(mask, fixed, 255, shift=POLYGON_BITS)
