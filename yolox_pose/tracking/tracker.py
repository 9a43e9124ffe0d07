"""Ids of persons that stay the same from frame to frame, also across occlusions of about a second.

Association in stages as in ByteTrack (Zhang et al., ECCV 2022): sure detections first, then unsure ones, which are often
persons that are getting hidden. Similarity is IoU with the place where a track is expected, averaged with OKS where both
have a pose, which tells persons apart whose boxes cross. Sure detections that are left are compared with the tracks that
are left in enlarged boxes (Yang et al., C-BIoU, WACV 2023), both the more enlarged the longer a track was not seen; people of
different sizes stay different by that.

Before all that come people who fill much of the picture, of whom detectors draw several boxes that NMS lets stand: the whole,
halves, and one around two people. There a person's track chooses among them, and the others are dropped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.pose_nms import greedy_survivors
from yolox_pose.geometry.similarity import box_areas, oks, pairwise_iou, pairwise_touching
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.tracking import motion
from yolox_pose.tracking.assignment import best_pairs, exclusive_pairs
from yolox_pose.tracking.motion import Motion

SHARED_KEYPOINTS = 3
"""Poses are compared from this many keypoints that are sure in both."""
SURE_KEYPOINT, SURE_SHARE, OTHER_POSE = 0.5, 0.45, 0.3
"""Two large boxes that overlap are two people if this share of the keypoints has such scores in both and their OKS is less."""


class TrackerSettings(NamedTuple):
    """What counts as the same person.

    Attributes:
        high_score: Detections from here on are sure: they start tracks.
        low_score: Detections from here on continue a track where no sure one does.
        min_similarity: Of a sure detection and a track.
        low_similarity: Of an unsure detection and a track, stricter because it is more often a false alarm.
        near_similarity: Of enlarged boxes, in the last stage.
        memory: Seconds that a track without detections is kept.
        margin: Sides by which boxes are enlarged in the last stage.
        margin_per_second: What is added to that for every second in which the track was not seen.
        keypoint_score: Keypoints from here on are compared.
        close_up: Share of the picture from which a person is close to the camera. Detectors draw such people more than once:
            whole, in halves, and together with who is beside them.
        close_overlap: IoU from which two detections of people who are close are one person, drawn twice; one of them is taken,
            the one that goes on with a track.
        trusted_after: Frames in which a track was seen until it counts half as much as one that was always there, where two
            claim a detection.
    """

    high_score: float = 0.3
    low_score: float = 0.1
    min_similarity: float = 0.25
    low_similarity: float = 0.5
    near_similarity: float = 0.3
    memory: float = 1.5
    margin: float = 0.3
    margin_per_second: float = 0.7
    keypoint_score: float = 0.3
    close_up: float = 0.2
    close_overlap: float = 0.35
    trusted_after: int = 5


class Forecast(NamedTuple):
    """Where the persons of the last frame are expected.

    Attributes:
        ids: (T,) int64.
        labels: (T,) int64.
        scores: (T,) of their last detections.
        boxes: (T, 4) xyxy.
        keypoints: (T, K, 2).
        keypoint_scores: (T, K) of their last detections.
    """

    ids: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray


class _Detections(NamedTuple):
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray

    def take(self, index: np.ndarray) -> _Detections:
        return _Detections(*(values[index] for values in self))


class _Tracks(NamedTuple):
    ids: np.ndarray  # (T,)
    motion: Motion
    last: _Detections
    offsets: np.ndarray  # (T, K, 2) keypoints of the last detection from the track's centre
    seen: np.ndarray  # (T,) time of the last detection
    hits: np.ndarray  # (T,) number of detections

    def take(self, index: np.ndarray) -> _Tracks:
        moved = Motion(*(values[index] for values in self.motion))
        ids, offsets, seen, hits = (values[index] for values in (self.ids, self.offsets, self.seen, self.hits))
        return _Tracks(ids, moved, self.last.take(index), offsets, seen, hits)


class Tracker:
    """Gives every person of a video an id.

    Args:
        settings: What counts as the same person.
        fps: Frames per second of the video, where :meth:`update` is not told times.
        sigmas: (K,) OKS constants of the keypoints; None compares boxes alone.

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
        sigmas: np.ndarray | None = None,
    ) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        self.settings, self.fps = settings, fps
        self.sigmas = None if sigmas is None else np.asarray(sigmas, dtype=np.float64)
        self.reset()

    def reset(self) -> None:
        """Forget all tracks and begin to count ids at 1: the next frame is of another video."""
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
        """Find the ids of the persons of the next frame.

        Args:
            boxes: (n, 4) xyxy pixels, after NMS. Unsure detections (from ``low_score`` on) help.
            scores: (n,).
            labels: (n,) classes; a track stays in its class.
            keypoints: (n, K, 2) pixels.
            keypoint_scores: (n, K).
            time: Seconds at which the frame was taken, later than the one before; None: one frame later.
            size: Width and height of the frame, by which people are close to the camera or not; None: nobody is.

        Returns:
            (n,) int64 ids, counted from 1; -1 where a detection is too unsure for a track of its own, or draws a person who is
            close to the camera once more.

        Raises:
            ValueError: If the time is not later than that of the frame before.
        """
        found = _detections(boxes, scores, labels, keypoints, keypoint_scores)
        now = self._advance(time)
        ids = np.full(len(found.scores), -1, dtype=np.int64)
        nobody = np.arange(0)
        if self._tracks is None or not len(self._tracks.ids):
            self._tracks = _new_tracks(found.take(nobody), nobody, now)
        elif not len(ids):
            found = self._tracks.last.take(nobody)  # without persons the number of keypoints may not be known
        pairs, new = self._associate(found, size)
        ids[pairs[:, 1]] = self._tracks.ids[pairs[:, 0]]
        self._continue(found, pairs, now)
        if len(new):
            ids[new] = self._next_id + np.arange(len(new))
            self._next_id += len(new)
            self._tracks = _joined(self._tracks, _new_tracks(found.take(new), ids[new], now))
        return ids

    def forecast(self, seconds: float) -> Forecast:
        """Where the persons of the last frame will be some seconds after it, at constant velocity."""
        if self._tracks is None or self.time is None:
            raise ValueError("nothing can be forecast before the first frame")
        tracks = self._tracks.take(self._tracks.seen == self.time)
        moved = motion.predict(tracks.motion, seconds)
        last = tracks.last
        boxes = last.boxes + np.tile(moved.center - tracks.motion.center, 2)  # as large as seen last, not as on average
        keypoints = moved.center[:, None] + tracks.offsets
        return Forecast(tracks.ids, last.labels, last.scores, boxes, keypoints, last.keypoint_scores)

    def _advance(self, time: float | None) -> float:
        """Move the tracks to the time of the frame, drop those that were not seen for too long."""
        if self.time is None:
            self.time = 0.0 if time is None else float(time)
            return self.time
        now = self.time + 1 / self.fps if time is None else float(time)
        if now <= self.time:
            raise ValueError(f"frames must come in order: {now} s follows {self.time} s")
        if self._tracks is not None:
            tracks = self._tracks
            lost = tracks.seen < self.time
            kept = np.where(lost, (now - tracks.seen <= self.settings.memory) & (tracks.hits > 1), True)
            tracks = tracks if kept.all() else tracks.take(np.flatnonzero(kept))
            self._tracks = tracks._replace(motion=motion.predict(tracks.motion, now - self.time))
        self.time = now
        return now

    def _associate(self, found: _Detections, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        """(p, 2) indices of tracks and their detections, and those of detections of people who have no track yet."""
        assert self._tracks is not None
        tracks, settings = self._tracks, self.settings
        close, free = self._associate_close(found, size)
        free_tracks, pairs = np.ones(len(tracks.ids), dtype=bool), [close]
        free_tracks[close[:, 0]] = False
        sure = found.scores >= settings.high_score
        unsure = ~sure & (found.scores >= settings.low_score)
        stages = (
            (self._similarity, sure, settings.min_similarity),
            (self._similarity, unsure, settings.low_similarity),
            (self._nearness, sure, settings.near_similarity),
        )
        for alike, candidates, minimum in stages:
            rows, columns = np.flatnonzero(free_tracks), np.flatnonzero(free & candidates)
            if len(rows) and len(columns):
                chosen = best_pairs(alike(tracks.take(rows), found.take(columns)), minimum)
                rows, columns = rows[chosen[:, 0]], columns[chosen[:, 1]]
                free_tracks[rows] = free[columns] = False
                pairs.append(np.stack([rows, columns], axis=1))
        return np.concatenate(pairs), np.flatnonzero(free & sure)

    def _associate_close(self, found: _Detections, size: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of people who are close to the camera and drawn more than once, with one detection for each.

        The best pair is taken first, and with its detection go all that draw the same person. Old tracks and high scores
        count more: of two tracks of one person, the younger ends by that.

        Returns:
            (p, 2) indices of tracks and their detections, and (n,) which detections are neither in a pair nor superfluous.
        """
        assert self._tracks is not None
        free, nothing = np.ones(len(found.scores), dtype=bool), np.zeros((0, 2), dtype=np.int64)
        columns = np.arange(0) if size is None else self._close(found, size)
        if len(columns) < 2:
            return nothing, free
        same = self._same(found.take(columns))
        again = same.sum(axis=1) > 1
        if not again.any():
            return nothing, free
        columns, same = columns[again], same[np.ix_(again, again)]
        tracks, several = self._tracks, found.take(columns)
        trust = tracks.hits / (tracks.hits + self.settings.trusted_after)
        alike = self._similarity(tracks, several)
        sure = several.scores >= self.settings.high_score
        enough = alike >= np.where(sure, self.settings.min_similarity, self.settings.low_similarity)
        worth = alike * enough * trust[:, None] * np.sqrt(np.maximum(several.scores, 0))
        pairs = exclusive_pairs(worth * (several.scores >= self.settings.low_score), same)
        gone = same[pairs[:, 1]].any(axis=0)  # the pairs' own, too
        order = np.argsort(-several.scores, kind="stable")
        rest = order[(sure & ~gone)[order]]
        gone[rest[~greedy_survivors(np.triu(same[np.ix_(rest, rest)], 1))]] = True
        free[columns[gone]] = False
        return np.stack([pairs[:, 0], columns[pairs[:, 1]]], axis=1), free

    def _similarity(self, tracks: _Tracks, found: _Detections) -> np.ndarray:
        """(T, n) mean of IoU and OKS with where the tracks are expected, IoU alone where poses are not comparable.

        0 between classes, and where boxes do not touch.
        """
        expected = tracks.motion.center[:, None] + tracks.offsets
        last = tracks.last._replace(boxes=tracks.motion.boxes, keypoints=expected)
        of_one_class = last.labels[:, None] == found.labels
        alike = pairwise_iou(last.boxes, found.boxes) * of_one_class
        rows, columns = np.nonzero(of_one_class & pairwise_touching(last.boxes, found.boxes))
        poses, shared = self._oks(last.take(rows), found.take(columns), self.settings.keypoint_score)
        touching = alike[rows, columns]
        alike[rows, columns] = np.where(shared >= SHARED_KEYPOINTS, (touching + poses) / 2, touching)
        return alike

    def _nearness(self, tracks: _Tracks, found: _Detections) -> np.ndarray:
        """(T, n) IoU of enlarged boxes, 0 between classes."""
        margins = self.settings.margin + self.settings.margin_per_second * (self.time - tracks.seen)
        near = pairwise_iou(_enlarged(tracks.motion.boxes, margins), _enlarged(found.boxes, margins[:, None]))
        return near * (tracks.last.labels[:, None] == found.labels)

    def _close(self, found: _Detections, size: tuple[int, int]) -> np.ndarray:
        """Indices of people who are close to the camera."""
        return np.flatnonzero(box_areas(found.boxes) >= self.settings.close_up * size[0] * size[1])

    def _same(self, found: _Detections) -> np.ndarray:
        """(n, n) which detections draw one person, and not two whose poses are surely others."""
        same = pairwise_iou(found.boxes, found.boxes) >= self.settings.close_overlap
        same &= found.labels[:, None] == found.labels
        rows, columns = np.nonzero(same)
        poses, shared = self._oks(found.take(rows), found.take(columns), SURE_KEYPOINT)
        same[rows, columns] = (shared < SURE_SHARE * max(found.keypoints.shape[1], 1)) | (poses >= OTHER_POSE)
        return same

    def _oks(self, first: _Detections, second: _Detections, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """(p,) OKS of pairs by the keypoints with such scores in both, and their number; both 0 where poses are not compared."""
        if self.sigmas is None or not second.keypoints.shape[1]:
            nothing = np.zeros(len(first.scores))
            return nothing, nothing
        shared = (first.keypoint_scores >= threshold) & (second.keypoint_scores >= threshold)
        areas = np.sqrt(box_areas(first.boxes) * box_areas(second.boxes))
        return oks(first.keypoints, second.keypoints, areas, self.sigmas, shared), shared.sum(-1)

    def _continue(self, found: _Detections, pairs: np.ndarray, now: float) -> None:
        """Put the detections of a frame into their tracks."""
        assert self._tracks is not None
        rows, seen = pairs[:, 0], found.take(pairs[:, 1])
        tracks = self._tracks
        moved = motion.correct(Motion(*(values[rows] for values in tracks.motion)), seen.boxes)
        for old, new in zip((*tracks.motion, *tracks.last), (*moved, *seen)):
            old[rows] = new
        tracks.offsets[rows] = seen.keypoints - moved.center[:, None]
        tracks.seen[rows] = now
        tracks.hits[rows] += 1


def _detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray | None,
    keypoints: np.ndarray | None,
    keypoint_scores: np.ndarray | None,
) -> _Detections:
    n = len(scores)
    points = np.zeros((n, 0, 2)) if keypoints is None else np.asarray(keypoints, dtype=np.float64)
    if keypoint_scores is None:
        keypoint_scores = np.ones(points.shape[:2])
    return _Detections(
        np.asarray(boxes, dtype=np.float64).reshape(n, 4),
        np.asarray(scores, dtype=np.float64),
        np.zeros(n, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64),
        points,
        np.asarray(keypoint_scores, dtype=np.float64),
    )


def _new_tracks(found: _Detections, ids: np.ndarray, now: float) -> _Tracks:
    moved = motion.start(found.boxes)
    offsets = found.keypoints - moved.center[:, None]
    n = len(ids)
    return _Tracks(ids.astype(np.int64), moved, found, offsets, np.full(n, now), np.ones(n, dtype=np.int64))


def _joined(first: _Tracks, second: _Tracks) -> _Tracks:
    def join(a: tuple, b: tuple) -> list[np.ndarray]:
        return [np.concatenate(pair) for pair in zip(a, b)]

    ids, offsets, seen, hits = join(
        (first.ids, first.offsets, first.seen, first.hits), (second.ids, second.offsets, second.seen, second.hits)
    )
    moved, last = Motion(*join(first.motion, second.motion)), _Detections(*join(first.last, second.last))
    return _Tracks(ids, moved, last, offsets, seen, hits)


def _enlarged(boxes: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Boxes (n, 4), each side moved outwards by a share of the box's width or height: (n,), or (m, 1) gives (m, n, 4)."""
    grown = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * margins[..., None]
    return boxes + grown * [-1, -1, 1, 1]
