"""Streaming accuracy: every frame of a sequence is scored with the newest prediction that had been finished by then.

While the detector works on a frame the world moves on, so that a slower but better detector can be the worse one in use
(Li et al., Towards Streaming Perception, ECCV 2020). The detector here is one worker: whenever it is free it takes the
newest frame there is and skips those that it missed; if it has seen that already it waits for the next one.

Times are in seconds from the first frame of a sequence. Shape letters: F frames, R runs of the detector. Depends on numpy
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError, UsageError

VIDEO_KEYS = ("video_id", "vid_id")
"""Names of an image's sequence: in COCO-style video files, and in PoseTrack18."""

NO_RUN = -1
"""In place of a run, for frames at which no prediction was finished yet."""

CLOCK_TOLERANCE = 1e-9
"""Seconds by which a prediction may come late: k frames of 1/fps seconds do not sum up to exactly k/fps."""


class FrameSequence(NamedTuple):
    """The frames of a sequence in order.

    Attributes:
        name: Its id.
        image_ids: (F,) int64.
        times: (F,) seconds at which the frames arrive, the first at 0.
        scored: (F,) bool, which of them are annotated; the detector sees all.
    """

    name: str
    image_ids: np.ndarray
    times: np.ndarray
    scored: np.ndarray


class Runs(NamedTuple):
    """What the detector did.

    Attributes:
        frames: (R,) positions of the frames that it worked on.
        started: (R,) seconds.
        finished: (R,) seconds.
    """

    frames: np.ndarray
    started: np.ndarray
    finished: np.ndarray


def find_sequences(images: Sequence[Mapping[str, Any]], fps: float, name: str = "annotations") -> list[FrameSequence]:
    """Sort the images of a COCO-style file into sequences.

    Images of a sequence share a ``video_id`` (or ``vid_id``) and are in the order of ``frame_id``, whose differences count
    frames (PoseTrack18's begin anywhere); without ``frame_id`` each image is the frame after the one with the next lower
    id. ``is_labeled`` (PoseTrack18) says whether a frame is annotated.

    Args:
        images: Entries of ``images``.
        fps: Frames a second.
        name: File, for messages.

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
    twice = np.flatnonzero(np.diff(numbers) == 0)
    if len(twice):
        raise DataError(f"{name}: sequence {key} has the frame {numbers[twice[0]]} twice")
    return FrameSequence(
        name=key,
        image_ids=np.asarray([image["id"] for image in ordered], np.int64),
        times=(numbers - numbers[0]) / fps,
        scored=np.asarray([bool(image.get("is_labeled", True)) for image in ordered]),
    )


def run_detector(times: np.ndarray, latencies: np.ndarray) -> Runs:
    """Which frames the detector works on, and when.

    Args:
        times: (F,) ascending seconds at which the frames arrive.
        latencies: (F,) seconds that the detector needs for each frame.

    Returns:
        Its runs, in order.
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
    """The run whose prediction is the newest finished one when each frame arrives.

    Args:
        times: (F,) seconds.
        runs: Of :func:`run_detector`.

    Returns:
        (F,) int64 indices into the runs, :data:`NO_RUN` before the first is finished.
    """
    return np.searchsorted(runs.finished, times + CLOCK_TOLERANCE, side="right") - 1


def age_of_predictions(times: np.ndarray, runs: Runs) -> np.ndarray:
    """(F,) seconds between each frame and the frame that its current prediction is of; NaN where there is none."""
    current = current_runs(times, runs)
    ages = np.full(len(times), np.nan)
    known = current != NO_RUN
    ages[known] = times[known] - times[runs.frames[current[known]]]
    return ages
