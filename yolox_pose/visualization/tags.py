"""Write and place the tags of persons: track id, class name and score."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.visualization.canvas import Area, Color, clamp

FONT = cv2.FONT_HERSHEY_SIMPLEX
MIN_SCALE = 0.35
"""Smallest font scale that can be read."""

FACE_WORDS = frozenset(("nose", "eye", "ear", "head", "face", "mouth", "chin", "forehead"))
"""Words in the names of keypoints of a head."""
HEAD_SHARE = (0.5, 0.2)
"""Width and height of a head in shares of its box, where no keypoint of it is drawn."""


class Tag(NamedTuple):
    """Tag of a person.

    Attributes:
        text: Text of the tag.
        box: Box of the person, (4,) xyxy in pixels.
        color: Background color.
        size: Size of the person in pixels.
        head: Box of the head, (4,) xyxy in pixels. None for objects without keypoints.
    """

    text: str
    box: np.ndarray
    color: Color
    size: float
    head: np.ndarray | None = None


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
    """Draw tags where they cover neither each other nor the head of another person.

    A person that is narrower than its tag has none, as it would hide more than it says. Other persons have none where no place
    is free. Large objects without keypoints always have one.

    Args:
        canvas: Canvas of shape (H, W, 3), modified in place.
        tags: Tags in the order in which they choose their places. A tag without text only protects its head.
    """
    occupied: list[Area] = []
    heads = np.array([np.full(4, np.nan) if tag.head is None else tag.head for tag in tags]).reshape(-1, 4)
    max_scale = clamp(min(canvas.shape[:2]) / 1100, MIN_SCALE, 0.9)
    for index, tag in enumerate(tags):
        # Choose the first free place, or the first one for a large object
        scale = clamp(tag.size / 300, MIN_SCALE, max_scale)
        (text_width, text_height), baseline = cv2.getTextSize(tag.text, FONT, scale, 1)
        size = text_width + 6, text_height + baseline + 3
        if not tag.text or (tag.head is not None and size[0] > tag.box[2] - tag.box[0]):
            continue
        other_heads = np.delete(heads, index, axis=0)
        places = [p for p in tag_places(tag.box, size, canvas.shape) if not covers(p, other_heads)]
        free = next((place for place in places if not any(place.meets(other) for other in occupied)), None)
        if tag.size < 0.6 * text_width or (free is None and (tag.head is not None or tag.size < 2 * text_width)):
            continue
        if free is None and not places:
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


def covers(place: Area, heads: np.ndarray) -> bool:
    """Return whether a place shares a pixel with one of the heads, boxes of shape (n, 4), xyxy; NaN is no head."""
    x1, y1, x2, y2 = heads.T
    return bool(((place.left < x2) & (x1 < place.right) & (place.top < y2) & (y1 < place.bottom)).any())


def head_boxes(keypoints: np.ndarray, shown: np.ndarray, boxes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Estimate the heads of n persons: around the keypoints of the face, otherwise at the top of the box.

    Args:
        keypoints: Finite keypoints of shape (n, K, 2), in pixels.
        shown: Which keypoints are drawn, (n, K) bool. A person without any, or an object, has no head.
        boxes: Boxes of shape (n, 4), xyxy in pixels.
        names: The K names of the keypoints.

    Returns:
        Boxes of shape (n, 4), xyxy in pixels, NaN for no head.
    """
    # Bound the keypoints of the face
    is_face = np.array([not FACE_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower())) for name in names], dtype=bool)
    face = shown & is_face
    low = keypoints.min(axis=1, initial=np.inf, where=face[..., None])
    high = keypoints.max(axis=1, initial=-np.inf, where=face[..., None])
    has_face = face.any(axis=1, keepdims=True)

    # Enlarge them to a head, which is about twice as large
    sides = boxes[:, 2:] - boxes[:, :2]
    extent = np.where(has_face, high - low, 0).max(axis=1, keepdims=True)
    margin = np.maximum(extent / 2, 0.04 * np.sqrt(np.maximum(sides, 0).prod(axis=1, keepdims=True)))

    # Take the middle of the top of the box instead where the face is not drawn
    middle = boxes[:, [0]] + sides[:, [0]] / 2
    width, height = HEAD_SHARE[0] * sides[:, [0]], HEAD_SHARE[1] * sides[:, [1]]
    top = np.concatenate([middle - width / 2, boxes[:, [1]], middle + width / 2, boxes[:, [1]] + height], axis=1)
    heads = np.where(has_face, np.concatenate([low - margin, high + margin], axis=1), top)
    return np.where(shown.any(axis=1, keepdims=True), heads, np.nan)
