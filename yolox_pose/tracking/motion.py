"""Constant-velocity Kalman filter for the box centers of many tracks at once.

The two axes of a center have equal noise, so one covariance of (position, velocity) serves both. Noise is measured in
person sizes (square root of the box area), which makes the settings independent of distance and resolution.

A box that lacks a part of the person, or includes a part of another person, has its center displaced by half of the
error of its sides. The detection noise grows by that displacement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

POSITION_NOISE = 0.05
"""Standard deviation of a detected center, in sizes: 1/20 as in Deep SORT (Wojke et al., ICIP 2017)."""

ACCELERATION_NOISE = 1.0
"""Change of velocity, in sizes per second, that accumulates in one second: a person starts or stops walking in about that."""

FIRST_VELOCITY = 1.0
"""Standard deviation of the velocity, in sizes per second, of a track with a single detection."""

EXTENT_DRIFT = 0.2
"""Variance that width and height gain in a second, in units of the variance of one detection.

Boxes of one person differ a lot between frames (a raised arm, a hidden half), while the size of the person changes slowly.
"""


class Motion(NamedTuple):
    """State of T tracks.

    Attributes:
        center: Box centers of shape (T, 2), in pixels.
        velocity: Velocities of shape (T, 2), in pixels per second.
        extent: Widths and heights of shape (T, 2), in pixels. They have no velocity, because a person who gets hidden
            seems to shrink.
        covariance: Variance of the position, covariance of position and velocity, and variance of the velocity, shape
            (T, 3), in squared sizes.
        spread: Variances of the extent, (T,), in units of the variance of one detection.
    """

    center: np.ndarray
    velocity: np.ndarray
    extent: np.ndarray
    covariance: np.ndarray
    spread: np.ndarray

    @property
    def boxes(self) -> np.ndarray:
        """Boxes of shape (T, 4), xyxy in pixels."""
        return np.concatenate([self.center - self.extent / 2, self.center + self.extent / 2], axis=1)

    def select(self, index: np.ndarray) -> Motion:
        """Return the state of some tracks.

        Args:
            index: Indices of the tracks, or a mask.
        """
        return Motion(*(values[index] for values in self))


def start(boxes: np.ndarray) -> Motion:
    """Initialize the state of T new tracks from their boxes (T, 4), at rest."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    covariance = np.tile([POSITION_NOISE**2, 0.0, FIRST_VELOCITY**2], (len(boxes), 1))
    return Motion((low + high) / 2, np.zeros_like(low), high - low, covariance, np.ones(len(boxes)))


def predict(motion: Motion, seconds: float) -> Motion:
    """Predict the state after some seconds without detections."""
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
    """Update the predicted state of T tracks with their detected boxes (T, 4)."""
    # Compute the Kalman gains of center, velocity and extent
    detected = start(boxes)
    position, mixed, velocity = motion.covariance.T
    gain = np.stack([position, mixed]) / (position + _detection_noise(motion, detected))
    extent_gain = motion.spread / (motion.spread + 1)

    # Move the state toward the detections
    error = detected.center - motion.center
    covariance = np.stack([(1 - gain[0]) * position, (1 - gain[0]) * mixed, velocity - gain[1] * mixed], axis=1)
    return Motion(
        center=motion.center + gain[0][:, None] * error,
        velocity=motion.velocity + gain[1][:, None] * error,
        extent=motion.extent + extent_gain[:, None] * (detected.extent - motion.extent),
        covariance=covariance,
        spread=extent_gain,  # (1 - gain) * spread equals the gain, as the variance of a detection is 1
    )


def _detection_noise(motion: Motion, detected: Motion) -> np.ndarray:
    """Return the variances of the detected centers, (T,), in squared sizes."""
    size = np.sqrt(np.maximum(motion.extent.prod(axis=1), 1.0))
    displacement = np.abs(detected.extent - motion.extent).max(axis=1) / 2 / size
    return POSITION_NOISE**2 + displacement**2
