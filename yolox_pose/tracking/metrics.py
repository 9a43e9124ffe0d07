"""Tracking metrics: identity switches, MOTA and IDF1 against annotated ids, and handovers without annotations.

Shape letters: n annotated boxes and m detected boxes of a frame. Switches, misses and MOTA follow Bernardin and Stiefelhagen
(EURASIP JIVP 2008), IDF1 follows Ristani et al. (ECCV 2016 workshops).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.boxes import pairwise_iou
from yolox_pose.tracking.assignment import linear_assignment

SAME_PERSON = 0.5
"""Lowest IoU of a detected box with the annotated box, or with an earlier box, of the same person."""


class TrackedFrame(NamedTuple):
    """Annotated and detected persons of a frame.

    Attributes:
        truth_ids: Annotated ids of shape (n,).
        truth_boxes: Annotated boxes of shape (n, 4), xyxy in pixels.
        ids: Track ids of shape (m,).
        boxes: Detected boxes of shape (m, 4), xyxy in pixels.
    """

    truth_ids: np.ndarray
    truth_boxes: np.ndarray
    ids: np.ndarray
    boxes: np.ndarray


class TrackingMetrics(NamedTuple):
    """Metrics of a sequence.

    Attributes:
        people: Number of annotated persons.
        ids: Number of track ids.
        switches: How often a person was detected under another id than the last time.
        fragmentations: How often a person was detected again after frames in which it was missed.
        misses: Number of annotated boxes that were not detected.
        false_alarms: Number of detected boxes without an annotated box.
        mota: 1 - (switches + misses + false alarms) / annotated boxes.
        idf1: F1 score of boxes whose id is the best id of their person over the whole sequence.
    """

    people: int
    ids: int
    switches: int
    fragmentations: int
    misses: int
    false_alarms: int
    mota: float
    idf1: float


def tracking_metrics(frames: Iterable[TrackedFrame], min_iou: float = SAME_PERSON) -> TrackingMetrics:
    """Compute the metrics of track ids against annotated ids.

    Args:
        frames: Frames of a sequence, in order.
        min_iou: Lowest IoU of a match. A match of the previous frame is kept while its IoU stays above this.
    """
    last_ids: dict[int, int] = {}
    missed: set[int] = set()
    overlaps: Counter[tuple[int, int]] = Counter()
    people: set[int] = set()
    ids: set[int] = set()
    num_truths = num_detections = num_matches = switches = fragmentations = 0
    for frame in frames:
        # Match the detected boxes with the annotated ones
        truth_ids, track_ids = frame.truth_ids.tolist(), frame.ids.tolist()
        iou = pairwise_iou(frame.truth_boxes, frame.boxes)
        overlaps.update((truth_ids[i], track_ids[j]) for i, j in np.argwhere(iou >= min_iou).tolist())
        matches = _match(iou, [last_ids.get(person) for person in truth_ids], track_ids, min_iou)

        # Count switches and fragmentations
        for i, j in matches:
            person = truth_ids[i]
            switches += last_ids.get(person, track_ids[j]) != track_ids[j]
            fragmentations += person in missed
            last_ids[person] = track_ids[j]
        matched = {truth_ids[i] for i, _ in matches}
        missed = (missed - matched) | {p for p in truth_ids if p not in matched and p in last_ids}

        # Count boxes, persons and ids
        people.update(truth_ids)
        ids.update(track_ids)
        num_truths += len(truth_ids)
        num_detections += len(track_ids)
        num_matches += len(matches)

    # Combine the counts
    misses, false_alarms = num_truths - num_matches, num_detections - num_matches
    mota = 1 - (switches + misses + false_alarms) / max(num_truths, 1)
    idf1 = 2 * _identity_matches(overlaps) / max(num_truths + num_detections, 1)
    return TrackingMetrics(len(people), len(ids), switches, fragmentations, misses, false_alarms, mota, idf1)


def count_handovers(frames: Iterable[tuple[np.ndarray, np.ndarray]], memory: int, min_iou: float = SAME_PERSON) -> int:
    """Count how often a person seems to change its id, without annotations.

    The boxes of a frame are matched by IoU with the last box of every remembered id. A match of different ids is a handover,
    and the old id is forgotten. The count is correct if people move by less than half of their size while undetected.

    Args:
        frames: Track ids (m,) and boxes (m, 4) of each frame.
        memory: Number of frames for which an id without detections is remembered.
        min_iou: Lowest IoU of a match.
    """
    last_boxes: dict[int, tuple[int, np.ndarray]] = {}
    handovers = 0
    for number, (ids, boxes) in enumerate(frames):
        last_boxes = {track: (when, box) for track, (when, box) in last_boxes.items() if number - when <= memory}
        old_ids, new_ids = list(last_boxes), ids.tolist()
        old_boxes = np.array([last_boxes[track][1] for track in old_ids]).reshape(-1, 4)
        for i, j in _match(pairwise_iou(old_boxes, boxes), old_ids, new_ids, min_iou):
            if old_ids[i] != new_ids[j]:
                handovers += 1
                del last_boxes[old_ids[i]]
        last_boxes.update({track: (number, box) for track, box in zip(new_ids, boxes)})
    return handovers


def _match(iou: np.ndarray, old_ids: Sequence[int | None], new_ids: Sequence[int], min_iou: float) -> list[list[int]]:
    """Match rows and columns: pairs with the same id first, then the pairs that overlap most.

    Args:
        iou: IoU of shape (n, m).
        old_ids: Last ids of the n rows, None for a row without one.
        new_ids: Ids of the m columns.
        min_iou: Lowest IoU of a match.
    """
    same_id = np.array([[old == new for new in new_ids] for old in old_ids]).reshape(iou.shape)
    bonus = 1 + min(iou.shape)  # more than the IoU of all other matches together
    return linear_assignment((iou >= min_iou) * (iou + same_id * bonus), min_iou).tolist()


def _identity_matches(overlaps: Counter[tuple[int, int]]) -> int:
    """Return the most boxes that can agree if each person gets a single id for the whole sequence."""
    if not overlaps:
        return 0
    people, tracks = (sorted({pair[side] for pair in overlaps}) for side in (0, 1))
    counts = np.zeros((len(people), len(tracks)))
    for (person, track), count in overlaps.items():
        counts[people.index(person), tracks.index(track)] = count
    matches = linear_assignment(counts, 1)
    return int(counts[matches[:, 0], matches[:, 1]].sum())
