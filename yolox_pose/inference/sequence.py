"""Assign track ids to the results of videos and smooth their keypoints, without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from yolox_pose.inference.results import PoseResult
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.tracking import KeypointSmoother, SmootherSettings, Tracker, TrackerSettings
from yolox_pose.tracking.assignment import load_solver


class SequenceTracker:
    """Track the persons of consecutive results, one result at a time.

    Args:
        settings: Settings of the tracker.
        smoothing: Settings of the keypoint filter. None does not smooth.
        fps: Frames per second of images that are no video.
        restart: Whether ids start again with every video. Otherwise a new video continues the tracks of the one before.

    Raises:
        ValueError: If ``fps`` is not positive.
        MissingDependencyError: If scipy is not installed.

    Example:
        >>> tracker = SequenceTracker(TrackerSettings(high_score=0.3, low_score=0.1))
        >>> for frame in camera:
        ...     result = tracker.update(next(pose(frame, score_thr=0.1)))
    """

    def __init__(
        self,
        settings: TrackerSettings = TrackerSettings(),
        smoothing: SmootherSettings | None = None,
        fps: float = DEFAULT_FPS,
        *,
        restart: bool = True,
    ) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        load_solver()
        self.settings, self.smoothing, self.fps, self.restart = settings, smoothing, fps, restart
        self.reset()

    def reset(self) -> None:
        """Forget all persons and count ids from 1 again."""
        self._tracker: Tracker | None = None
        self._smoother: KeypointSmoother | None = None
        self._previous: PoseResult | None = None
        self._offset = 0.0

    def update(self, result: PoseResult) -> PoseResult:
        """Assign track ids to the persons of the next result, and smooth their keypoints.

        Args:
            result: Result that includes low-score detections, from ``settings.low_score`` on.

        Returns:
            The result with ``track_ids`` and ``low_score``, without detections that belong to no track and without low-score
            detections whose track is not confirmed.
        """
        # Start again, or let a new video follow the one before
        tracker, fps = self._tracker, result.fps or self.fps
        if tracker is None or (self.restart and _starts_sequence(result, self._previous)):
            sigmas = None if result.skeleton is None else result.skeleton.sigmas
            tracker = self._tracker = Tracker(self.settings, fps=fps, sigmas=sigmas)
            self._smoother, self._offset = None, 0.0
        elif result.time is not None and _starts_sequence(result, self._previous):
            self._offset = (tracker.time or 0.0) + 1 / fps - result.time
        tracker.settings, tracker.fps = self.settings, fps
        self._previous = result

        # Assign track ids
        time = None if result.time is None else result.time + self._offset
        ids = tracker.update(
            result.boxes,
            result.scores,
            labels=result.labels,
            keypoints=result.keypoints,
            keypoint_scores=result.keypoint_scores,
            time=time,
            size=result.size,
        )

        # Leave out detections without a track, and low-score detections unless their track is confirmed
        low_score = result.scores < self.settings.high_score
        written = (ids >= 0) & (~low_score | tracker.is_confirmed(ids))
        tracked = replace(result, track_ids=ids, low_score=low_score).select(written)

        # Smooth the keypoints
        if self.smoothing is None or tracked.track_ids is None:
            self._smoother = None
            return tracked
        if self._smoother is None:
            self._smoother = KeypointSmoother(self.smoothing, fps=fps)
        self._smoother.settings = self.smoothing
        points = self._smoother.update(tracked.keypoints, tracked.boxes, tracked.track_ids, time=tracker.time)
        return replace(tracked, keypoints=points)


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
        The results with ``track_ids`` and ``low_score``, without detections that belong to no track and without low-score
        detections whose track is not confirmed.
    """
    tracker = SequenceTracker(settings, smoothing, fps)
    for result in results:
        yield tracker.update(result)


def _starts_sequence(result: PoseResult, previous: PoseResult | None) -> bool:
    """Return whether a result belongs to another video than the previous one, or to images after a video."""
    if previous is None or result.frame is None or previous.frame is None:
        return previous is None or (result.frame is None) != (previous.frame is None)
    return result.name != previous.name or result.frame <= previous.frame
