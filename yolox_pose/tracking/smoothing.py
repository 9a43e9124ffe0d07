"""Smooth the keypoints of tracked persons with the One-Euro filter (Casiez et al., CHI 2012).

The filter is a low-pass filter whose cutoff frequency rises with speed: keypoints at rest stop jittering, moving keypoints do
not lag. Speeds are measured in person sizes (square root of the box area), so that the settings hold at any distance and
resolution.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np

from yolox_pose.structures.constants import DEFAULT_FPS

Cutoff = TypeVar("Cutoff", float, np.ndarray)


class SmootherSettings(NamedTuple):
    """Settings of the One-Euro filter.

    Attributes:
        cutoff: Cutoff frequency at rest, in Hz. Lower values are steadier.
        speed_gain: Hz added to the cutoff for a speed of one size per second. Higher values lag less.
        speed_cutoff: Cutoff frequency for the speed itself, in Hz.
        memory: Seconds without a detection after which a person starts anew.
    """

    cutoff: float = 1.5
    speed_gain: float = 6.0
    speed_cutoff: float = 1.0
    memory: float = 0.5


class _State(NamedTuple):
    """Filter state of one person: time in seconds, keypoints (K, 2), velocities (K, 2) in pixels per second."""

    time: float
    points: np.ndarray
    velocity: np.ndarray


class KeypointSmoother:
    """Filter that smooths the keypoints of each track.

    Args:
        settings: Settings of the filter.
        fps: Frames per second, used where :meth:`update` gets no time.
    """

    def __init__(self, settings: SmootherSettings = SmootherSettings(), *, fps: float = DEFAULT_FPS) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        self.settings, self.fps = settings, fps
        self.reset()

    def reset(self) -> None:
        """Forget all persons."""
        self.time: float | None = None
        self._states: dict[int, _State] = {}

    def update(
        self, keypoints: np.ndarray, boxes: np.ndarray, track_ids: np.ndarray, time: float | None = None
    ) -> np.ndarray:
        """Smooth the keypoints of the next frame.

        Args:
            keypoints: Keypoints of shape (n, K, 2), in pixels.
            boxes: Boxes of shape (n, 4), xyxy in pixels; they give the sizes.
            track_ids: Track ids of shape (n,). Persons with a negative id are not smoothed.
            time: Time of the frame in seconds. None means one frame after the previous one.

        Returns:
            Smoothed keypoints of shape (n, K, 2), with the dtype of ``keypoints``.
        """
        # Advance the clock
        previous = self.time
        self.time = (0.0 if previous is None else previous + 1 / self.fps) if time is None else float(time)

        # Filter each tracked person
        smoothed = np.array(keypoints)
        extents = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        for i, track in enumerate(int(track) for track in track_ids):
            if track < 0:
                continue
            points = np.asarray(keypoints[i], dtype=np.float64)
            state = self._states.get(track) or _State(self.time, points, np.zeros_like(points))
            if state.time < self.time:
                state = self._filter(state, points, float(np.sqrt(extents[i].prod())))
            self._states[track] = state
            smoothed[i] = state.points

        # Forget persons who have not been detected for too long
        oldest = self.time - self.settings.memory
        self._states = {track: state for track, state in self._states.items() if state.time >= oldest}
        return smoothed

    def _filter(self, state: _State, points: np.ndarray, size: float) -> _State:
        """Return the state after new keypoints (K, 2) of a person of a size in pixels."""
        assert self.time is not None
        elapsed = self.time - state.time
        velocity_weight = _weight(self.settings.speed_cutoff, elapsed)
        velocity = state.velocity + velocity_weight * ((points - state.points) / elapsed - state.velocity)
        speed = np.hypot(velocity[:, 0], velocity[:, 1])[:, None] / size
        weight = _weight(self.settings.cutoff + self.settings.speed_gain * speed, elapsed)
        return _State(self.time, state.points + weight * (points - state.points), velocity)


def _weight(cutoff: Cutoff, elapsed: float) -> Cutoff:
    """Return the weight of a new value in a first-order low-pass filter (equation 2 of the paper)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * elapsed))
