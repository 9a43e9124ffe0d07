"""Settings of synthetic crowds."""

from __future__ import annotations

from dataclasses import dataclass

from yolox_pose.errors import UsageError

MIN_SIDE = 32
"""Smallest width and height of a picture, in pixels."""


@dataclass(frozen=True)
class CrowdOptions:
    """Settings of the pictures.

    Args:
        size: (W, H) in pixels.
        people: Smallest and largest number of labelled people in a picture that has people.
        heights: Standing heights of the farthest and the nearest people, as fractions of the picture's height.
        occlusion: 0 keeps people apart as far as there is room. 1 places them at random, with more objects in front.
        person_free: Fraction of pictures without people.
        crowd_regions: Fraction of pictures with an ``iscrowd`` region: many small figures, annotated as one mask.
        unlabelled: Fraction of people with a box and a mask but no keypoints.
        least_shown: Smallest visible fraction of a person; people who are hidden more are removed from the picture.
        clutter: Mean number of things behind the people.
        variety: Fraction of people in any pose and facing any way; the others stand and face the viewer.

    Raises:
        UsageError: If a value is out of range.
    """

    size: tuple[int, int] = (192, 192)
    people: tuple[int, int] = (2, 8)
    heights: tuple[float, float] = (0.4, 0.8)
    occlusion: float = 0.3
    person_free: float = 0.07
    crowd_regions: float = 0.04
    unlabelled: float = 0.02
    least_shown: float = 0.3
    clutter: float = 6.0
    variety: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.people
        if not 0 <= low <= high:
            raise UsageError(f"people must be two numbers, the smaller one first, found {self.people}")
        if len(self.size) != 2 or min(self.size) < MIN_SIDE:
            raise UsageError(f"size must be width and height of at least {MIN_SIDE} pixels, found {self.size}")
        if self.clutter < 0:
            raise UsageError(f"clutter must not be negative, found {self.clutter}")
        if not 0 < self.heights[0] <= self.heights[1] <= 2:
            raise UsageError(f"heights must be two fractions of the picture's height, found {self.heights}")
        for name in ("occlusion", "person_free", "crowd_regions", "unlabelled", "least_shown", "variety"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, found {getattr(self, name)}")
