"""Overlapping tiles of an image, and the detections of the whole image from those of its tiles.

A network sees a tile at a larger scale than the image, and finds smaller persons in it. Letters: n detections, t tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.nms import nms
from yolox_pose.geometry.pose_nms import suppress_duplicates
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings

MAX_TILES = 1024
"""Largest number of tiles of an image."""

EDGE = 2.0
"""Distance in pixels to the border of a tile at which a box counts as cut off."""


class Tiles(NamedTuple):
    """Grid of tiles.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        overlap: Share of the width and height of a tile that it has in common with its neighbor. Persons that are smaller than
            it are whole in at least one tile.
    """

    rows: int
    columns: int
    overlap: float = 0.25


def as_tiles(tiles: int | tuple[int, int] | None, overlap: float) -> Tiles | None:
    """Return a checked grid, None for a single tile.

    Args:
        tiles: Number of rows and of columns, or one number for both. None gives no tiles.
        overlap: See :class:`Tiles`.

    Raises:
        UsageError: If a number is out of range.
    """
    if tiles is None:
        return None
    rows, columns = (tiles, tiles) if isinstance(tiles, int) else tiles
    if min(rows, columns) < 1 or rows * columns > MAX_TILES:
        raise UsageError(f"tiles must be at least 1 in each direction and at most {MAX_TILES}, not {rows}x{columns}")
    if not 0 <= overlap < 1:
        raise UsageError(f"the overlap of tiles must be at least 0 and below 1, not {overlap}")
    return Tiles(rows, columns, overlap) if rows * columns > 1 else None


def tile_grid(size: tuple[int, int], tiles: Tiles) -> np.ndarray:
    """Compute tiles of nearly equal size that cover an image.

    Args:
        size: Width and height of the image in pixels.
        tiles: Rows, columns and overlap.

    Returns:
        Tiles of shape (t, 4), xyxy in whole pixels, row by row. An image that is narrower than the grid has fewer columns.
    """
    columns, rows = (_spans(side, count, tiles.overlap) for side, count in zip(size, (tiles.columns, tiles.rows)))
    return np.array([(x1, y1, x2, y2) for y1, y2 in rows for x1, x2 in columns], dtype=int)


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Divide a length into overlapping spans, at least one pixel each."""
    count = min(count, length)
    side = length / (count - (count - 1) * overlap)
    step = side * (1 - overlap)
    starts = [round(i * step) for i in range(count)]
    return [(start, min(max(round(i * step + side), start + 1), length)) for i, start in enumerate(starts)]


def merge_tiles(
    whole: Detections,
    parts: Sequence[Detections],
    grid: np.ndarray,
    size: tuple[int, int],
    settings: PostprocessSettings,
    sigmas: np.ndarray,
) -> Detections:
    """Merge the detections of an image and of its tiles.

    Detections that the border of a tile cuts off are dropped: they are whole in the neighboring tile or in the image. Duplicates
    are then suppressed by boxes and by poses.

    Args:
        whole: Detections of the whole image.
        parts: Detections of each of t tiles, in pixels of the tile.
        grid: Tiles of shape (t, 4), xyxy in pixels of the image.
        size: Width and height of the image in pixels.
        settings: Thresholds of NMS and maximum number of detections.
        sigmas: OKS constants of shape (K,).

    Returns:
        Detections of the image, best first.
    """
    # Collect the detections in pixels of the image
    shifted = [_shift(part, tile) for part, tile in zip(parts, grid)]
    uncut = [part.select(_is_whole(part.boxes, tile, size)) for part, tile in zip(shifted, grid)]
    merged = Detections(*(np.concatenate(columns) for columns in zip(whole, *uncut)))

    # Suppress duplicates by boxes, then by poses
    merged = merged.select(nms(merged.boxes, merged.scores, settings.nms_thr, merged.labels))
    if merged.keypoints.shape[1]:
        by_pose = settings._replace(nms_type="oks", soft_nms="none")
        merged = merged.select(suppress_duplicates(merged, by_pose, sigmas)[0])
    return merged.select(slice(settings.max_per_img))


def _shift(detections: Detections, tile: np.ndarray) -> Detections:
    """Move detections from a tile into its image. Missing keypoints stay 0."""
    corner = tile[:2].astype(detections.boxes.dtype)
    present: np.ndarray = np.any(detections.keypoint_scores > 0, axis=1, keepdims=True)
    keypoints = detections.keypoints + np.where(present[..., None], corner, np.zeros_like(corner))
    return detections._replace(boxes=detections.boxes + np.tile(corner, 2), keypoints=keypoints)


def _is_whole(boxes: np.ndarray, tile: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which boxes (n, 4) touch no border of their tile but those of the image, (n,) bool."""
    inner: np.ndarray = np.concatenate([np.greater(tile[:2], 0), np.less(tile[2:], size)])
    beyond: np.ndarray = np.concatenate([boxes[:, :2] <= tile[:2] + EDGE, boxes[:, 2:] >= tile[2:] - EDGE], axis=1)
    return np.logical_not(beyond & inner).all(axis=1)
