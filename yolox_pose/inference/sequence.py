"""Assign track ids to the results of videos and smooth their keypoints, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from yolox_pose.inference.results import PoseResult
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.tracking import KeypointSmoother, SmootherSettings, Tracker, TrackerSettings


def track_results(
    results: Iterable[PoseResult],
    settings: TrackerSettings = TrackerSettings(),
    smoothing: SmootherSettings | None = None,
    fps: float = DEFAULT_FPS,
) -> Iterator[PoseResult]:
    """Assign track ids to the persons of consecutive results, and smooth their keypoints.

    Args:
        results: Results that include low-score detections, from ``settings.low_score`` on.
        settings: Settings of the tracker, which restarts with every video.
        smoothing: Settings of the keypoint filter. None does not smooth.
        fps: Frames per second of images that are no video. Consecutive images count as one sequence.

    Yields:
        The results with ``track_ids``, without detections that belong to no track.
    """
    tracker = smoother = previous = None
    for result in results:
        # Restart with every video
        if tracker is None or _starts_sequence(result, previous):
            sigmas = None if result.skeleton is None else result.skeleton.sigmas
            tracker = Tracker(settings, fps=result.fps or fps, sigmas=sigmas)
            smoother = None if smoothing is None else KeypointSmoother(smoothing, fps=result.fps or fps)

        # Assign track ids
        ids = tracker.update(
            result.boxes,
            result.scores,
            labels=result.labels,
            keypoints=result.keypoints,
            keypoint_scores=result.keypoint_scores,
            time=result.time,
            size=result.size,
        )
        tracked = replace(result, track_ids=ids).select(ids >= 0)

        # Smooth the keypoints
        if smoother is not None and tracked.track_ids is not None:
            points = smoother.update(tracked.keypoints, tracked.boxes, tracked.track_ids, time=result.time)
            tracked = replace(tracked, keypoints=points)
        previous = result
        yield tracked


def _starts_sequence(result: PoseResult, previous: PoseResult | None) -> bool:
    """Return whether a result belongs to another video than the previous one, or to images after a video."""
    if previous is None or result.frame is None or previous.frame is None:
        return previous is None or (result.frame is None) != (previous.frame is None)
    return result.name != previous.name or result.frame <= previous.frame
