"""One person of a result, with plain numbers instead of arrays with a row per person."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np


class Keypoint(NamedTuple):
    """Keypoint of a person.

    Attributes:
        x: Column in pixels of the source image.
        y: Row in pixels of the source image.
        score: Score, 0 to 1.
    """

    x: float
    y: float
    score: float

    def __repr__(self) -> str:
        return f"Keypoint(x={self.x:.1f}, y={self.y:.1f}, score={self.score:.2f})"


@dataclass(eq=False, repr=False)
class Person:
    """Person, or object of a class without keypoints.

    ``person["left_wrist"]`` and ``person[9]`` give one :class:`Keypoint`.

    Attributes:
        keypoints: Keypoints of shape (K, 2), float32, in pixels of the source image; 0 for classes without keypoints.
        keypoint_scores: Keypoint scores of shape (K,), float32, 0 to 1.
        box: Box of shape (4,), float32, xyxy in pixels of the source image.
        score: Score, 0 to 1.
        label: Index of the class.
        class_name: Name of the class.
        has_keypoints: Whether the class has keypoints.
        track_id: Track id. None if persons are not tracked.
        keypoint_names: The K names of the keypoints.
        low_score: Whether a tracked person scores below the score threshold. None if persons are not tracked.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    box: np.ndarray
    score: float
    label: int
    class_name: str
    has_keypoints: bool
    track_id: int | None
    keypoint_names: tuple[str, ...]
    low_score: bool | None = None

    def __getitem__(self, keypoint: str | int) -> Keypoint:
        """Return a keypoint by name or index.

        Raises:
            KeyError: If the skeleton has no keypoint of that name.
            IndexError: If there are fewer keypoints.
        """
        if isinstance(keypoint, str):
            if keypoint not in self.keypoint_names:
                raise KeyError(f"no keypoint {keypoint!r}; keypoints are {', '.join(self.keypoint_names)}")
            keypoint = self.keypoint_names.index(keypoint)
        x, y = self.keypoints[keypoint].tolist()
        return Keypoint(x, y, float(self.keypoint_scores[keypoint]))

    def __eq__(self, other: object) -> bool:
        return equal_fields(self, other, tuple(f.name for f in fields(self))) if type(other) is type(self) else False

    __hash__ = None  # type: ignore[assignment]  # as of any mutable value

    def __repr__(self) -> str:
        x1, y1, x2, y2 = self.box.round().astype(int).tolist()
        track = "" if self.track_id is None else f" id {self.track_id}"
        keypoints = f", {len(self.keypoints)} keypoints" if self.has_keypoints else ""
        return f"Person({self.class_name}{track}, score {self.score:.2f}, box {x1} {y1} {x2} {y2}{keypoints})"


def equal_fields(first: Any, second: Any, names: tuple[str, ...]) -> bool:
    """Return whether two objects have equal attributes, arrays included. NaN equals NaN."""
    for name in names:
        a, b = getattr(first, name), getattr(second, name)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            if not np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"):
                return False
        elif isinstance(a, np.ndarray) or isinstance(b, np.ndarray) or a != b:
            return False
    return True
