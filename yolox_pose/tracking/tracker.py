"""Multi-person tracker: track ids that stay the same from frame to frame, also across occlusions of about a second.

High-score and low-score detections are matched together. Low-score ones are often persons that are getting hidden; as in
ByteTrack (Zhang et al., ECCV 2022), they continue tracks but start none. Similarity is the IoU with the predicted box of a track.
Where both have a pose, it is averaged with OKS, which separates persons whose boxes cross. It is weighted by the square root of
the score, so that a weak box beside a person does not take the person's track.

Remaining high-score detections are compared with remaining tracks in enlarged boxes (Yang et al., C-BIoU, WACV 2023). Boxes grow
with the time for which the track was not detected. Predicted boxes are clipped to the picture, as detected ones are.

Duplicates come before both stages. NMS keeps boxes of one person that overlap little: the whole person and the upper body, or
the halves of a close-up and one box around two people. The person's track chooses one of them, the others are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.boxes import box_areas, pairwise_iou, pairwise_touching
from yolox_pose.geometry.nms import greedy_survivors
from yolox_pose.geometry.oks import keypoint_oks
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.structures.detections import Detections
from yolox_pose.tracking import motion
from yolox_pose.tracking.assignment import greedy_assignment, linear_assignment, load_solver
from yolox_pose.tracking.motion import Motion

MIN_SHARED_KEYPOINTS = 3
"""Poses are compared if at least this many keypoints are confident in both."""
CONFIDENT_KEYPOINT, CONFIDENT_SHARE, DIFFERENT_POSE = 0.5, 0.45, 0.3
"""Two overlapping close-ups are two people if at least this share of the keypoints has such scores in both, and their OKS is
lower."""

DUPLICATE_POSE, DUPLICATE_OVERLAP = 0.5, 0.5
"""Two detections are duplicates of one person from this OKS on, if they share this much of the smaller box."""
MIN_WEIGHTED_SCORE = 1e-6
"""Lower scores count as this one in the association, so that weights stay positive."""
AT_EDGE = 0.01
"""Share of the width or height of the picture within which the side of a box touches the edge."""


class TrackerSettings(NamedTuple):
    """Thresholds of the association.

    Attributes:
        high_score: Lowest score of a high-score detection; only these start tracks.
        low_score: Lowest score of a low-score detection, which can continue a track that has no high-score detection.
        min_similarity: Lowest similarity of a high-score detection and a track.
        low_similarity: Lowest similarity of a low-score detection and a track. It is stricter, because low-score detections
            are more often false alarms.
        near_similarity: Lowest similarity of enlarged boxes, in the last stage.
        memory: Seconds for which a track without detections is kept.
        margin: Share of its width and height by which a box is enlarged on each side in the last stage.
        margin_per_second: Additional margin for every second in which the track was not detected.
        kpt_thr: Lowest score of a keypoint that is compared.
        close_up: Share of the picture from which a person counts as a close-up. Detectors draw close-ups more than once:
            whole, in halves, and together with neighbors.
        close_overlap: IoU from which two close-ups are duplicates of a person. The one that continues a track is used.
        confirmed_after: Number of high-score detections after which a track is confirmed. Low-score detections of other tracks
            are likely false alarms; results leave them out.
        trusted_after: Number of detections after which a track counts half as much as an old one, where two tracks compete
            for a close-up.
    """

    high_score: float = 0.3
    low_score: float = 0.1
    min_similarity: float = 0.25
    low_similarity: float = 0.5
    near_similarity: float = 0.3
    memory: float = 1.5
    margin: float = 0.3
    margin_per_second: float = 0.7
    kpt_thr: float = 0.3
    close_up: float = 0.2
    close_overlap: float = 0.35
    confirmed_after: int = 2
    trusted_after: int = 5


class Forecast(NamedTuple):
    """Predicted places of the persons of the last frame.

    Attributes:
        ids: Track ids of shape (T,), int64.
        labels: Labels of shape (T,), int64.
        scores: Scores of the last detections, (T,).
        boxes: Boxes of shape (T, 4), xyxy in pixels.
        keypoints: Keypoints of shape (T, K, 2), in pixels.
        keypoint_scores: Keypoint scores of the last detections, (T, K).
    """

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray


class _Tracks(NamedTuple):
    """State of T tracks.

    Attributes:
        ids: Track ids of shape (T,), int64.
        motion: State of the motion filter.
        last: Last detection of each track, in float64.
        offsets: Keypoints of the last detection relative to the center of the track, (T, K, 2) in pixels.
        last_time: Times of the last detections, (T,), in seconds.
        hits: Numbers of detections, (T,).
        high_hits: Numbers of high-score detections, (T,).
    """

    ids: np.ndarray
    motion: Motion
    last: Detections
    offsets: np.ndarray
    last_time: np.ndarray
    hits: np.ndarray
    high_hits: np.ndarray

    @classmethod
    def start(cls, detections: Detections, ids: np.ndarray, time: float) -> _Tracks:
        """Start tracks with their first detections."""
        state = motion.start(detections.boxes)
        offsets = detections.keypoints - state.center[:, None]
        ones = np.ones(len(ids), dtype=np.int64)
        return cls(ids.astype(np.int64), state, detections, offsets, np.full(len(ids), time), ones, ones.copy())

    def select(self, index: np.ndarray) -> _Tracks:
        """Return some of the tracks, by indices or a mask."""
        return _Tracks(
            self.ids[index],
            self.motion.select(index),
            self.last.select(index),
            self.offsets[index],
            self.last_time[index],
            self.hits[index],
            self.high_hits[index],
        )

    def join(self, other: _Tracks) -> _Tracks:
        """Return these tracks and then the other ones."""
        return _Tracks(
            np.concatenate([self.ids, other.ids]),
            Motion(*(np.concatenate(pair) for pair in zip(self.motion, other.motion))),
            Detections(*(np.concatenate(pair) for pair in zip(self.last, other.last))),
            np.concatenate([self.offsets, other.offsets]),
            np.concatenate([self.last_time, other.last_time]),
            np.concatenate([self.hits, other.hits]),
            np.concatenate([self.high_hits, other.high_hits]),
        )


class Tracker:
    """Give every person of a video a track id.

    Args:
        settings: Thresholds of the association.
        fps: Frames per second of the video, used where :meth:`update` gets no time.
        sigmas: OKS sigmas of the keypoints, (K,). None compares boxes only.

    Raises:
        ValueError: If ``fps`` is not positive.
        MissingDependencyError: If scipy is not installed.

    Example:
        >>> tracker = Tracker(fps=25, sigmas=skeleton.sigmas)
        >>> for result in pose("video.mp4"):
        ...     ids = tracker.update(
        ...         result.boxes, result.scores, keypoints=result.keypoints, keypoint_scores=result.keypoint_scores
        ...     )
    """

    def __init__(
        self,
        settings: TrackerSettings = TrackerSettings(),
        *,
        fps: float = DEFAULT_FPS,
        sigmas: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        load_solver()  # fail here rather than in the first frame with competing tracks
        self.settings, self.fps = settings, fps
        self.sigmas = None if sigmas is None else np.asarray(sigmas, dtype=np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget all tracks and count ids from 1 again. Call it before the first frame of another video."""
        self.time: float | None = None
        self._next_id = 1
        self._tracks: _Tracks | None = None

    def update(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        *,
        labels: np.ndarray | None = None,
        keypoints: np.ndarray | None = None,
        keypoint_scores: np.ndarray | None = None,
        time: float | None = None,
        size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Assign track ids to the detections of the next frame.

        Args:
            boxes: Boxes after NMS of shape (n, 4), xyxy in pixels. Include low-score detections, from ``low_score`` on.
            scores: Scores of shape (n,).
            labels: Labels of shape (n,). A track keeps its label.
            keypoints: Keypoints of shape (n, K, 2), in pixels.
            keypoint_scores: Keypoint scores of shape (n, K).
            time: Time of the frame in seconds, later than the previous one. None means one frame later.
            size: Width and height of the frame in pixels, needed to recognize close-ups and people who leave the picture. None
                treats nobody as a close-up and no box as cut.

        Returns:
            Track ids of shape (n,), int64, counted from 1. Detections without a track have -1: those that continue no track
            and score too low to start one, and duplicates of another detection.

        Raises:
            ValueError: If the time is not later than that of the previous frame.
        """
        # Predict the tracks at the time of the frame
        detections = _as_detections(boxes, scores, labels, keypoints, keypoint_scores)
        now = self._advance(time)
        nobody = np.arange(0)
        if self._tracks is None or not len(self._tracks.ids):
            self._tracks = _Tracks.start(detections.select(nobody), nobody, now)
        elif not len(detections.scores):
            detections = self._tracks.last.select(nobody)  # K is unknown where keypoints were left out

        # Continue tracks with their detections
        ids = np.full(len(detections.scores), -1, dtype=np.int64)
        pairs, new = self._associate(detections, size)
        ids[pairs[:, 1]] = self._tracks.ids[pairs[:, 0]]
        self._continue(detections, pairs, now)

        # Start tracks with the remaining high-score detections
        if len(new):
            ids[new] = self._next_id + np.arange(len(new))
            self._next_id += len(new)
            self._tracks = self._tracks.join(_Tracks.start(detections.select(new), ids[new], now))
        return ids

    def is_confirmed(self, ids: np.ndarray) -> np.ndarray:
        """Return which ids (n,) belong to confirmed tracks, (n,) bool. -1 belongs to none."""
        if self._tracks is None:
            return np.zeros(len(ids), dtype=bool)
        return np.isin(ids, self._tracks.ids[self._tracks.high_hits >= self.settings.confirmed_after])

    def forecast(self, seconds: float) -> Forecast:
        """Predict the places of the persons of the last frame some seconds later, at constant velocity.

        Raises:
            ValueError: If there was no frame yet.
        """
        if self._tracks is None or self.time is None:
            raise ValueError("nothing can be forecast before the first frame")
        tracks = self._tracks.select(self._tracks.last_time == self.time)
        center = motion.predict(tracks.motion, seconds).center
        last = tracks.last
        boxes = last.boxes + np.tile(center - tracks.motion.center, 2)  # with the size of the last detection
        keypoints = center[:, None] + tracks.offsets
        return Forecast(tracks.ids, last.labels, last.scores, boxes, keypoints, last.keypoint_scores)

    def _advance(self, time: float | None) -> float:
        """Move the tracks to the time of the frame and drop tracks without detections for too long."""
        # Determine the time of the frame
        if self.time is None:
            self.time = 0.0 if time is None else float(time)
            return self.time
        now = self.time + 1 / self.fps if time is None else float(time)
        if now <= self.time:
            raise ValueError(f"frames must come in order: {now} s follows {self.time} s")

        # Drop lost tracks: at once after a single detection, else after the memory
        if self._tracks is not None:
            tracks = self._tracks
            lost = tracks.last_time < self.time
            kept = np.where(lost, (now - tracks.last_time <= self.settings.memory) & (tracks.hits > 1), True)
            tracks = tracks if kept.all() else tracks.select(np.flatnonzero(kept))
            self._tracks = tracks._replace(motion=motion.predict(tracks.motion, now - self.time))
        self.time = now
        return now

    def _associate(self, detections: Detections, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        """Match tracks with detections.

        Returns:
            Indices of tracks and their detections, (p, 2), and indices of the detections that start new tracks.
        """
        # Match persons that were detected more than once
        assert self._tracks is not None
        tracks, settings = self._tracks, self.settings
        duplicate_pairs, free = self._associate_duplicates(detections, size)
        pairs = [duplicate_pairs]
        free_tracks = np.ones(len(tracks.ids), dtype=bool)
        free_tracks[duplicate_pairs[:, 0]] = False

        # Match the others, first by predicted boxes and poses, then by enlarged boxes
        high = detections.scores >= settings.high_score
        low = ~high & (detections.scores >= settings.low_score)
        similar = np.where(high, settings.min_similarity, settings.low_similarity)
        near = np.full(len(high), settings.near_similarity)
        stages = ((self._similarity, high | low, similar), (self._nearness, high, near))
        for compare, candidates, minimum in stages:
            rows, columns = np.flatnonzero(free_tracks), np.flatnonzero(free & candidates)
            if len(rows) and len(columns):
                similarity = compare(tracks.select(rows), detections.select(columns), size)
                weights = _score_weights(detections.scores[columns])
                matches = linear_assignment(similarity, minimum[columns], weights)
                rows, columns = rows[matches[:, 0]], columns[matches[:, 1]]
                free_tracks[rows] = free[columns] = False
                pairs.append(np.stack([rows, columns], axis=1))
        return np.concatenate(pairs), np.flatnonzero(free & high)

    def _associate_duplicates(
        self, detections: Detections, size: tuple[int, int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match persons that were detected more than once, and drop their duplicates.

        The best pair is matched first, and the duplicates of its detection are dropped. Old tracks and high scores count more,
        so that of two tracks of one person the younger one ends.

        Returns:
            Indices of tracks and their detections, (p, 2), and a mask (n,) of the detections that are neither matched nor
            dropped.
        """
        # Find the detections that have duplicates
        assert self._tracks is not None
        settings = self.settings
        free = np.ones(len(detections.scores), dtype=bool)
        same = self._same_person(detections, size)
        columns = np.flatnonzero(same.sum(axis=1) > 1)
        if not len(columns):
            return np.zeros((0, 2), dtype=np.int64), free
        same = same[np.ix_(columns, columns)]
        tracks, repeated = self._tracks, detections.select(columns)

        # Match them with tracks, weighted by the age of the track and the score of the detection
        trust = tracks.hits / (tracks.hits + settings.trusted_after)
        similarity = self._similarity(tracks, repeated, size)
        high = repeated.scores >= settings.high_score
        similar = similarity >= np.where(high, settings.min_similarity, settings.low_similarity)
        gain = similarity * similar * trust[:, None] * _score_weights(repeated.scores)
        pairs = greedy_assignment(gain * (repeated.scores >= settings.low_score), same)

        # Drop the duplicates of matched ones, then those of each unmatched one with a high score, best first
        used = same[pairs[:, 1]].any(axis=0)  # includes the matched ones, which are the same as themselves
        order = np.argsort(-repeated.scores, kind="stable")
        unmatched = order[(high & ~used)[order]]
        survivors = greedy_survivors(np.triu(same[np.ix_(unmatched, unmatched)], 1))
        used[unmatched[~survivors]] = True
        free[columns[used]] = False
        return np.stack([pairs[:, 0], columns[pairs[:, 1]]], axis=1), free

    def _similarity(self, tracks: _Tracks, detections: Detections, size: tuple[int, int] | None) -> np.ndarray:
        """Return the mean of IoU and OKS with the predicted boxes and poses, (T, n).

        It is the IoU alone where poses cannot be compared, and 0 between classes or where boxes do not touch.
        """
        # Compute the IoU with the predicted boxes
        predicted = tracks.last._replace(
            boxes=_clip(tracks.motion.boxes, size), keypoints=tracks.motion.center[:, None] + tracks.offsets
        )
        same_class = predicted.labels[:, None] == detections.labels
        similarity = pairwise_iou(predicted.boxes, detections.boxes) * same_class

        # Average it with the OKS of touching pairs
        rows, columns = np.nonzero(same_class & pairwise_touching(predicted.boxes, detections.boxes))
        pose_oks, shared = self._oks(predicted.select(rows), detections.select(columns), self.settings.kpt_thr)
        iou = similarity[rows, columns]
        similarity[rows, columns] = np.where(shared >= MIN_SHARED_KEYPOINTS, (iou + pose_oks) / 2, iou)
        return similarity

    def _nearness(self, tracks: _Tracks, detections: Detections, size: tuple[int, int] | None) -> np.ndarray:
        """Return the IoU of enlarged boxes, (T, n), 0 between classes.

        A detection at the edge of the picture may show only an arm or a leg of a person who leaves. It is compared by the
        share of its box within the enlarged box of the track.
        """
        # Enlarge the boxes
        margins = self.settings.margin + self.settings.margin_per_second * (self.time - tracks.last_time)
        predicted = _enlarge(_clip(tracks.motion.boxes, size), margins)
        nearness = pairwise_iou(predicted, _enlarge(detections.boxes, margins[:, None]))

        # Compare detections at the edge of the picture
        if size is not None:
            edge = _at_edge(detections.boxes, size)
            contained = _contained_share(predicted, detections.boxes[edge])
            smaller = box_areas(detections.boxes[edge]) <= tracks.motion.extent.prod(axis=1)[:, None]
            nearness[:, edge] = np.maximum(nearness[:, edge], contained * smaller)
        return nearness * (tracks.last.labels[:, None] == detections.labels)

    def _same_person(self, detections: Detections, size: tuple[int, int] | None) -> np.ndarray:
        """Return which detections show the same person, (n, n) bool: their poses agree, or their close-ups overlap."""
        # Compare the boxes
        iou = pairwise_iou(detections.boxes, detections.boxes)
        close = np.zeros(len(iou), dtype=bool)
        if size is not None:
            close = box_areas(detections.boxes) >= self.settings.close_up * size[0] * size[1]
        close_up = close[:, None] & close & (iou >= self.settings.close_overlap)
        contained = _contained_share(detections.boxes, detections.boxes)
        overlapping = (np.maximum(contained, contained.T) >= DUPLICATE_OVERLAP) | close_up
        overlapping &= detections.labels[:, None] == detections.labels
        rows, columns = np.nonzero(overlapping)

        # Compare the poses of overlapping pairs
        first, second = detections.select(rows), detections.select(columns)
        min_shared = CONFIDENT_SHARE * max(detections.keypoints.shape[1], 1)
        pose_oks, shared = self._oks(first, second, self.settings.kpt_thr)
        same_pose = (shared >= min_shared) & (pose_oks >= DUPLICATE_POSE)

        # Keep overlapping close-ups with confident, different poses apart
        pose_oks, shared = self._oks(first, second, CONFIDENT_KEYPOINT)
        unclear = (shared < min_shared) | (pose_oks >= DIFFERENT_POSE)

        # Every detection is the same person as itself
        same = np.eye(len(iou), dtype=bool)
        same[rows, columns] |= np.where(close_up[rows, columns], unclear, same_pose)
        return same

    def _oks(self, first: Detections, second: Detections, kpt_thr: float) -> tuple[np.ndarray, np.ndarray]:
        """Compute the OKS of p pairs of poses over the keypoints whose scores reach a threshold in both.

        Returns:
            OKS and number of shared keypoints, (p,) each; both are 0 where poses are not compared.
        """
        if self.sigmas is None or not second.keypoints.shape[1]:
            zeros = np.zeros(len(first.scores))
            return zeros, zeros
        shared = (first.keypoint_scores >= kpt_thr) & (second.keypoint_scores >= kpt_thr)
        areas = np.sqrt(box_areas(first.boxes) * box_areas(second.boxes))
        return keypoint_oks(first.keypoints, second.keypoints, areas, self.sigmas, shared), shared.sum(-1)

    def _continue(self, detections: Detections, pairs: np.ndarray, now: float) -> None:
        """Update the tracks with their detections.

        Args:
            detections: Detections of the frame.
            pairs: Indices of tracks and their detections, (p, 2).
            now: Time of the frame in seconds.
        """
        assert self._tracks is not None
        rows, matched = pairs[:, 0], detections.select(pairs[:, 1])
        tracks = self._tracks
        state = motion.correct(tracks.motion.select(rows), matched.boxes)
        for values, new_values in zip((*tracks.motion, *tracks.last), (*state, *matched)):
            values[rows] = new_values
        tracks.offsets[rows] = matched.keypoints - state.center[:, None]
        tracks.last_time[rows] = now
        tracks.hits[rows] += 1
        tracks.high_hits[rows] += matched.scores >= self.settings.high_score


def _as_detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    keypoints: np.ndarray | None,
    keypoint_scores: np.ndarray | None,
) -> Detections:
    """Convert the arguments of :meth:`Tracker.update` to float64; missing arrays get defaults."""
    n = len(scores)
    points = np.zeros((n, 0, 2)) if keypoints is None else np.asarray(keypoints, dtype=np.float64)
    if keypoint_scores is None:
        keypoint_scores = np.ones(points.shape[:2])
    return Detections(
        np.asarray(boxes, dtype=np.float64).reshape(n, 4),
        np.asarray(scores, dtype=np.float64),
        np.zeros(n, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64),
        points,
        np.asarray(keypoint_scores, dtype=np.float64),
    )


def _score_weights(scores: np.ndarray) -> np.ndarray:
    """Return the weights of detections in the association, (n,): the square roots of their scores."""
    return np.sqrt(np.maximum(scores, MIN_WEIGHTED_SCORE))


def _clip(boxes: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Clip boxes (n, 4) to a picture of a width and height. None leaves them as they are."""
    return boxes if size is None else np.clip(boxes, 0, np.tile(size, 2))


def _at_edge(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which boxes (n, 4) touch an edge of a picture of a width and height, (n,) bool."""
    limit = np.array(size)
    margin = AT_EDGE * limit
    touching = np.concatenate([boxes[:, :2] <= margin, boxes[:, 2:] >= limit - margin], axis=1)
    return np.asarray(touching.any(axis=1))


def _contained_share(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the share of each inner box (n, 4) that lies within each outer box (m, 4), shape (m, n)."""
    low = np.maximum(outer[:, None, :2], inner[:, :2])
    high = np.minimum(outer[:, None, 2:], inner[:, 2:])
    return np.clip(high - low, 0, None).prod(axis=2) / np.maximum(box_areas(inner), 1e-9)


def _enlarge(boxes: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Move each side of boxes outward by a share of the width or height.

    Args:
        boxes: Boxes of shape (n, 4), xyxy in pixels.
        margins: Shares of shape (n,), or (m, 1) for every combination.

    Returns:
        Boxes of shape (n, 4) or (m, n, 4).
    """
    growth = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * margins[..., None]
    return boxes + growth * [-1, -1, 1, 1]
