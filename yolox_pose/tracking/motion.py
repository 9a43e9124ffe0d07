"""Constant-velocity Kalman filter for the centres of many tracks at once.

The two axes of a centre have equal noise, so one covariance of (position, velocity) serves both. It is counted in sizes of
the person (the square root of the box's area), which makes the settings independent of distance and resolution. A box that
lacks a part, or has one of somebody else, has its centre elsewhere, by half of what its sides differ from those expected: so
much more noise it counts with.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

POSITION_NOISE = 0.05
"""Standard deviation of a detected centre in sizes: the 1/20 of SORT's successors (Wojke et al., Deep SORT, ICIP 2017)."""

ACCELERATION_NOISE = 1.0
"""Change of velocity in sizes per second that gathers in one second: a person starts or stops walking in about one."""

FIRST_VELOCITY = 1.0
"""Standard deviation of the velocity, in sizes per second, of a track that was seen once."""

EXTENT_DRIFT = 0.2
"""Variance that width and height gain in a second, in units of that of one detection: boxes of one person differ much (an arm
more, a half hidden), people change their size slowly."""


class Motion(NamedTuple):
    """State of T tracks.

    Attributes:
        center: (T, 2) pixels.
        velocity: (T, 2) pixels per second.
        extent: (T, 2) width and height; it has no velocity, because a person who gets hidden seems to shrink.
        covariance: (T, 3): of position, between position and velocity, of velocity; in squared sizes.
        spread: (T,) variance of the extent, in units of that of one detection.
    """

    center: np.ndarray
    velocity: np.ndarray
    extent: np.ndarray
    covariance: np.ndarray
    spread: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """(T, 4) xyxy."""
        return np.concatenate([self.center - self.extent / 2, self.center + self.extent / 2], axis=1)


def start(boxes: np.ndarray) -> Motion:
    """State of (T, 4) boxes that are seen for the first time."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    covariance = np.tile([POSITION_NOISE**2, 0.0, FIRST_VELOCITY**2], (len(boxes), 1))
    return Motion((low + high) / 2, np.zeros_like(low), high - low, covariance, np.ones(len(boxes)))


def predict(motion: Motion, seconds: float) -> Motion:
    """State after some seconds without detections."""
    position, mixed, velocity = motion.covariance.T
    noise = ACCELERATION_NOISE**2 * seconds
    covariance = np.stack(
        [
            position + 2 * seconds * mixed + seconds**2 * velocity + noise * seconds**2 / 3,
            mixed + seconds * velocity + noise * seconds / 2,
            velocity + noise,
        ],
        axis=1,
    )
    return motion._replace(
        center=motion.center + seconds * motion.velocity,
        covariance=covariance,
        spread=motion.spread + EXTENT_DRIFT * seconds,
    )


def correct(motion: Motion, boxes: np.ndarray) -> Motion:
    """State after (T, 4) boxes were detected, one a track, at the time that the state was predicted for."""
    seen = start(boxes)
    position, mixed, velocity = motion.covariance.T
    gain = np.stack([position, mixed]) / (position + _position_noise(motion, seen))
    size_gain = motion.spread / (motion.spread + 1)
    error = seen.center - motion.center
    covariance = np.stack([(1 - gain[0]) * position, (1 - gain[0]) * mixed, velocity - gain[1] * mixed], axis=1)
    return Motion(
        center=motion.center + gain[0][:, None] * error,
        velocity=motion.velocity + gain[1][:, None] * error,
        extent=motion.extent + size_gain[:, None] * (seen.extent - motion.extent),
        covariance=covariance,
        spread=size_gain,  # what is left of it in units of a detection's
    )


def _position_noise(motion: Motion, seen: Motion) -> np.ndarray:
    """(T,) variance of the detected centres, in squared sizes."""
    size = np.sqrt(np.maximum(motion.extent.prod(axis=1), 1.0))
    misplaced = np.abs(seen.extent - motion.extent).max(axis=1) / 2 / size
    return POSITION_NOISE**2 + misplaced**2
