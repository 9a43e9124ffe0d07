"""Draw boxes and skeletons into an image, with numpy and cv2 alone.

Letters: n persons, K keypoints, L links. Images are BGR uint8, coordinates continuous pixels (see
:mod:`yolox_pose.geometry.letterbox`).

Small persons are drawn first, so that near ones lie above far ones; limbs carry a dark casing, which parts the skeletons
of a crowd; the colours of limbs tell the person's left from right (:class:`yolox_pose.structures.skeleton.Skeleton`), the colour of box
and tag tells persons apart; a keypoint's score is its opacity.

Where each line and disc lies is computed with numpy for all persons at once, and the loops only call cv2: Python's own
arithmetic for single points took longer than the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.structures.skeleton import Skeleton

Color = tuple[int, int, int]
"""BGR."""

PALETTE = (
    (0, 215, 255), (211, 85, 186), (208, 224, 64), (180, 105, 255), (87, 229, 190), (235, 206, 250), (80, 80, 240),
    (170, 232, 238), (219, 112, 147), (50, 205, 154), (203, 192, 255), (250, 230, 180),
)  # fmt: skip
"""BGR colours of persons, tracks or classes, taken in turn; away from the blue and orange of left and right limbs."""

CASING = (30, 30, 30)
"""BGR colour around limbs and keypoints."""

MIDDLE = (255, 255, 255)
"""BGR colour in the middle of keypoints."""

_SHIFT = 4
_UNIT = 1 << _SHIFT
"""cv2 draws at 1/16 px: coordinates are passed as integers times this."""

_BLOCK = 1 << 14
"""Pixels that are blended at a time."""


class _Crowd(NamedTuple):
    """The keypoints of n persons, in pixels of each person's own area (see :class:`_Figure`).

    Here x and y are the first axis: numpy takes several times as long over a last axis of two.
    """

    keypoints: np.ndarray  # (2, n, K) float64
    opacity: np.ndarray  # (n, K) 0 to 1, 0 is not drawn
    hollow: np.ndarray  # (n, K) bool
    widths: np.ndarray  # (n, 1) of a long limb
    casings: np.ndarray  # (n, 1) on either side of a limb, and around a keypoint
    extents: np.ndarray  # (2, n, 1) width and height of the area


class _Limbs(NamedTuple):
    """The m links to draw, faint ones first. Rectangles are (m, 4, 2) int32 corners in cv2's fixed point."""

    casings: np.ndarray
    covers: np.ndarray  # what the opacity holds for: a pixel more than the casing
    insides: np.ndarray
    colors: list[Color]
    opacities: list[int]  # 0 to 255


class _Joints(NamedTuple):
    """The m keypoints to draw, faint ones first. Centres and radii of their discs are in cv2's fixed point."""

    centers: list[list[int]]
    casings: list[int]
    covers: list[int]  # what the opacity holds for: a pixel more than the casing
    insides: list[int]
    middles: list[int]  # 0: none
    colors: list[Color]
    middle_colors: list[Color]
    opacities: list[int]  # 0 to 255


class _Area(NamedTuple):
    """Rectangle of whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle's pixels in an image: rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def meets(self, other: _Area) -> bool:
        """Tell whether the two share a pixel."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


class _Figure(NamedTuple):
    """Skeleton of one person, ready to draw into its area, the part of the canvas that it spans."""

    area: _Area
    limbs: _Limbs
    joints: _Joints


class _Person(NamedTuple):
    """One person, ready to draw, in pixels of the canvas."""

    box: np.ndarray | None  # (4,)
    figure: _Figure | None
    color: Color
    size: float  # square root of the area, px
    tag: str


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
        kpt_thr: Keypoints with a lower score are left out.
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
    points, opacity, hollow = _keypoint_looks(keypoints, keypoint_scores, keypoints_visible, kpt_thr)
    _check_lengths(points, boxes, skeleton)
    points = points * factor
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4) * np.tile(factor, 2)
    bounds = _bounds(points, opacity > 0)
    has_box = np.isfinite(boxes).all(axis=1)
    sizes = _sizes(np.where(has_box[:, None], boxes, bounds))
    figures: list[_Figure | None] = [None] * len(points)
    if skeleton is not None and points.size:
        figures = _figures(points, opacity, hollow, bounds, sizes, skeleton, canvas.shape)
    colors = [PALETTE[i % len(PALETTE)] for i in _color_indices(len(points), points.shape[1], labels, track_ids)]
    tags = _tag_texts(len(points), scores, labels, track_ids, classes)
    shown_boxes = [box if known else None for box, known in zip(boxes, has_box)]
    people = [_Person(*looks) for looks in zip(shown_boxes, figures, colors, sizes.tolist(), tags)]
    people.sort(key=lambda person: person.size)
    fine = 130 if points.shape[1] else 90  # a box alone is drawn bolder
    for person in people:
        if show_boxes and person.box is not None:
            _draw_box(canvas, person.box, person.color, thickness=int(_clamp(round(person.size / fine), 1, 4)))
        if person.figure is not None:
            _draw_figure(canvas[person.figure.area.slices], person.figure)
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


def _bounds(points: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(n, 4) xyxy around the shown ones of the keypoints (n, K, 2); from inf to -inf where there are none."""
    low = points.min(axis=1, initial=np.inf, where=shown[..., None])
    high = points.max(axis=1, initial=-np.inf, where=shown[..., None])
    return np.concatenate([low, high], axis=1)


def _sizes(boxes: np.ndarray) -> np.ndarray:
    """(n,) square roots of the areas of boxes (n, 4)."""
    return np.sqrt(np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1))


def _clamp(value: float, low: float, high: float) -> float:
    """A plain number within limits: ``np.clip`` takes ten times as long."""
    return min(max(value, low), high)


def _draw_box(canvas: np.ndarray, box: np.ndarray, color: Color, thickness: int) -> None:
    """Outline of the box, half transparent, so that it stays behind the skeletons."""
    limits = canvas.shape[1::-1] * 2
    x1, y1, x2, y2 = (int(_clamp(math.floor(v), -8, limit + 8)) for v, limit in zip(box.tolist(), limits))
    left, top = max(x1 - thickness, 0), max(y1 - thickness, 0)
    area = canvas[top : max(y2 + thickness + 1, 0), left : max(x2 + thickness + 1, 0)]
    if area.size == 0:
        return
    layer = area.copy()
    cv2.rectangle(layer, (x1 - left, y1 - top), (x2 - left, y2 - top), color, thickness, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.7, area, 0.3, 0, dst=area)


def _draw_figure(canvas: np.ndarray, figure: _Figure) -> None:
    """Draw limbs, then keypoints, into the figure's part of the canvas.

    They are drawn opaque, and a map of opacities then says how much of that is taken: lines stay smooth whatever their
    opacity, and crossing limbs of one person do not add up.
    """
    before, alpha = canvas.copy(), np.zeros(canvas.shape[:2], dtype=np.uint8)
    limbs, joints = figure.limbs, figure.joints
    for corners, cover, opacity in zip(limbs.casings, limbs.covers, limbs.opacities):
        cv2.fillConvexPoly(canvas, corners, CASING, cv2.LINE_AA, _SHIFT)
        cv2.fillConvexPoly(alpha, cover, opacity, cv2.LINE_8, _SHIFT)
    for center, radius, cover, opacity in zip(joints.centers, joints.casings, joints.covers, joints.opacities):
        cv2.circle(canvas, center, radius, CASING, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(alpha, center, cover, opacity, -1, cv2.LINE_8, _SHIFT)
    for corners, color in zip(limbs.insides, limbs.colors):
        cv2.fillConvexPoly(canvas, corners, color, cv2.LINE_AA, _SHIFT)
    for center, radius, color, middle, middle_color in zip(
        joints.centers, joints.insides, joints.colors, joints.middles, joints.middle_colors
    ):
        cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, _SHIFT)
        if middle:
            cv2.circle(canvas, center, middle, middle_color, -1, cv2.LINE_AA, _SHIFT)
    _blend(canvas, before, alpha)


def _blend(img: np.ndarray, before: np.ndarray, alpha: np.ndarray) -> None:
    """Keep an image (H, W, 3) as far as alpha (H, W) says, 0 to 255, and put back what was there before for the rest.

    cv2 blends float32 so much faster than uint8 that it pays to convert; the result is the same. The rows are taken in
    blocks, which stay in the cache.
    """
    rows = max(_BLOCK // img.shape[1], 1)
    for top in range(0, len(img), rows):
        band = slice(top, top + rows)
        weight = alpha[band].astype(np.float32) / 255
        both = img[band].astype(np.float32), before[band].astype(np.float32)
        cv2.convertScaleAbs(cv2.blendLinear(*both, weight, 1 - weight), dst=img[band])


def _figures(
    points: np.ndarray,
    opacity: np.ndarray,
    hollow: np.ndarray,
    bounds: np.ndarray,
    sizes: np.ndarray,
    skeleton: Skeleton,
    shape: tuple[int, ...],
) -> list[_Figure | None]:
    """Skeletons of n persons on a canvas of this shape; None where no keypoint or limb comes near it."""
    widths = np.clip(sizes / 45, 1.5, 12)[:, None]
    areas = _drawn_areas(bounds, 3 * widths + 4, shape)
    extents = areas[:, 2:] - areas[:, :2]
    crowd = _Crowd(
        keypoints=np.ascontiguousarray((points - areas[:, None, :2]).transpose(2, 0, 1)),
        opacity=np.where((extents > 0).all(axis=1, keepdims=True), opacity, 0),
        hollow=hollow,
        widths=widths,
        casings=np.clip(widths / 4, 0.6, 1.2),
        extents=extents.T[..., None],
    )
    link_widths = _link_widths(crowd, skeleton)
    parts = zip(areas.tolist(), _limbs(crowd, skeleton, link_widths), _joints(crowd, skeleton, link_widths))
    return [
        _Figure(_Area(*area), limbs, joints) if limbs.colors or joints.colors else None for area, limbs, joints in parts
    ]


def _drawn_areas(bounds: np.ndarray, margins: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(n, 4) int xyxy: parts of a canvas that bounds (n, 4) and margins (n, 1) around them take."""
    limit = shape[1::-1]
    low = np.clip(np.floor(bounds[:, :2] - margins), 0, limit)
    high = np.clip(np.ceil(bounds[:, 2:] + margins), 0, limit)
    return np.concatenate([low, high], axis=1).astype(int)


def _link_ends(skeleton: Skeleton) -> np.ndarray:
    """(2, L) keypoint indices."""
    return np.array(skeleton.links, dtype=int).reshape(-1, 2).T


def _link_widths(crowd: _Crowd, skeleton: Skeleton) -> np.ndarray:
    """Widths (n, L) of the links, 0 where an end is not drawn.

    Short ones, such as those of a face, are drawn finer so that they do not become a blot.
    """
    a, b = _link_ends(skeleton)
    length = np.hypot(*(crowd.keypoints[..., a] - crowd.keypoints[..., b]))
    widths = np.minimum(crowd.widths, np.maximum(np.maximum(0.3 * length, 0.45 * crowd.widths), 1.2))
    return np.where((crowd.opacity[:, a] > 0) & (crowd.opacity[:, b] > 0), widths, 0)


def _limbs(crowd: _Crowd, skeleton: Skeleton, link_widths: np.ndarray) -> list[_Limbs]:
    """Links of each person. A link is as sure as its weaker end."""
    a, b = _link_ends(skeleton)
    strength = np.where(crowd.hollow[:, a] | crowd.hollow[:, b], 0.5, 1)
    opacity = (255 * (np.minimum(crowd.opacity[:, a], crowd.opacity[:, b]) * strength)).astype(int)
    start, along = crowd.keypoints[..., a], crowd.keypoints[..., b] - crowd.keypoints[..., a]
    first, last = _visible_span(start, along, crowd.extents, margin=4 * crowd.widths)
    person, link = chosen = _in_order(opacity, (opacity > 0) & (first < last))
    start, along = start[:, person, link], along[:, person, link]
    widths, casings = link_widths[chosen], 2 * crowd.casings[person, 0]
    casing, cover, inside = _rectangles(
        start + first[chosen] * along,
        start + last[chosen] * along,
        np.stack([widths + casings, widths + (casings + 2), widths]),
    )
    colors = [skeleton.link_colors[i] for i in link.tolist()]
    columns = casing, cover, inside, colors, opacity[chosen].tolist()
    return [_Limbs(*part) for part in _by_person(columns, person, len(opacity))]


def _joints(crowd: _Crowd, skeleton: Skeleton, link_widths: np.ndarray) -> list[_Joints]:
    """Keypoints of each person. A radius is as the widest drawn link has it; without links it is the full one."""
    widths = np.zeros_like(crowd.opacity)
    for end in _link_ends(skeleton):
        np.maximum.at(widths.T, end, link_widths.T)
    radii = 0.95 * np.where(widths > 0, widths, crowd.widths)
    margin = radii + crowd.casings + 3
    near = ((crowd.keypoints > -margin) & (crowd.keypoints < crowd.extents + margin)).all(axis=0)
    person, keypoint = chosen = _in_order(crowd.opacity, near & (crowd.opacity > 0))
    radius, hollow = radii[chosen], crowd.hollow[chosen]
    outer = radius + crowd.casings[person, 0]
    middle = np.where(hollow, 0.6 * radius, np.where(radius >= 2.5, 0.4 * radius, 0))
    columns = (
        _fixed_point(crowd.keypoints[:, person, keypoint].T - 0.5).tolist(),
        *_fixed_point(np.stack([outer, outer + 1, radius, middle])).tolist(),
        [skeleton.keypoint_colors[i] for i in keypoint.tolist()],
        [CASING if dark else MIDDLE for dark in hollow.tolist()],
        (255 * crowd.opacity[chosen]).astype(int).tolist(),
    )
    return [_Joints(*part) for part in _by_person(columns, person, len(widths))]


def _in_order(opacity: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each shown element of (n, m) arrays: by rows, and in each row faint ones first."""
    row, column = np.nonzero(shown)
    order = np.lexsort((opacity[row, column], row))
    return row[order], column[order]


def _by_person(columns: Iterable, person: np.ndarray, n: int) -> Iterator[list]:
    """Cut lists and arrays, whose elements belong to persons in ascending order, into those of each person."""
    bounds = np.searchsorted(person, np.arange(n + 1)).tolist()
    return ([column[first:last] for column in columns] for first, last in pairwise(bounds))


def _visible_span(
    start: np.ndarray, along: np.ndarray, extent: np.ndarray, margin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """From which to which share (n, L) of themselves, 0 to 1, segments (2, n, L) are inside an area and a margin around.

    They are cut there (Liang-Barsky) because cv2's coordinates overflow far outside. Only where a part is inside is the
    first share below the last. A segment along a border divides by 0: its shares are infinite, of opposite signs where
    it is inside. Exactly on the border they are NaN, and it counts as outside, as the margin is wider than the limb.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (-margin - start) / along, (extent + margin - start) / along
        first, last = np.minimum(*shares).max(axis=0), np.maximum(*shares).min(axis=0)
    return np.maximum(first, 0), np.minimum(last, 1)


def _rectangles(start: np.ndarray, end: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Corners (w, m, 4, 2) of segments from (2, m) to (2, m) in w widths each, (w, m), in cv2's fixed point.

    Their ends are covered by the keypoints' discs.
    """
    along = end - start
    across = np.stack([-along[1], along[0]])
    side = across[:, None] * (widths / 2 / np.maximum(np.hypot(*along), 1e-6))
    start, end = start[:, None], end[:, None]
    corners = np.stack([start + side, end + side, end - side, start - side])  # (4, 2, w, m)
    return np.ascontiguousarray(_fixed_point(corners - 0.5).transpose(2, 3, 0, 1))


def _fixed_point(values: np.ndarray) -> np.ndarray:
    """Pixels as cv2's integers. Take 0.5 off coordinates first: cv2 names a pixel by its centre, which is 0.5 here."""
    return np.rint(values * _UNIT).astype(np.int32)


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
        size = text_w + 6, text_h + base + 3
        places = _tag_places(person.box, size, canvas.shape)
        free = next((place for place in places if not any(place.meets(other) for other in taken)), None)
        if person.size < (0.6 if free else 2) * text_w:
            continue
        tag = free or next(_tag_places(person.box, size, canvas.shape))
        taken.append(tag)
        area = canvas[tag.slices]
        cv2.addWeighted(area, 0.2, np.full_like(area, person.color), 0.8, 0, dst=area)
        position = tag.left + 3, tag.top + text_h + 2
        cv2.putText(canvas, person.tag, position, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)


def _tag_places(box: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]) -> Iterator[_Area]:
    """Places for a tag in order of preference: above the box, inside its top, below it, inside its bottom."""
    (width, height), (x1, y1, x2, y2) = size, box.tolist()
    corners = (x1, y1 - height), (x2 - width, y1 - height), (x1, y1), (x2 - width, y1), (x1, y2), (x1, y2 - height)
    limit_x, limit_y = max(shape[1] - width, 0), max(shape[0] - height, 0)
    for x, y in corners:
        left, top = int(_clamp(x, 0, limit_x)), int(_clamp(y, 0, limit_y))
        yield _Area(left, top, left + width, top + height)
