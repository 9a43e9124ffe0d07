"""Draw boxes and skeletons into an image, with numpy and cv2 alone.

Letters: n persons, K keypoints. Images are BGR uint8, coordinates continuous pixels (see :mod:`yolox_pose.geometry.letterbox`).

Small persons are drawn first, so that near ones lie above far ones; limbs carry a dark casing, which parts the skeletons
of a crowd; the colours of limbs tell the person's left from right (:class:`yolox_pose.skeleton.Skeleton`), the colour of box
and tag tells persons apart; a keypoint's score is its opacity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.skeleton import Skeleton

Color = tuple[int, int, int]
"""BGR."""

Point = tuple[float, float]
"""x and y. Single points are plain numbers here: for so few, numpy's calls take longer than the drawing."""

PALETTE = (
    (0, 215, 255), (211, 85, 186), (208, 224, 64), (180, 105, 255), (87, 229, 190), (235, 206, 250), (80, 80, 240),
    (170, 232, 238), (219, 112, 147), (50, 205, 154), (203, 192, 255), (250, 230, 180),
)  # fmt: skip
"""BGR colours of persons, tracks or classes, taken in turn; away from the blue and orange of left and right limbs."""

CASING = (30, 30, 30)
"""BGR colour around limbs and keypoints."""

_SHIFT = 4
_UNIT = 1 << _SHIFT
"""cv2 draws at 1/16 px: coordinates are passed as integers times this."""


class _Person(NamedTuple):
    """One person, ready to draw, in pixels of the canvas."""

    keypoints: np.ndarray  # (K, 2) float64, finite where opacity > 0
    opacity: np.ndarray  # (K,) 0 to 1, 0 is not drawn
    hollow: np.ndarray  # (K,) bool
    box: np.ndarray | None  # (4,)
    color: Color
    size: float  # square root of the area, px
    tag: str


class _Limb(NamedTuple):
    """One link, cut to the image."""

    start: Point
    end: Point
    width: float
    color: Color
    opacity: int  # 0 to 255


class _Area(NamedTuple):
    """Rectangle of whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: _Area) -> bool:
        """Tell whether the two share a pixel."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


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
    keypoint_threshold: float = 0.3,
    show_boxes: bool = True,
    show_tags: bool = True,
    zoom: float = 1.0,
) -> np.ndarray:
    """Draw n persons (or objects without keypoints) into a copy of an image.

    Nothing is drawn of what is not finite, and what lies outside the image is cut off.

    Args:
        img: (H, W, 3) uint8 BGR. It is not modified.
        keypoints: (n, K, 2) pixels; K may be 0.
        keypoint_scores: (n, K), or None: all are drawn fully opaque.
        boxes: (n, 4) xyxy pixels.
        scores: (n,) for the tags, or None: tags without a number.
        skeleton: Names, links and colours of the K keypoints. None only where K is 0.
        labels: (n,) class indices, named in the tags where there is more than one class.
        track_ids: (n,) shown in the tags; they fix the colours.
        classes: Class names.
        keypoints_visible: (n, K) codes of ground truth: 0 is left out, 1 (hidden) is drawn hollow, 2 filled.
        keypoint_threshold: Keypoints with a lower score are left out.
        show_boxes: Draw the boxes.
        show_tags: Draw the tags.
        zoom: Enlarge the image by this factor first, which gives finer lines on small images.

    Returns:
        (round(H * zoom), round(W * zoom), 3) uint8 BGR.

    Raises:
        ValueError: If the image is not (H, W, 3) uint8 or the arrays do not belong together.
    """
    if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
        raise ValueError(f"draw_poses takes (H, W, 3) uint8 BGR images, got {img.shape} {img.dtype}")
    canvas, factor = _enlarged(img, zoom)
    points, opacity, hollow = _keypoint_looks(keypoints, keypoint_scores, keypoints_visible, keypoint_threshold)
    _check_lengths(points, boxes, skeleton)
    colors = [PALETTE[i % len(PALETTE)] for i in _color_indices(len(points), points.shape[1], labels, track_ids)]
    tags = _tag_texts(len(points), scores, labels, track_ids, classes)
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * np.tile(factor, 2)
    people = [_person(*looks) for looks in zip(points * factor, opacity, hollow, boxes, colors, tags)]
    people.sort(key=lambda person: person.size)
    for person in people:
        if show_boxes and person.box is not None:
            _draw_box(canvas, person, person.box)
        if skeleton is not None:
            _draw_skeleton(canvas, person, skeleton)
    if show_tags:
        _draw_tags(canvas, people[::-1])
    return canvas


def _enlarged(img: np.ndarray, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """Copy of the image, enlarged, and the actual (x, y) factors."""
    height, width = img.shape[:2]
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    if size == (width, height):
        return img.copy(order="C"), np.ones(2)
    canvas = cv2.resize(img, size, interpolation=cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_AREA)
    return canvas, np.array([size[0] / width, size[1] / height])


def _check_lengths(points: np.ndarray, boxes: np.ndarray, skeleton: Skeleton | None) -> None:
    n, num_keypoints = points.shape[:2]
    if len(boxes) != n:
        raise ValueError(f"draw_poses got keypoints of {n} persons and {len(boxes)} boxes")
    known = skeleton.num_keypoints if skeleton is not None else 0
    if num_keypoints and known != num_keypoints:
        raise ValueError(f"draw_poses got {num_keypoints} keypoints a person, the skeleton has {known}")


def _keypoint_looks(
    keypoints: np.ndarray, scores: np.ndarray | None, visible: np.ndarray | None, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finite keypoints (n, K, 2), their opacity (n, K) from 0.35 at the threshold to 1, and whether they are hollow."""
    points = np.asarray(keypoints, dtype=np.float64)
    scores = np.ones(points.shape[:2]) if scores is None else np.asarray(scores, dtype=np.float64)
    shown = np.isfinite(points).all(axis=-1) & (scores >= threshold)  # a NaN score compares as False
    if visible is not None:
        shown &= np.asarray(visible) > 0
    strength = (scores - threshold) / max(1 - threshold, 1e-6)
    opacity = np.where(shown, np.clip(0.35 + 0.65 * strength, 0.35, 1), 0)
    hollow = np.zeros_like(shown) if visible is None else shown & (np.asarray(visible) == 1)
    return np.where(shown[..., None], points, 0), opacity, hollow


def _color_indices(
    n: int, num_keypoints: int, labels: np.ndarray | None, track_ids: np.ndarray | None
) -> Sequence[int]:
    """Persons take colours in turn, tracks keep theirs, objects without keypoints have that of their class."""
    if track_ids is not None:
        return [int(i) for i in track_ids]
    return [int(i) for i in labels] if num_keypoints == 0 and labels is not None else range(n)


def _tag_texts(
    n: int,
    scores: np.ndarray | None,
    labels: np.ndarray | None,
    track_ids: np.ndarray | None,
    classes: Sequence[str] | None,
) -> list[str]:
    """Tag of each person: track id, class name where there are several, score in percent."""
    texts = []
    for i in range(n):
        parts = [] if track_ids is None else [f"#{int(track_ids[i])}"]
        if labels is not None and classes is not None and len(classes) > 1:
            label = int(labels[i])
            parts.append(classes[label] if 0 <= label < len(classes) else f"class {label}")
        if scores is not None and np.isfinite(scores[i]):
            parts.append(f"{float(scores[i]):.2f}")
        texts.append(" ".join(parts))
    return texts


def _person(
    points: np.ndarray, opacity: np.ndarray, hollow: np.ndarray, box: np.ndarray, color: Color, tag: str
) -> _Person:
    """One person; where its box is not finite the size is that of the drawn keypoints' extent."""
    drawn = points[opacity > 0]
    extent = np.ptp(drawn, axis=0) if len(drawn) else np.zeros(2)
    has_box = bool(np.isfinite(box).all())
    if has_box:
        extent = np.maximum(box[2:] - box[:2], 0)
    return _Person(points, opacity, hollow, box if has_box else None, color, float(np.sqrt(extent.prod())), tag)


def _clamp(value: float, low: float, high: float) -> float:
    """A plain number within limits: ``np.clip`` takes ten times as long."""
    return min(max(value, low), high)


def _draw_box(canvas: np.ndarray, person: _Person, box: np.ndarray) -> None:
    """Outline of the box, half transparent, so that it stays behind the skeletons."""
    fine = 130 if len(person.keypoints) else 90  # a box alone is drawn bolder
    thickness = int(_clamp(round(person.size / fine), 1, 4))
    limit = np.tile(canvas.shape[1::-1], 2)
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.floor(box), -8, limit + 8))
    left, top = max(x1 - thickness, 0), max(y1 - thickness, 0)
    area = canvas[top : max(y2 + thickness + 1, 0), left : max(x2 + thickness + 1, 0)]
    if area.size == 0:
        return
    layer = area.copy()
    cv2.rectangle(layer, (x1 - left, y1 - top), (x2 - left, y2 - top), person.color, thickness, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.7, area, 0.3, 0, dst=layer)
    area[...] = layer


def _draw_skeleton(canvas: np.ndarray, person: _Person, skeleton: Skeleton) -> None:
    """Draw limbs, then keypoints.

    They are drawn opaque into a copy, and a map of opacities then says how much of the copy is taken: lines stay smooth
    whatever their opacity, and crossing limbs of one person do not add up.
    """
    width = _clamp(person.size / 45, 1.5, 12)
    area = _drawn_area(canvas, person, margin=3 * width + 4)
    if area is None:
        return
    target = canvas[area]
    person = person._replace(keypoints=person.keypoints - (area[1].start, area[0].start))
    layer, alpha = target.copy(), np.zeros(target.shape[:2], dtype=np.uint8)
    limbs = _limbs(person, skeleton, width, target.shape)
    radii = _joint_radii(person, skeleton, width)
    joints = sorted(np.flatnonzero(person.opacity).tolist(), key=lambda k: person.opacity[k])
    points, opacities, hollow = person.keypoints.tolist(), person.opacity.tolist(), person.hollow.tolist()
    casing = _clamp(width / 4, 0.6, 1.2)
    for limb in limbs:
        _fill_limb(layer, limb, 2 * casing, CASING)
        _fill_limb(alpha, limb, 2 * casing + 2, limb.opacity, smooth=False)
    for k in joints:
        _fill_disc(layer, points[k], radii[k] + casing, CASING)
        _fill_disc(alpha, points[k], radii[k] + casing + 1, int(255 * opacities[k]), smooth=False)
    for limb in limbs:
        _fill_limb(layer, limb, 0, limb.color)
    for k in joints:
        _draw_joint(layer, points[k], radii[k], skeleton.keypoint_colors[k], hollow[k])
    weight = alpha.astype(np.float32) / 255
    target[...] = cv2.blendLinear(layer, np.ascontiguousarray(target), weight, 1 - weight)


def _link_width(start: Point, end: Point, width: float) -> float:
    """Width of one link: short ones, such as those of a face, are drawn finer so that they do not become a blot."""
    length = math.dist(start, end)
    return min(width, max(0.3 * length, 0.45 * width, 1.2))


def _joint_radii(person: _Person, skeleton: Skeleton, width: float) -> list[float]:
    """Radius of each keypoint: as its widest drawn link has it; a keypoint without links has the full one."""
    points, shown = person.keypoints.tolist(), (person.opacity > 0).tolist()
    widths = [0.0] * len(points)
    for a, b in skeleton.links:
        if shown[a] and shown[b]:
            own = _link_width(points[a], points[b], width)
            widths[a], widths[b] = max(widths[a], own), max(widths[b], own)
    return [0.95 * (own or width) for own in widths]


def _drawn_area(canvas: np.ndarray, person: _Person, margin: float) -> tuple[slice, slice] | None:
    """Part of the canvas (rows, columns) that the drawn keypoints span, or None if it is empty."""
    drawn = person.keypoints[person.opacity > 0]
    if len(drawn) == 0:
        return None
    limit = np.array(canvas.shape[1::-1])
    left, top = np.clip(np.floor(drawn.min(axis=0) - margin), 0, limit).astype(int)
    right, bottom = np.clip(np.ceil(drawn.max(axis=0) + margin), 0, limit).astype(int)
    return (slice(top, bottom), slice(left, right)) if right > left and bottom > top else None


def _limbs(person: _Person, skeleton: Skeleton, width: float, shape: tuple[int, ...]) -> list[_Limb]:
    """Links to draw, faint ones first. A link is as sure as its weaker end."""
    limbs = []
    points, opacities, hollow = person.keypoints.tolist(), person.opacity.tolist(), person.hollow.tolist()
    for (a, b), color in zip(skeleton.links, skeleton.link_colors):
        opacity = min(opacities[a], opacities[b]) * (0.5 if hollow[a] or hollow[b] else 1)
        if opacity > 0:
            segment = _clip_segment(points[a], points[b], shape, margin=4 * width)
            if segment is not None:
                limbs.append(_Limb(*segment, _link_width(points[a], points[b], width), color, int(255 * opacity)))
    return sorted(limbs, key=lambda limb: limb.opacity)


def _clip_segment(start: Point, end: Point, shape: tuple[int, ...], margin: float) -> tuple[Point, Point] | None:
    """Part of a segment inside the image and a margin (Liang-Barsky), because cv2's coordinates overflow far outside."""
    first, last = 0.0, 1.0
    for begin, stop, extent in zip(start, end, shape[1::-1]):
        if begin == stop:
            if not -margin <= begin <= extent + margin:
                return None
            continue
        enter, leave = sorted(((-margin - begin) / (stop - begin), (extent + margin - begin) / (stop - begin)))
        first, last = max(first, enter), min(last, leave)
    if first >= last:
        return None
    (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
    return (x + first * dx, y + first * dy), (x + last * dx, y + last * dy)


def _fill_limb(img: np.ndarray, limb: _Limb, extra: float, color: Color | int, smooth: bool = True) -> None:
    """Fill the rectangle of one limb, wider by ``extra``; its ends are covered by the keypoints' discs."""
    (x1, y1), (x2, y2) = limb.start, limb.end
    share = (limb.width + extra) / 2 / max(math.hypot(x2 - x1, y2 - y1), 1e-6)
    dx, dy = (y1 - y2) * share, (x2 - x1) * share
    corners = ((x1 + dx, y1 + dy), (x2 + dx, y2 + dy), (x2 - dx, y2 - dy), (x1 - dx, y1 - dy))
    polygon = np.array([_fixed_point(*corner) for corner in corners], dtype=np.int32)
    cv2.fillConvexPoly(img, polygon, color, cv2.LINE_AA if smooth else cv2.LINE_8, _SHIFT)


def _fill_disc(img: np.ndarray, center: Point, radius: float, color: Color | int, smooth: bool = True) -> None:
    if _is_near(img, center, radius):
        cv2.circle(
            img, _fixed_point(*center), round(radius * _UNIT), color, -1, cv2.LINE_AA if smooth else cv2.LINE_8, _SHIFT
        )


def _draw_joint(img: np.ndarray, center: Point, radius: float, color: Color, hollow: bool) -> None:
    """Disc of one keypoint with a bright middle, or dark inside where it is hollow."""
    _fill_disc(img, center, radius, color)
    if hollow:
        _fill_disc(img, center, 0.6 * radius, CASING)
    elif radius >= 2.5:
        _fill_disc(img, center, 0.4 * radius, (255, 255, 255))


def _is_near(img: np.ndarray, center: Point, radius: float) -> bool:
    (height, width), (x, y), margin = img.shape[:2], center, radius + 2
    return -margin < x < width + margin and -margin < y < height + margin


def _fixed_point(x: float, y: float) -> tuple[int, int]:
    """Continuous pixels to cv2's integers: cv2 names a pixel by its centre, which is 0.5 here."""
    return round((x - 0.5) * _UNIT), round((y - 0.5) * _UNIT)


def _draw_tags(canvas: np.ndarray, people: Sequence[_Person]) -> None:
    """Draw tags, large persons first to choose, each where no other one is.

    The smallest persons go without, as a tag would hide more than it says, and so do small ones where no place is free.
    """
    taken: list[_Area] = []
    largest = _clamp(min(canvas.shape[:2]) / 1100, 0.35, 0.9)
    for person in people:
        if not person.tag or person.box is None:
            continue
        scale = _clamp(person.size / 300, 0.35, largest)
        (text_w, text_h), base = cv2.getTextSize(person.tag, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        places = _tag_places(person.box, (text_w + 6, text_h + base + 3), canvas.shape)
        free = [place for place in places if not any(place.meets(other) for other in taken)]
        if person.size < (0.6 if free else 2) * text_w:
            continue
        tag = (free or places)[0]
        taken.append(tag)
        area = canvas[tag.top : tag.bottom, tag.left : tag.right]
        area[...] = cv2.addWeighted(area, 0.2, np.full_like(area, person.color), 0.8, 0)
        position = tag.left + 3, tag.top + text_h + 2
        cv2.putText(canvas, person.tag, position, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)


def _tag_places(box: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]) -> list[_Area]:
    """Places for a tag in order of preference: above the box, inside its top, below it, inside its bottom."""
    (width, height), (x1, y1, x2, y2) = size, box.tolist()
    corners = [(x1, y1 - height), (x2 - width, y1 - height), (x1, y1), (x2 - width, y1), (x1, y2), (x1, y2 - height)]
    limit = max(shape[1] - width, 0), max(shape[0] - height, 0)
    fitted = [[int(_clamp(v, 0, top)) for v, top in zip(corner, limit)] for corner in corners]
    return [_Area(left, top, left + width, top + height) for left, top in fitted]
