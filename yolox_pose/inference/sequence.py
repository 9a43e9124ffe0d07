"""Ids and steadier keypoints for the results of videos, with numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from yolox_pose.inference.results import PoseResult
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.tracking import KeypointSmoother, SmootherSettings, Tracker, TrackerSettings


def follow(
    results: Iterable[PoseResult],
    settings: TrackerSettings = TrackerSettings(),
    smoothing: SmootherSettings | None = None,
    fps: float = DEFAULT_FPS,
) -> Iterator[PoseResult]:
    """Give the persons of consecutive results ids, and smooth their keypoints.

    Args:
        results: With the unsure detections too, from ``settings.low_score`` on.
        settings: Of the tracker, which begins anew with every video.
        smoothing: Of the filter of the keypoints; None leaves them as they are.
        fps: Frames per second of images that are no video; they count as one sequence.

    Yields:
        The results with ``track_ids``, without the unsure detections that belong to no track.
    """
    tracker = smoother = last = None
    for result in results:
        if tracker is None or _begins(result, last):
            sigmas = None if result.skeleton is None else result.skeleton.sigmas
            tracker = Tracker(settings, fps=result.fps or fps, sigmas=sigmas)
            smoother = None if smoothing is None else KeypointSmoother(smoothing, fps=result.fps or fps)
        ids = tracker.update(
            result.boxes,
            result.scores,
            labels=result.labels,
            keypoints=result.keypoints,
            keypoint_scores=result.keypoint_scores,
            time=result.time,
            size=result.size,
        )
        kept = replace(result, track_ids=ids).select(ids >= 0)
        if smoother is not None and kept.track_ids is not None:
            points = smoother.update(kept.keypoints, kept.boxes, kept.track_ids, time=result.time)
            kept = replace(kept, keypoints=points)
        last = result
        yield kept


def _begins(result: PoseResult, last: PoseResult | None) -> bool:
    """Whether a result is of another video than the one before."""
    if last is None or result.frame is None or last.frame is None:
        return last is None or (result.frame is None) != (last.frame is None)
    return result.name != last.name or result.frame <= last.frame
