"""The augmentations of the YOLOX recipe as pure functions: geometry of the labels here, of the pixels in ``warp``.

Shape letters: G instances, K keypoints. Conventions: boxes xyxy, continuous pixels; a keypoint is inside an image if it
is on or within its border; an area shrinks with the image (determinant of the warp) and with the part of its box that
a crop leaves, so that OKS stays as strict on truncated people as on whole ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.geometry.affine import determinant, mirroring, scaling, translation, warp_points
from yolox_pose.geometry.boxes import box_areas

EDGE = 1e-3
"""Pixels by which a keypoint may lie outside a region and still counts as on its border: float32 rounding."""


class Instances(NamedTuple):
    """Labels of the G people (or things) of one image.

    Attributes:
        boxes: (G, 4) float32 xyxy.
        labels: (G,) int64.
        keypoints: (G, K, 2) float32.
        visible: (G, K) uint8 codes 0, 1, 2.
        areas: (G,) float32.
        ann_ids: (G,) int64.
    """

    boxes: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    areas: np.ndarray
    ann_ids: np.ndarray

    def select(self, keep: np.ndarray) -> Instances:
        """The instances that a boolean mask or indices name; these arrays themselves if a mask names all of them."""
        if keep.dtype == bool and keep.all():
            return self
        return Instances(*(values[keep] for values in self))


def concat_instances(parts: Sequence[Instances]) -> Instances:
    """Instances of several sources in one list."""
    return Instances(*(np.concatenate(values) for values in zip(*parts)))


def warp_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(G, 4) float64 smallest upright boxes around the warped corners of boxes."""
    sides = np.asarray(boxes, dtype=np.float64)
    center = warp_points((sides[:, :2] + sides[:, 2:]) / 2, matrix)
    half = (sides[:, 2:] - sides[:, :2]) / 2 @ np.abs(matrix[:2, :2]).T
    return np.concatenate([center - half, center + half], axis=1)


def warp_instances(instances: Instances, matrix: np.ndarray) -> Instances:
    """Move instances by a 3x3 matrix; nothing is clipped."""
    return instances._replace(
        boxes=warp_boxes(instances.boxes, matrix).astype(np.float32),
        keypoints=warp_points(instances.keypoints, matrix).astype(np.float32),
        areas=(instances.areas * determinant(matrix)).astype(np.float32),
    )


def mirror_instances(instances: Instances, width: float, flip_indices: np.ndarray) -> Instances:
    """Mirror instances in an image of ``width``, left and right keypoints exchanged by (K,) ``flip_indices``."""
    return swap_keypoints(warp_instances(instances, mirroring(width)), flip_indices)


def swap_keypoints(instances: Instances, flip_indices: np.ndarray) -> Instances:
    """Exchange left and right keypoints; K may be 0 where ``flip_indices`` is empty."""
    return instances._replace(
        keypoints=instances.keypoints[:, flip_indices], visible=instances.visible[:, flip_indices]
    )


def clip_instances(instances: Instances, region: Sequence[float] | np.ndarray) -> Instances:
    """Cut instances to a rectangle.

    Boxes are clipped and areas shrink with them, keypoints outside become unlabelled, instances of whose box nothing
    is left are dropped.

    Args:
        instances: G instances.
        region: x1, y1, x2, y2, or (G, 4) with one rectangle an instance.
    """
    region = np.asarray(region, dtype=np.float32)
    boxes = instances.boxes.clip(region[..., [0, 1, 0, 1]], region[..., [2, 3, 2, 3]])
    before, after = (box_areas(values.astype(np.float64)) for values in (instances.boxes, boxes))
    share = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
    clipped = instances._replace(
        boxes=boxes,
        visible=instances.visible * _inside(instances.keypoints, region),
        areas=(instances.areas * share).astype(np.float32),
    )
    return clipped.select((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def _inside(keypoints: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(G, K) mask of the keypoints within :data:`EDGE` of a region, (4,) or (G, 4); one side after the other, which numpy
    does in half the time of rows of two."""
    low, high = region[..., :2, None] - EDGE, region[..., 2:, None] + EDGE
    x, y = keypoints[..., 0], keypoints[..., 1]
    return (x >= low[..., 0, :]) & (x <= high[..., 0, :]) & (y >= low[..., 1, :]) & (y <= high[..., 1, :])


def large_enough(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """(G,) mask of boxes both of whose sides are longer than ``min_size`` pixels."""
    return (boxes[:, 2] - boxes[:, 0] > min_size) & (boxes[:, 3] - boxes[:, 1] > min_size)


class Placement(NamedTuple):
    """Where a source goes: 3x3 matrix and the region x1, y1, x2, y2 of the picture that it fills."""

    matrix: np.ndarray
    region: tuple[float, float, float, float]


def fit_scale(source: tuple[int, int], size: tuple[int, int]) -> float:
    """Scale at which an image of ``source`` width and height just fits into ``size``."""
    return min(size[0] / source[0], size[1] / source[1])


def mosaic_placements(
    sources: Sequence[tuple[int, int]], size: tuple[int, int], center: tuple[float, float]
) -> list[Placement]:
    """Four images around a point of a canvas of twice ``size``.

    Each is scaled to fit into ``size`` and touches the centre with one corner: the first is its top left neighbour, then
    top right, bottom left, bottom right. What reaches beyond the canvas is cut off.

    Args:
        sources: Widths and heights of the four images.
        size: Width and height of one quarter.
        center: The common corner, in pixels of the canvas.

    Source: mmpose ``mix_img_transforms.py``, ``Mosaic``.
    """
    placements = []
    for (width, height), (right, below) in zip(sources, ((0, 0), (1, 0), (0, 1), (1, 1))):
        scale = fit_scale((width, height), size)
        shown = width * scale, height * scale
        left, top = center[0] - (1 - right) * shown[0], center[1] - (1 - below) * shown[1]
        region = max(left, 0), max(top, 0), min(left + shown[0], 2 * size[0]), min(top + shown[1], 2 * size[1])
        matrix = np.array([[scale, 0, left], [0, scale, top], [0, 0, 1]])
        placements.append(Placement(matrix, region))
    return placements


def place_instances(parts: Sequence[Instances], places: Sequence[Placement]) -> Instances:
    """Instances of several sources moved to their places, cut to the regions and joined.

    Args:
        parts: Instances of each source.
        places: Where each source goes, by scaling and shifting alone.
    """
    rows = np.repeat(np.arange(len(parts)), [len(part.boxes) for part in parts])
    matrices = np.array([place.matrix for place in places])[rows]
    scale, shift = matrices[:, [0, 1], [0, 1]], matrices[:, :2, 2]
    joined = concat_instances(parts)
    moved = joined._replace(
        boxes=(joined.boxes * scale[:, [0, 1, 0, 1]] + shift[:, [0, 1, 0, 1]]).astype(np.float32),
        keypoints=(joined.keypoints * scale[:, None] + shift[:, None]).astype(np.float32),
        areas=(joined.areas * (scale[:, 0] * scale[:, 1])).astype(np.float32),
    )
    return clip_instances(moved, np.array([place.region for place in places])[rows])


def mixup_placement(
    source: tuple[int, int], size: tuple[int, int], target: tuple[int, int], *, jitter: float, mirror: bool, crop: tuple
) -> Placement:
    """Where the second image of a mixup goes.

    It is fitted top left into a canvas of ``size``, the canvas is scaled by ``jitter`` and mirrored or not, and a window
    of the size of the ``target`` image is cut out of it. Sides and offsets are whole pixels, so that resizing draws it.

    Args:
        source: Width and height of the second image.
        size: Width and height of the canvas before scaling.
        target: Width and height of the image it is mixed into.
        jitter: Scale of the canvas.
        mirror: Whether the scaled canvas is mirrored.
        crop: Position of the window as two shares in [0, 1] of the room there is.

    Source: mmpose ``mix_img_transforms.py``, ``YOLOXMixUp``.
    """
    scale = fit_scale(source, size) * jitter
    shown = [max(round(side * scale), 1) for side in source]
    canvas = int(size[0] * jitter), int(size[1] * jitter)
    matrix = scaling(shown[0] / source[0], shown[1] / source[1])
    if mirror:
        matrix = mirroring(canvas[0]) @ matrix
    room = [max(canvas[axis] - target[axis], 0) for axis in (0, 1)]
    offset = [min(int(share * (extent + 1)), extent) for share, extent in zip(crop, room)]
    matrix = translation(-offset[0], -offset[1]) @ matrix
    corners = warp_points([[0, 0], source], matrix).round(9)  # whole but for rounding, and a row more if not exactly
    low, high = np.clip(corners.min(axis=0), 0, target), np.clip(corners.max(axis=0), 0, target)
    return Placement(matrix, (*low.tolist(), *high.tolist()))


def shift_hsv(img: np.ndarray, gains: Sequence[int]) -> np.ndarray:
    """Add whole numbers to hue (modulo 180), saturation and value (cut to 0..255) of a BGR image.

    Source: Megvii YOLOX ``yolox/data/data_augment.py``, ``augment_hsv``.
    """
    if not any(gains):
        return img
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
    if gains[0]:
        table = ((np.arange(256) + gains[0]) % 180).astype(np.uint8)
        cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, 0), table), hsv, 0)
    # saturating arithmetic of whole images is several times as fast as a look-up of three channels
    for shift, amounts in ((cv2.add, gains[1:]), (cv2.subtract, [-gain for gain in gains[1:]])):
        if max(amounts) > 0:
            shift(hsv, (0, *(max(amount, 0) for amount in amounts), 0), dst=hsv)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
