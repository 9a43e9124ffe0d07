"""Write and place the tags of persons: track id, class name and score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.visualization.canvas import Area, Color, clamp

FONT = cv2.FONT_HERSHEY_SIMPLEX
MIN_SCALE = 0.35
"""Smallest font scale that can be read."""


class Tag(NamedTuple):
    """Tag of a person.

    Attributes:
        text: Text of the tag.
        box: Box of the person, (4,) xyxy in pixels.
        color: Background color.
        size: Size of the person in pixels.
    """

    text: str
    box: np.ndarray
    color: Color
    size: float


def tag_texts(
    n: int,
    scores: np.ndarray | None,
    labels: np.ndarray | None,
    track_ids: np.ndarray | None,
    classes: Sequence[str] | None,
) -> list[str]:
    """Return the tags of n persons: track id, class name if there are several classes, and score.

    Args:
        n: Number of persons.
        scores: Scores of shape (n,), or None.
        labels: Labels of shape (n,), or None.
        track_ids: Track ids of shape (n,), or None.
        classes: Class names, or None.
    """
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


def draw_tags(canvas: np.ndarray, tags: Sequence[Tag]) -> None:
    """Draw tags where they do not cover each other.

    The smallest persons have no tag, as it would hide more than it says. Other small persons have none where no place is free.

    Args:
        canvas: Canvas of shape (H, W, 3), modified in place.
        tags: Tags in the order in which they choose their places.
    """
    occupied: list[Area] = []
    max_scale = clamp(min(canvas.shape[:2]) / 1100, MIN_SCALE, 0.9)
    for tag in tags:
        # Choose the first free place, or the first one for a large person
        scale = clamp(tag.size / 300, MIN_SCALE, max_scale)
        (text_width, text_height), baseline = cv2.getTextSize(tag.text, FONT, scale, 1)
        size = text_width + 6, text_height + baseline + 3
        places = list(tag_places(tag.box, size, canvas.shape))
        free = next((place for place in places if not any(place.meets(other) for other in occupied)), None)
        if tag.size < (0.6 if free else 2) * text_width:
            continue
        place = free or places[0]
        occupied.append(place)

        # Draw the background and the text
        area = canvas[place.slices]
        cv2.addWeighted(area, 0.2, np.full_like(area, tag.color), 0.8, 0, dst=area)
        position = place.left + 3, place.top + text_height + 2
        cv2.putText(canvas, tag.text, position, FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


def tag_places(box: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]) -> Iterator[Area]:
    """Yield the places for a tag in order of preference: above the box, inside its top, below it, inside its bottom.

    Args:
        box: Box of shape (4,), xyxy in pixels.
        size: Width and height of the tag in pixels.
        shape: Shape of the canvas, (H, W, 3). Places are moved inside.
    """
    (width, height), (x1, y1, x2, y2) = size, box.tolist()
    corners = (x1, y1 - height), (x2 - width, y1 - height), (x1, y1), (x2 - width, y1), (x1, y2), (x1, y2 - height)
    max_left, max_top = max(shape[1] - width, 0), max(shape[0] - height, 0)
    for x, y in corners:
        left, top = int(clamp(x, 0, max_left)), int(clamp(y, 0, max_top))
        yield Area(left, top, left + width, top + height)
