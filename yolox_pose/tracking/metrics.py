"""How well ids stay with people: against annotated ids, and by themselves where there is no annotation.

Letters: n true boxes and m found ones of a frame. Switches, misses and MOTA are those of Bernardin and Stiefelhagen (EURASIP
JIVP 2008), IDF1 is that of Ristani et al. (ECCV 2016 workshops).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.similarity import pairwise_iou
from yolox_pose.tracking.assignment import best_pairs

SAME_PERSON = 0.5
"""IoU from which a found box is a true one, or one of a later frame the same person's."""


class TrackedFrame(NamedTuple):
    """Annotated and found persons of a frame."""

    truth_ids: np.ndarray  # (n,)
    truth_boxes: np.ndarray  # (n, 4) xyxy
    ids: np.ndarray  # (m,)
    boxes: np.ndarray  # (m, 4)


class Identities(NamedTuple):
    """Figures of a sequence.

    Attributes:
        people: Annotated persons.
        ids: Ids that were given.
        switches: Times that a person was found under another id than the last time.
        fragmentations: Times that a person was found again after frames in which it was missed.
        misses: Annotated boxes that were not found.
        false_alarms: Found boxes that are none.
        mota: 1 - (switches + misses + false alarms) / annotated boxes.
        idf1: F1 score of boxes whose id is the one that fits their person best over the whole sequence.
    """

    people: int
    ids: int
    switches: int
    fragmentations: int
    misses: int
    false_alarms: int
    mota: float
    idf1: float


def measure_identities(frames: Iterable[TrackedFrame], min_iou: float = SAME_PERSON) -> Identities:
    """Compare found ids with annotated ones.

    Args:
        frames: In order.
        min_iou: IoU from which a found box is a true one. A pair of the frame before stays one while its IoU is enough.
    """
    last: dict[int, int] = {}
    missed: set[int] = set()
    overlaps: Counter[tuple[int, int]] = Counter()
    people, ids = set(), set()
    truths = found = matches = switches = fragmentations = 0
    for frame in frames:
        truth_ids, found_ids = frame.truth_ids.tolist(), frame.ids.tolist()
        iou = pairwise_iou(frame.truth_boxes, frame.boxes)
        overlaps.update((truth_ids[i], found_ids[j]) for i, j in np.argwhere(iou >= min_iou).tolist())
        pairs = _pairs(iou, [last.get(person) for person in truth_ids], found_ids, min_iou)
        for i, j in pairs:
            person = truth_ids[i]
            switches += last.get(person, found_ids[j]) != found_ids[j]
            fragmentations += person in missed
            last[person] = found_ids[j]
        matched = {truth_ids[i] for i, _ in pairs}
        missed = (missed - matched) | {person for person in truth_ids if person not in matched and person in last}
        people.update(truth_ids)
        ids.update(found_ids)
        truths, found, matches = truths + len(truth_ids), found + len(found_ids), matches + len(pairs)
    misses, alarms = truths - matches, found - matches
    mota = 1 - (switches + misses + alarms) / max(truths, 1)
    idf1 = 2 * _identity_matches(overlaps) / max(truths + found, 1)
    return Identities(len(people), len(ids), switches, fragmentations, misses, alarms, mota, idf1)


def _pairs(iou: np.ndarray, before: Sequence[int | None], ids: Sequence[int], min_iou: float) -> list[list[int]]:
    """Rows and columns that are one person: first those of one id, then those that overlap most.

    Args:
        iou: (n, m).
        before: Last ids of the n rows, None where there is none.
        ids: Of the m columns.
        min_iou: Of a pair.
    """
    stays = np.array([[old == new for new in ids] for old in before]).reshape(iou.shape)
    return best_pairs((iou >= min_iou) * (iou + stays * (1 + min(iou.shape))), min_iou).tolist()


def _identity_matches(overlaps: Counter[tuple[int, int]]) -> int:
    """Most boxes that can agree if each person is given one id for the whole sequence."""
    if not overlaps:
        return 0
    rows, columns = (sorted({pair[side] for pair in overlaps}) for side in (0, 1))
    counts = np.zeros((len(rows), len(columns)))
    for (person, track), count in overlaps.items():
        counts[rows.index(person), columns.index(track)] = count
    chosen = best_pairs(counts, 1)
    return int(counts[chosen[:, 0], chosen[:, 1]].sum())


def count_handovers(frames: Iterable[tuple[np.ndarray, np.ndarray]], memory: int, min_iou: float = SAME_PERSON) -> int:
    """Count how often a person seems to change its id, without annotation.

    The boxes of a frame are paired by IoU with the last box of every id seen before; a pair of different ids is a handover,
    after which the old id is forgotten. It is right where people move by less than half of their size while they are not seen.

    Args:
        frames: (m,) ids and (m, 4) boxes of each frame.
        memory: Frames for which an id is remembered that is not seen.
        min_iou: Of a pair.
    """
    seen: dict[int, tuple[int, np.ndarray]] = {}
    handovers = 0
    for number, (ids, boxes) in enumerate(frames):
        seen = {track: (when, box) for track, (when, box) in seen.items() if number - when <= memory}
        before, now = list(seen), ids.tolist()
        last = np.array([seen[track][1] for track in before]).reshape(-1, 4)
        for i, j in _pairs(pairwise_iou(last, boxes), before, now, min_iou):
            if before[i] != now[j]:
                handovers += 1
                del seen[before[i]]
        seen.update({track: (number, box) for track, box in zip(now, boxes)})
    return handovers
