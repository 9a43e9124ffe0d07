"""One-Euro filter (Casiez et al., CHI 2012) for the keypoints of tracked persons.

A low-pass filter whose cutoff rises with speed: keypoints at rest stop trembling, moving ones do not lag. Speeds are counted
in sizes of the person (the square root of the box's area), so that the settings hold at any distance and resolution.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from yolox_pose.structures.constants import DEFAULT_FPS


class SmootherSettings(NamedTuple):
    """Settings of the filter.

    Attributes:
        cutoff: Hertz at rest: lower is steadier.
        speed_gain: Hertz that are added for each size per second of speed: higher lags less.
        speed_cutoff: Hertz of the low-pass filter of the speed itself.
        memory: Seconds after which a person who was not seen starts anew.
    """

    cutoff: float = 1.5
    speed_gain: float = 6.0
    speed_cutoff: float = 1.0
    memory: float = 0.5


class _State(NamedTuple):
    time: float
    points: np.ndarray  # (K, 2)
    velocity: np.ndarray  # (K, 2) pixels per second


class KeypointSmoother:
    """Smooths the keypoints of each track.

    Args:
        settings: Of the filter.
        fps: Frames per second of the video, where :meth:`update` is not told times.
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
            keypoints: (n, K, 2) pixels.
            boxes: (n, 4) xyxy pixels, for the sizes.
            track_ids: (n,); a negative id is not smoothed.
            time: Seconds at which the frame was taken; None: one frame later than the one before.

        Returns:
            (n, K, 2), of the type of ``keypoints``.
        """
        before = self.time
        self.time = (0.0 if before is None else before + 1 / self.fps) if time is None else float(time)
        smooth = np.array(keypoints)
        extents = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        for i, track in enumerate(int(track) for track in track_ids):
            if track < 0:
                continue
            points = np.asarray(keypoints[i], dtype=np.float64)
            state = self._states.get(track) or _State(self.time, points, np.zeros_like(points))
            if state.time < self.time:
                state = self._filtered(state, points, float(np.sqrt(extents[i].prod())))
            self._states[track] = state
            smooth[i] = state.points
        oldest = self.time - self.settings.memory
        self._states = {track: state for track, state in self._states.items() if state.time >= oldest}
        return smooth

    def _filtered(self, state: _State, points: np.ndarray, size: float) -> _State:
        assert self.time is not None
        elapsed = self.time - state.time
        weight = _weight(self.settings.speed_cutoff, elapsed)
        velocity = state.velocity + weight * ((points - state.points) / elapsed - state.velocity)
        speed = np.hypot(velocity[:, 0], velocity[:, 1])[:, None] / size
        weight = _weight(self.settings.cutoff + self.settings.speed_gain * speed, elapsed)
        return _State(self.time, state.points + weight * (points - state.points), velocity)


def _weight(cutoff: np.ndarray | float, elapsed: float) -> np.ndarray | float:
    """Share of a new value that a low-pass filter of first order takes over (equation 2 of the paper)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff * elapsed))
