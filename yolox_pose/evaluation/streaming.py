"""Streaming accuracy: score each frame of a sequence with the latest finished prediction.

While the detector works on a frame the scene changes, so that a slower but more accurate detector can do worse in use
(Li et al., Towards Streaming Perception, ECCV 2020). The detector is a single worker. Whenever it is free it processes
the newest frame and skips those that it missed; if it has processed the newest frame already, it waits for the next.

Times are in seconds from the first frame of a sequence. Shape letters: F frames, R runs of the detector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError, UsageError

VIDEO_KEYS = ("video_id", "vid_id")
"""Keys of an image's sequence in COCO-style video files and in PoseTrack18."""

NO_RUN = -1
"""Index of frames at which no prediction is finished yet."""

CLOCK_TOLERANCE = 1e-9
"""Seconds by which a prediction may be late, because k frames of 1/fps seconds do not sum up to exactly k/fps."""


class FrameSequence(NamedTuple):
    """The frames of a sequence in order.

    Attributes:
        name: Its id.
        image_ids: Image ids of shape (F,), int64.
        times: Seconds at which the frames arrive, shape (F,), the first at 0.
        scored: Whether each frame is annotated, shape (F,), bool. The detector processes the others too.
    """

    name: str
    image_ids: np.ndarray
    times: np.ndarray
    scored: np.ndarray


class Runs(NamedTuple):
    """The runs of the detector, in order.

    Attributes:
        frames: Positions of the processed frames, shape (R,).
        started: Seconds at which the runs start, shape (R,).
        finished: Seconds at which the runs end, shape (R,).
    """

    frames: np.ndarray
    started: np.ndarray
    finished: np.ndarray


def find_sequences(images: Sequence[Mapping[str, Any]], fps: float, name: str = "annotations") -> list[FrameSequence]:
    """Sort the images of a COCO-style file into sequences.

    Images of a sequence share a ``video_id`` (or ``vid_id``) and are in the order of ``frame_id``, whose differences
    count frames (PoseTrack18 starts at any number). Without ``frame_id`` the images are successive frames in the order
    of their ids. ``is_labeled`` (PoseTrack18) tells whether a frame is annotated.

    Args:
        images: Entries of the file's ``images``.
        fps: Frames per second.
        name: The file, for messages.

    Raises:
        UsageError: If ``fps`` is not positive.
        DataError: If an image belongs to no sequence, or two images are the same frame.
    """
    if not fps > 0:
        raise UsageError(f"frames per second must be above 0, not {fps}")
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for image in images:
        key = next((image[key] for key in VIDEO_KEYS if image.get(key) is not None), None)
        if key is None:
            raise DataError(
                f"{name}: image {image['id']} has no {' and no '.join(VIDEO_KEYS)}; streaming needs sequences"
            )
        groups.setdefault(key, []).append(image)
    return [_sequence(str(key), group, fps, name) for key, group in groups.items()]


def _sequence(key: str, images: Sequence[Mapping[str, Any]], fps: float, name: str) -> FrameSequence:
    numbered = all("frame_id" in image for image in images)
    ordered = sorted(images, key=lambda image: image["frame_id" if numbered else "id"])
    numbers = np.asarray([image["frame_id"] for image in ordered] if numbered else range(len(ordered)), np.int64)
    repeated = np.flatnonzero(np.diff(numbers) == 0)
    if len(repeated):
        raise DataError(f"{name}: sequence {key} has the frame {numbers[repeated[0]]} twice")
    return FrameSequence(
        name=key,
        image_ids=np.asarray([image["id"] for image in ordered], np.int64),
        times=(numbers - numbers[0]) / fps,
        scored=np.asarray([bool(image.get("is_labeled", True)) for image in ordered]),
    )


def run_detector(times: np.ndarray, latencies: np.ndarray) -> Runs:
    """Simulate which frames the detector processes, and when.

    Args:
        times: Seconds at which the frames arrive, ascending, shape (F,).
        latencies: Seconds that the detector needs for each frame, shape (F,).

    Returns:
        The runs, in order.
    """
    runs: list[tuple[int, float, float]] = []
    now, frame = 0.0, -1
    while True:
        newest = int(np.searchsorted(times, now + CLOCK_TOLERANCE, side="right")) - 1
        frame = max(newest, frame + 1)
        if frame >= len(times):
            break
        started = max(now, float(times[frame]))
        now = started + float(latencies[frame])
        runs.append((frame, started, now))
    frames, started_at, finished = (np.asarray(column) for column in zip(*runs)) if runs else (np.zeros(0),) * 3
    return Runs(frames.astype(np.int64), started_at.astype(np.float64), finished.astype(np.float64))


def current_runs(times: np.ndarray, runs: Runs) -> np.ndarray:
    """Return the run with the latest finished prediction when each frame arrives.

    Args:
        times: Seconds at which the frames arrive, shape (F,).
        runs: Runs of :func:`run_detector`.

    Returns:
        (F,) int64 positions of the runs, :data:`NO_RUN` before the first is finished.
    """
    return np.searchsorted(runs.finished, times + CLOCK_TOLERANCE, side="right") - 1


def age_of_predictions(times: np.ndarray, runs: Runs) -> np.ndarray:
    """Return (F,) seconds between each frame and the frame of its current prediction; NaN where there is none."""
    current = current_runs(times, runs)
    ages = np.full(len(times), np.nan)
    predicted = current != NO_RUN
    ages[predicted] = times[predicted] - times[runs.frames[current[predicted]]]
    return ages
