"""Draw boxes and skeletons into an image, with numpy and cv2 alone.

Small persons are drawn first, so that near persons lie above far ones. Limbs have a dark casing, which separates the
skeletons of a crowd. The colors of limbs distinguish the person's left from right
(:class:`yolox_pose.structures.skeleton.Skeleton`), the color of box and tag distinguishes persons. The opacity of a keypoint
shows its score.

Shape letters: n persons, K keypoints. Images are BGR uint8, coordinates continuous pixels (:mod:`yolox_pose.geometry.letterbox`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.canvas import PALETTE, Color, clamp
from yolox_pose.visualization.figures import Figure, Looks, make_figures
from yolox_pose.visualization.painting import paint_box, paint_figure
from yolox_pose.visualization.tags import Tag, draw_tags, head_boxes, tag_texts

MIN_OPACITY = 0.35
"""Opacity of a keypoint whose score equals the threshold."""


class _Person(NamedTuple):
    """Person in pixels of the canvas, ready to draw.

    Attributes:
        box: Box of shape (4,), xyxy, or None if it is not finite.
        figure: Skeleton, or None if no part of it is on the canvas.
        color: Color of box and tag.
        size: Square root of the area, in pixels.
        tag: Text of the tag.
        head: Box of the head, (4,) xyxy. None for objects without keypoints.
    """

    box: np.ndarray | None
    figure: Figure | None
    color: Color
    size: float
    tag: str
    head: np.ndarray | None


def draw_poses(
    img: np.ndarray,
    *,
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray | None,
    boxes: np.ndarray,
    scores: np.ndarray | None,
    skeleton: Skeleton | None,
    labels: np.ndarray | None = None,
    track_ids: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    keypoints_visible: np.ndarray | None = None,
    kpt_thr: float = 0.3,
    show_boxes: bool = True,
    show_tags: bool = True,
    line_width: float | None = None,
    zoom: float = 1.0,
) -> np.ndarray:
    """Draw n persons (or objects without keypoints) into a copy of an image.

    Values that are not finite are not drawn. Everything outside the image is cut off.

    Args:
        img: Image of shape (H, W, 3), uint8 BGR.
        keypoints: Keypoints of shape (n, K, 2), in pixels; K may be 0.
        keypoint_scores: Keypoint scores of shape (n, K). None draws all keypoints fully opaque.
        boxes: Boxes of shape (n, 4), xyxy in pixels.
        scores: Scores of shape (n,) for the tags. None gives tags without a score.
        skeleton: Names, links and colors of the K keypoints. None only if K is 0.
        labels: Labels of shape (n,). Tags show the class name if there are several classes.
        track_ids: Track ids of shape (n,). They are shown in the tags and determine the colors.
        classes: Class names.
        keypoints_visible: Visibility codes of ground truth, (n, K): 0 is left out, 1 (hidden) is drawn hollow, 2 filled.
        kpt_thr: Lowest score of a keypoint that is drawn.
        show_boxes: Whether to draw the boxes.
        show_tags: Whether to draw the tags.
        line_width: Width of limbs and boxes in pixels of the picture. None chooses it by the size of each person.
        zoom: Factor to enlarge the image by before drawing, which gives finer lines on small images.

    Returns:
        Picture of shape (round(H * zoom), round(W * zoom), 3), uint8 BGR.

    Raises:
        ValueError: If the image is not (H, W, 3) uint8, the shapes of the arrays disagree, or the line width is not positive.
    """
    # Check the arguments and convert them to pixels of the canvas
    if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
        raise ValueError(f"draw_poses takes (H, W, 3) uint8 BGR images, got {img.shape} {img.dtype}")
    if line_width is not None and not 0 < line_width < np.inf:
        raise ValueError(f"line_width must be above 0, not {line_width}")
    canvas, factor = _enlarge(img, zoom)
    looks = _keypoint_looks(keypoints, keypoint_scores, keypoints_visible, kpt_thr)
    _check_lengths(looks.keypoints, boxes, skeleton)
    looks = looks._replace(keypoints=looks.keypoints * factor)
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * np.tile(factor, 2)

    # Compute the looks of each person
    n, num_keypoints = looks.opacity.shape
    bounds = _bounds(looks.keypoints, looks.opacity > 0)
    has_box = np.isfinite(boxes).all(axis=1)
    sizes = _sizes(np.where(has_box[:, None], boxes, bounds))
    figures: list[Figure | None] = [None] * n
    if skeleton is not None and looks.keypoints.size:
        figures = make_figures(looks, bounds, sizes, skeleton, canvas.shape, line_width)
    colors = [PALETTE[i % len(PALETTE)] for i in _color_indices(n, num_keypoints, labels, track_ids)]
    finite_boxes = [box if finite else None for box, finite in zip(boxes, has_box)]
    texts = tag_texts(n, scores, labels, track_ids, classes)
    heads = _heads(looks, boxes, skeleton)
    persons = [_Person(*fields) for fields in zip(finite_boxes, figures, colors, sizes.tolist(), texts, heads)]

    # Draw small persons first, then the tags, which large persons place first
    persons.sort(key=lambda person: person.size)
    fineness = 130 if num_keypoints else 90  # a box alone gets a thicker line
    for person in persons:
        if show_boxes and person.box is not None:
            thickness = clamp(person.size / fineness, 1, 4) if line_width is None else max(line_width, 1)
            paint_box(canvas, person.box, person.color, thickness=round(thickness))
        if person.figure is not None:
            paint_figure(canvas[person.figure.area.slices], person.figure)
    if show_tags:
        draw_tags(canvas, [Tag(p.tag, p.box, p.color, p.size, p.head) for p in persons[::-1] if p.box is not None])
    return canvas


def _heads(looks: Looks, boxes: np.ndarray, skeleton: Skeleton | None) -> list[np.ndarray | None]:
    """Return the box of each head, None for objects without keypoints."""
    if skeleton is None or not looks.keypoints.size:
        return [None] * len(boxes)
    with np.errstate(invalid="ignore"):  # boxes that are not finite
        heads = head_boxes(looks.keypoints, looks.opacity > 0, boxes, skeleton.names)
    return [head if np.isfinite(head).all() else None for head in heads]


def _enlarge(img: np.ndarray, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """Return an enlarged copy of the image and the actual (x, y) factors."""
    height, width = img.shape[:2]
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    if size == (width, height):
        return img.copy(order="C"), np.ones(2)
    canvas = cv2.resize(img, size, interpolation=cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA)
    return canvas, np.array([size[0] / width, size[1] / height])


def _check_lengths(keypoints: np.ndarray, boxes: np.ndarray, skeleton: Skeleton | None) -> None:
    n, num_keypoints = keypoints.shape[:2]
    if len(boxes) != n:
        raise ValueError(f"draw_poses got keypoints of {n} persons and {len(boxes)} boxes")
    expected = skeleton.num_keypoints if skeleton is not None else 0
    if num_keypoints and expected != num_keypoints:
        raise ValueError(f"draw_poses got {num_keypoints} keypoints a person, the skeleton has {expected}")


def _keypoint_looks(
    keypoints: np.ndarray, scores: np.ndarray | None, visible: np.ndarray | None, kpt_thr: float
) -> Looks:
    """Return finite keypoints, their opacities from :data:`MIN_OPACITY` at the threshold to 1, and which are hollow."""
    points = np.asarray(keypoints, dtype=np.float64)
    scores = np.ones(points.shape[:2]) if scores is None else np.asarray(scores, dtype=np.float64)
    shown = np.isfinite(points).all(axis=-1) & (scores >= kpt_thr)  # comparing NaN gives False
    if visible is not None:
        shown &= np.asarray(visible) > 0
    strength = (scores - kpt_thr) / max(1 - kpt_thr, 1e-6)
    opacity = np.where(shown, np.clip(MIN_OPACITY + (1 - MIN_OPACITY) * strength, MIN_OPACITY, 1), 0)
    hollow = np.zeros_like(shown) if visible is None else shown & (np.asarray(visible) == 1)
    return Looks(np.where(shown[..., None], points, 0), opacity, hollow)


def _color_indices(
    n: int, num_keypoints: int, labels: np.ndarray | None, track_ids: np.ndarray | None
) -> Sequence[int]:
    """Return color indices: track ids of tracks, labels of objects without keypoints, else the indices of the persons."""
    if track_ids is not None:
        return [int(i) for i in track_ids]
    return [int(i) for i in labels] if num_keypoints == 0 and labels is not None else range(n)


def _bounds(keypoints: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the boxes (n, 4) xyxy around the shown keypoints; from inf to -inf for persons without one."""
    low = keypoints.min(axis=1, initial=np.inf, where=shown[..., None])
    high = keypoints.max(axis=1, initial=-np.inf, where=shown[..., None])
    return np.concatenate([low, high], axis=1)


def _sizes(boxes: np.ndarray) -> np.ndarray:
    """Return the square roots of the areas of boxes (n, 4), (n,)."""
    return np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))
