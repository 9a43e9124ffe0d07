"""Letterbox: fit an image into a canvas, keep its aspect ratio, and map points and boxes in both directions.

All coordinates are continuous pixels: pixel i covers ``[i, i + 1)`` and its center is ``i + 0.5``. ``cv2.resize`` maps pixel
centers in exactly this convention, so a resized image and its points match without a half-pixel term. The resized sides are
whole numbers, so the scales of both axes differ slightly. Both are kept, which makes the inverse exact.

Depends on numpy and cv2 alone: training, inference and the torch-free runtime share it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.structures.constants import PAD_VALUE
from yolox_pose.structures.detections import Detections


class Preprocessing(NamedTuple):
    """Preprocessing of images for a network.

    Attributes:
        size: Width and height of the canvas in pixels.
        centered: Whether the padding is on both sides.
        pad_value: Gray level of the padding.
    """

    size: tuple[int, int]
    centered: bool = True
    pad_value: int = PAD_VALUE


class Letterbox(NamedTuple):
    """Map from a source image to its canvas: ``point * scale + pad`` per axis.

    Points and boxes are computed in float64 and returned in the input's floating type (integers as float64). float32 resolves
    0.002 px at 20,000 px; pass float64 for more.

    Attributes:
        scale: Pixels of the canvas per pixel of the source, along x and y.
        pad: Left and top padding in pixels of the canvas.
        size: Width and height of the canvas.
        source: Width and height of the source image.
    """

    scale: tuple[float, float]
    pad: tuple[int, int]
    size: tuple[int, int]
    source: tuple[int, int]

    @property
    def resized(self) -> tuple[int, int]:
        """Width and height of the image inside the canvas."""
        return round(self.source[0] * self.scale[0]), round(self.source[1] * self.scale[1])

    def forward(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2) from the source to the canvas."""
        points, dtype = _as_float64(points)
        return (points * self.scale + self.pad).astype(dtype)

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Map points (..., 2) from the canvas to the source image."""
        points, dtype = _as_float64(points)
        return ((points - self.pad) / self.scale).astype(dtype)

    def forward_boxes(self, boxes: np.ndarray, clip: bool = False) -> np.ndarray:
        """Map boxes (..., 4) xyxy from the source to the canvas, and clip them to it if ``clip``."""
        return _map_boxes(self.forward, boxes, self.size if clip else None)

    def inverse_boxes(self, boxes: np.ndarray, clip: bool = False) -> np.ndarray:
        """Map boxes (..., 4) xyxy from the canvas to the source image, and clip them to it if ``clip``."""
        return _map_boxes(self.inverse, boxes, self.source if clip else None)

    def inverse_detections(self, detections: Detections) -> Detections:
        """Map detections from the canvas to the source image.

        Boxes are clipped to the image. Keypoints of a detection whose keypoint scores are all 0 become 0.
        """
        keypoints = self.inverse(detections.keypoints) if len(detections.scores) else detections.keypoints
        keypoints[~(detections.keypoint_scores > 0).any(-1)] = 0
        return detections._replace(boxes=self.inverse_boxes(detections.boxes, clip=True), keypoints=keypoints)


class Fitted(NamedTuple):
    """Image in the canvas of a network.

    Attributes:
        canvas: Canvas of shape (H, W, 3), uint8, BGR.
        letterbox: Map from the source image to the canvas.
    """

    canvas: np.ndarray
    letterbox: Letterbox


def fit_image(img: np.ndarray, preprocessing: Preprocessing) -> Fitted:
    """Draw an image (h, w, 3), uint8, BGR, into the canvas of a network."""
    letterbox = fit_letterbox(img.shape[1::-1], preprocessing.size, preprocessing.centered)
    return Fitted(letterbox_image(img, letterbox, preprocessing.pad_value), letterbox)


def fit_letterbox(source_wh: tuple[int, int], size_wh: tuple[int, int], centered: bool = True) -> Letterbox:
    """Fit an image into a canvas as large as possible with its aspect ratio.

    Args:
        source_wh: Width and height of the image.
        size_wh: Width and height of the canvas.
        centered: Whether to pad both sides (pose and joint models) or only right and bottom (detection models).

    Raises:
        ValueError: If a side is smaller than one pixel.
    """
    (w, h), (width, height) = (_whole_size(size) for size in (source_wh, size_wh))
    scale = min(width / w, height / h)
    new_w, new_h = (min(max(round(side * scale), 1), limit) for side, limit in ((w, width), (h, height)))
    pad = ((width - new_w) // 2, (height - new_h) // 2) if centered else (0, 0)
    return Letterbox((new_w / w, new_h / h), pad, (width, height), (w, h))


def letterbox_image(img: np.ndarray, letterbox: Letterbox, pad_value: int = PAD_VALUE) -> np.ndarray:
    """Draw an image into its canvas with bilinear interpolation, both for enlarging and for shrinking, as mmdet does.

    Args:
        img: Image of shape (h, w, 3), uint8, of the size of ``letterbox.source``.
        letterbox: Result of :func:`fit_letterbox`.
        pad_value: Gray level around the image.

    Returns:
        New canvas of shape (H, W, 3), uint8.

    Raises:
        ValueError: If the image has another size than ``letterbox.source``.
    """
    if img.shape[1::-1] != letterbox.source:
        raise ValueError(f"image of {img.shape[1]}x{img.shape[0]} px given to a letterbox for {letterbox.source}")
    (left, top), (width, height), (new_w, new_h) = letterbox.pad, letterbox.size, letterbox.resized
    canvas = np.full((height, width, *img.shape[2:]), pad_value, dtype=img.dtype)
    inside = canvas[top : top + new_h, left : left + new_w]
    if letterbox.resized == letterbox.source:
        inside[...] = img
    else:
        inside[...] = cv2.resize(img, (new_w, new_h), interpolation=cv2.INTER_LINEAR).reshape(inside.shape)
    return canvas


def _whole_size(size: tuple[int, int]) -> tuple[int, int]:
    """Convert width and height to positive integers."""
    width, height = (int(side) for side in size)
    if min(width, height) < 1:
        raise ValueError(f"image sizes must be at least 1x1 px, got {width}x{height}")
    return width, height


def _as_float64(values: np.ndarray) -> tuple[np.ndarray, np.dtype]:
    """Return values as float64, and the floating type to convert results to."""
    values = np.asarray(values)
    dtype = values.dtype if np.issubdtype(values.dtype, np.floating) else np.dtype(np.float64)
    return values.astype(np.float64), dtype


def _map_boxes(
    transform: Callable[[np.ndarray], np.ndarray], boxes: np.ndarray, limits: tuple[int, int] | None
) -> np.ndarray:
    """Map the corners of boxes (..., 4) by a function of points, and clip them to (width, height) if given."""
    boxes = np.asarray(boxes)
    corners = transform(boxes.reshape(*boxes.shape[:-1], 2, 2))
    if limits is not None:
        corners = np.clip(corners, 0, np.asarray(limits, dtype=corners.dtype))
    return corners.reshape(boxes.shape)
