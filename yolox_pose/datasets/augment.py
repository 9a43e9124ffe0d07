"""The augmentations of the YOLOX recipe as pure functions on labels; :mod:`yolox_pose.geometry.affine` warps pixels.

Shape letters: G instances, K keypoints. Conventions: boxes xyxy, continuous pixels. A keypoint on the border is inside the
image. An area scales with the determinant of the warp and with the fraction of the box that a crop leaves, so OKS is as
strict on truncated people as on complete ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.geometry.affine import determinant, mirroring, scaling, translation, warp_points
from yolox_pose.geometry.boxes import box_areas

EDGE = 1e-3
"""Tolerance in pixels for keypoints on the border of a region: float32 rounding."""


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
        """Return the instances of a boolean mask or indices; a mask of all returns the arrays without a copy."""
        if keep.dtype == bool and keep.all():
            return self
        return Instances(*(values[keep] for values in self))


def concat_instances(parts: Sequence[Instances]) -> Instances:
    """Concatenate the instances of several sources."""
    return Instances(*(np.concatenate(values) for values in zip(*parts)))


def warp_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the smallest upright boxes around the warped corners of boxes, (G, 4) float64."""
    sides = np.asarray(boxes, dtype=np.float64)
    center = warp_points((sides[:, :2] + sides[:, 2:]) / 2, matrix)
    half = (sides[:, 2:] - sides[:, :2]) / 2 @ np.abs(matrix[:2, :2]).T
    return np.concatenate([center - half, center + half], axis=1)


def warp_instances(instances: Instances, matrix: np.ndarray) -> Instances:
    """Warp instances by a 3x3 matrix without clipping."""
    return instances._replace(
        boxes=warp_boxes(instances.boxes, matrix).astype(np.float32),
        keypoints=warp_points(instances.keypoints, matrix).astype(np.float32),
        areas=(instances.areas * determinant(matrix)).astype(np.float32),
    )


def mirror_instances(instances: Instances, width: float, flip_indices: np.ndarray) -> Instances:
    """Mirror instances in an image of ``width`` and swap left and right keypoints by (K,) ``flip_indices``."""
    return swap_keypoints(warp_instances(instances, mirroring(width)), flip_indices)


def swap_keypoints(instances: Instances, flip_indices: np.ndarray) -> Instances:
    """Swap left and right keypoints; ``flip_indices`` is empty for K = 0."""
    return instances._replace(
        keypoints=instances.keypoints[:, flip_indices], visible=instances.visible[:, flip_indices]
    )


def clip_instances(instances: Instances, region: Sequence[float] | np.ndarray) -> Instances:
    """Clip instances to a rectangle.

    Areas shrink with the boxes. Keypoints outside become unlabeled, and instances with an empty box are dropped.

    Args:
        instances: G instances.
        region: Rectangle x1, y1, x2, y2, or one per instance of shape (G, 4).
    """
    region = np.asarray(region, dtype=np.float32)
    boxes = instances.boxes.clip(region[..., [0, 1, 0, 1]], region[..., [2, 3, 2, 3]])
    before, after = (box_areas(values.astype(np.float64)) for values in (instances.boxes, boxes))
    fraction = np.divide(after, before, out=np.zeros_like(after), where=before > 0)
    clipped = instances._replace(
        boxes=boxes,
        visible=instances.visible * _inside(instances.keypoints, region),
        areas=(instances.areas * fraction).astype(np.float32),
    )
    return clipped.select((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))


def _inside(keypoints: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return a (G, K) mask of the keypoints inside a region of shape (4,) or (G, 4), with tolerance :data:`EDGE`.

    Comparing x and y separately takes numpy half the time of comparing rows of two.
    """
    low, high = region[..., :2, None] - EDGE, region[..., 2:, None] + EDGE
    x, y = keypoints[..., 0], keypoints[..., 1]
    return (x >= low[..., 0, :]) & (x <= high[..., 0, :]) & (y >= low[..., 1, :]) & (y <= high[..., 1, :])


def large_enough(boxes: np.ndarray, min_size: float) -> np.ndarray:
    """Return a (G,) mask of the boxes with both sides longer than ``min_size`` pixels."""
    return (boxes[:, 2] - boxes[:, 0] > min_size) & (boxes[:, 3] - boxes[:, 1] > min_size)


class Placement(NamedTuple):
    """Position of a source image in the result.

    Attributes:
        matrix: Map from source to result, 3x3.
        region: Rectangle x1, y1, x2, y2 of the result that the source fills.
    """

    matrix: np.ndarray
    region: tuple[float, float, float, float]


def fit_scale(source: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the largest scale at which an image of ``source`` width and height fits into ``size``."""
    return min(size[0] / source[0], size[1] / source[1])


def mosaic_placements(
    sources: Sequence[tuple[int, int]], size: tuple[int, int], center: tuple[float, float]
) -> list[Placement]:
    """Place four images around a point of a canvas of twice ``size``.

    Each image is scaled to fit into ``size`` and touches the center with one corner. The order is top left, top right,
    bottom left, bottom right. The canvas clips the images.

    Args:
        sources: Width and height of each image.
        size: Width and height of one quarter.
        center: Common corner in pixels of the canvas.

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
    """Move the instances of several sources to their positions, clip them to the regions and concatenate them.

    Args:
        parts: Instances of each source.
        places: Position of each source, a scaling and a shift.
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
    source: tuple[int, int],
    size: tuple[int, int],
    target: tuple[int, int],
    *,
    jitter: float,
    mirror: bool,
    crop: tuple[float, float],
) -> Placement:
    """Place the second image of a MixUp.

    The image is fitted into the top left of a canvas of ``size``. The canvas is scaled by ``jitter``, mirrored if ``mirror``
    is set, and cropped to the size of the ``target`` image. Sides and offsets are whole pixels, so plain resizing draws it.

    Args:
        source: Width and height of the second image.
        size: Width and height of the canvas before scaling.
        target: Width and height of the first image.
        jitter: Scale of the canvas.
        mirror: Whether the scaled canvas is mirrored.
        crop: Position of the crop as two fractions in [0, 1] of the free range.

    Source: mmpose ``mix_img_transforms.py``, ``YOLOXMixUp``.
    """
    scale = fit_scale(source, size) * jitter
    shown = [max(round(side * scale), 1) for side in source]
    canvas = int(size[0] * jitter), int(size[1] * jitter)
    matrix = scaling(shown[0] / source[0], shown[1] / source[1])
    if mirror:
        matrix = mirroring(canvas[0]) @ matrix
    room = [max(canvas[axis] - target[axis], 0) for axis in (0, 1)]
    offset = [min(int(fraction * (extent + 1)), extent) for fraction, extent in zip(crop, room)]
    matrix = translation(-offset[0], -offset[1]) @ matrix
    corners = warp_points([[0, 0], source], matrix).round(9)  # remove float noise, which would add a row
    low, high = np.clip(corners.min(axis=0), 0, target), np.clip(corners.max(axis=0), 0, target)
    return Placement(matrix, (*low.tolist(), *high.tolist()))


def shift_hsv(img: np.ndarray, gains: Sequence[int]) -> np.ndarray:
    """Add integers to hue (modulo 180), saturation and value (clipped to 0..255) of a BGR image.

    Source: Megvii YOLOX ``yolox/data/data_augment.py``, ``augment_hsv``.
    """
    if not any(gains):
        return img
    hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
    if gains[0]:
        table = ((np.arange(256) + gains[0]) % 180).astype(np.uint8)
        cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, 0), table), hsv, 0)
    # Saturating arithmetic on whole images is several times faster than a look-up table of three channels
    for shift, amounts in ((cv2.add, gains[1:]), (cv2.subtract, [-gain for gain in gains[1:]])):
        if max(amounts) > 0:
            channels = np.array([0, *(max(amount, 0) for amount in amounts), 0], dtype=np.float64)
            shift(hsv, channels, dst=hsv)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
