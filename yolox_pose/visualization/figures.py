"""Compute the polygons and discs of skeletons, ready to paint with cv2.

The geometry of all persons is computed with numpy at once, so that the painting loops only call cv2: Python arithmetic on
single points took longer than the painting.

Shape letters: n persons, K keypoints, L links, m drawn links or keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.canvas import CASING, MIDDLE, Area, Color, fixed_point


class Looks(NamedTuple):
    """Keypoints of n persons as they are drawn.

    Attributes:
        keypoints: Finite keypoints of shape (n, K, 2), in pixels of the canvas.
        opacity: Opacities of shape (n, K), 0 to 1. Keypoints with opacity 0 are not drawn.
        hollow: Which keypoints are hidden and drawn hollow, (n, K) bool.
    """

    keypoints: np.ndarray
    opacity: np.ndarray
    hollow: np.ndarray


class Limbs(NamedTuple):
    """The m links of a person, least opaque first.

    Attributes:
        casings: Rectangles of the dark casings: corners of shape (m, 4, 2), int32 in cv2's fixed point.
        covers: Rectangles that the opacity applies to, one pixel wider than the casings.
        insides: Rectangles of the colored insides.
        colors: Colors of the insides.
        opacities: Opacities, 0 to 255.
    """

    casings: np.ndarray
    covers: np.ndarray
    insides: np.ndarray
    colors: list[Color]
    opacities: list[int]


class Joints(NamedTuple):
    """The m keypoints of a person, least opaque first. Coordinates and radii are in cv2's fixed point.

    Attributes:
        centers: Centers of the discs.
        casings: Radii of the dark casings.
        covers: Radii that the opacity applies to, one pixel more than the casings.
        insides: Radii of the colored insides.
        middles: Radii of the middles; 0 draws none.
        colors: Colors of the insides.
        middle_colors: Colors of the middles.
        opacities: Opacities, 0 to 255.
    """

    centers: list[list[int]]
    casings: list[int]
    covers: list[int]
    insides: list[int]
    middles: list[int]
    colors: list[Color]
    middle_colors: list[Color]
    opacities: list[int]


class Figure(NamedTuple):
    """Skeleton of a person, in pixels of its area, the part of the canvas that it spans."""

    area: Area
    limbs: Limbs
    joints: Joints


class _Crowd(NamedTuple):
    """Keypoints of n persons, in pixels of the area of each person.

    The coordinates x and y are the first axis: numpy is several times slower along a last axis of two.

    Attributes:
        keypoints: Keypoints of shape (2, n, K), float64.
        opacity: Opacities of shape (n, K), 0 to 1. Keypoints with opacity 0 are not drawn.
        hollow: Which keypoints are drawn hollow, (n, K) bool.
        widths: Widths of long limbs, (n, 1).
        casings: Widths of the casing on either side of a limb and around a keypoint, (n, 1).
        extents: Widths and heights of the areas, (2, n, 1).
    """

    keypoints: np.ndarray
    opacity: np.ndarray
    hollow: np.ndarray
    widths: np.ndarray
    casings: np.ndarray
    extents: np.ndarray


def make_figures(
    looks: Looks,
    bounds: np.ndarray,
    sizes: np.ndarray,
    skeleton: Skeleton,
    shape: tuple[int, ...],
    line_width: float | None = None,
) -> list[Figure | None]:
    """Compute the figures of n persons.

    Args:
        looks: Keypoints of the persons.
        bounds: Boxes around the drawn keypoints, (n, 4) xyxy in pixels.
        sizes: Sizes of the persons in pixels, (n,); they set the line widths.
        skeleton: Links and colors of the keypoints.
        shape: Shape of the canvas, (H, W, 3).
        line_width: Width of long limbs in pixels. None chooses it by the sizes.

    Returns:
        The figure of each person, None where no part of it is on the canvas.
    """
    # Move the keypoints into the area of each person
    widths = np.clip(sizes / 45, 1.5, 12)[:, None] if line_width is None else np.full((len(sizes), 1), line_width)
    areas = drawn_areas(bounds, 3 * widths + 4, shape)
    extents = areas[:, 2:] - areas[:, :2]
    crowd = _Crowd(
        keypoints=np.ascontiguousarray((looks.keypoints - areas[:, None, :2]).transpose(2, 0, 1)),
        opacity=np.where((extents > 0).all(axis=1, keepdims=True), looks.opacity, 0),
        hollow=looks.hollow,
        widths=widths,
        casings=np.clip(widths / 4, 0.6, 1.2),
        extents=extents.T[..., None],
    )

    # Compute the limbs and joints of all persons, and split them by person
    link_widths = _link_widths(crowd, skeleton)
    parts = zip(areas.tolist(), _limbs(crowd, skeleton, link_widths), _joints(crowd, skeleton, link_widths))
    return [
        Figure(Area(*area), limbs, joints) if limbs.colors or joints.colors else None for area, limbs, joints in parts
    ]


def drawn_areas(bounds: np.ndarray, margins: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the whole pixels of the canvas that bounds and the margins around them touch.

    Args:
        bounds: Boxes of shape (n, 4), xyxy in pixels.
        margins: Margins of shape (n, 1), in pixels.
        shape: Shape of the canvas, (H, W, 3).

    Returns:
        Boxes of shape (n, 4), xyxy, int.
    """
    limit = shape[1::-1]
    low = np.clip(np.floor(bounds[:, :2] - margins), 0, limit)
    high = np.clip(np.ceil(bounds[:, 2:] + margins), 0, limit)
    return np.concatenate([low, high], axis=1).astype(int)


def _link_ends(skeleton: Skeleton) -> np.ndarray:
    """Return the keypoint indices of the links, (2, L)."""
    return np.array(skeleton.links, dtype=int).reshape(-1, 2).T


def _link_widths(crowd: _Crowd, skeleton: Skeleton) -> np.ndarray:
    """Return the widths of the links, (n, L), 0 where an end is not drawn.

    Short links, such as those of a face, are thinner so that they do not merge into a blot.
    """
    a, b = _link_ends(skeleton)
    length = np.hypot(*(crowd.keypoints[..., a] - crowd.keypoints[..., b]))
    widths = np.minimum(crowd.widths, np.maximum(np.maximum(0.3 * length, 0.45 * crowd.widths), 1.2))
    return np.where((crowd.opacity[:, a] > 0) & (crowd.opacity[:, b] > 0), widths, 0)


def _limbs(crowd: _Crowd, skeleton: Skeleton, link_widths: np.ndarray) -> list[Limbs]:
    """Compute the limbs of each person. A limb is as opaque as its fainter end."""
    # Compute the opacity, halved for hidden ends
    a, b = _link_ends(skeleton)
    strength = np.where(crowd.hollow[:, a] | crowd.hollow[:, b], 0.5, 1)
    opacity = (255 * (np.minimum(crowd.opacity[:, a], crowd.opacity[:, b]) * strength)).astype(int)

    # Cut the links at the border of the area and select those that are inside
    start, along = crowd.keypoints[..., a], crowd.keypoints[..., b] - crowd.keypoints[..., a]
    first, last = visible_span(start, along, crowd.extents, margin=4 * crowd.widths)
    person, link = selected = _by_opacity(opacity, (opacity > 0) & (first < last))
    start, along = start[:, person, link], along[:, person, link]

    # Compute the rectangles
    widths, casings = link_widths[selected], 2 * crowd.casings[person, 0]
    casing, cover, inside = _rectangles(
        start + first[selected] * along,
        start + last[selected] * along,
        np.stack([widths + casings, widths + (casings + 2), widths]),
    )
    colors = [skeleton.link_colors[i] for i in link.tolist()]
    columns = casing, cover, inside, colors, opacity[selected].tolist()
    return [Limbs(*part) for part in _split_by_person(columns, person, len(opacity))]


def _joints(crowd: _Crowd, skeleton: Skeleton, link_widths: np.ndarray) -> list[Joints]:
    """Compute the joints of each person. A radius follows the widest drawn link of the keypoint."""
    # Compute the radii; keypoints without a drawn link get the full one
    widths = np.zeros_like(crowd.opacity)
    for end in _link_ends(skeleton):
        np.maximum.at(widths.T, end, link_widths.T)
    radii = 0.95 * np.where(widths > 0, widths, crowd.widths)

    # Select the keypoints whose discs touch the area
    margin = radii + crowd.casings + 3
    near = ((crowd.keypoints > -margin) & (crowd.keypoints < crowd.extents + margin)).all(axis=0)
    person, keypoint = selected = _by_opacity(crowd.opacity, near & (crowd.opacity > 0))

    # Compute the discs
    radius, hollow = radii[selected], crowd.hollow[selected]
    outer = radius + crowd.casings[person, 0]
    middle = np.where(hollow, 0.6 * radius, np.where(radius >= 2.5, 0.4 * radius, 0))
    columns = (
        fixed_point(crowd.keypoints[:, person, keypoint].T - 0.5).tolist(),
        *fixed_point(np.stack([outer, outer + 1, radius, middle])).tolist(),
        [skeleton.keypoint_colors[i] for i in keypoint.tolist()],
        [CASING if is_hollow else MIDDLE for is_hollow in hollow.tolist()],
        (255 * crowd.opacity[selected]).astype(int).tolist(),
    )
    return [Joints(*part) for part in _split_by_person(columns, person, len(widths))]


def _by_opacity(opacity: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the shown elements of (n, m) arrays, by rows and within a row least opaque first."""
    row, column = np.nonzero(shown)
    order = np.lexsort((opacity[row, column], row))
    return row[order], column[order]


def _split_by_person(columns: Iterable, person: np.ndarray, n: int) -> Iterator[list]:
    """Split lists and arrays by person.

    Args:
        columns: Lists and arrays with one element per entry of ``person``.
        person: Person of each element, ascending.
        n: Number of persons.

    Yields:
        The parts of all columns that belong to a person.
    """
    bounds = np.searchsorted(person, np.arange(n + 1)).tolist()
    return ([column[first:last] for column in columns] for first, last in pairwise(bounds))


def visible_span(
    start: np.ndarray, along: np.ndarray, extent: np.ndarray, margin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Clip segments to an area and the margin around it (Liang-Barsky), because cv2's coordinates overflow far outside.

    Args:
        start: First points of the segments, (2, n, L).
        along: Vectors from the first to the last points, (2, n, L).
        extent: Widths and heights of the areas, (2, n, 1).
        margin: Margins around the areas, (n, 1).

    Returns:
        First and last visible fraction of each segment, 0 to 1, (n, L) each. The first is below the last only if a part is
        visible. A segment parallel to a border divides by 0: its fractions are infinite, of opposite signs where it is inside.
        Exactly on the border they are NaN, and the segment counts as outside, as the margin is wider than a limb.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        fractions = (-margin - start) / along, (extent + margin - start) / along
        first, last = np.minimum(*fractions).max(axis=0), np.maximum(*fractions).min(axis=0)
    return np.maximum(first, 0), np.minimum(last, 1)


def _rectangles(start: np.ndarray, end: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Compute the rectangles around segments. The discs of the keypoints cover their ends.

    Args:
        start: First points of m segments, (2, m).
        end: Last points, (2, m).
        widths: Several widths of each segment, (w, m).

    Returns:
        Corners of shape (w, m, 4, 2), int32 in cv2's fixed point.
    """
    along = end - start
    across = np.stack([-along[1], along[0]])
    side = across[:, None] * (widths / 2 / np.maximum(np.hypot(*along), 1e-6))
    start, end = start[:, None], end[:, None]
    corners = np.stack([start + side, end + side, end - side, start - side])  # (4, 2, w, m)
    return np.ascontiguousarray(fixed_point(corners - 0.5).transpose(2, 3, 0, 1))
