"""Instances of many classes and the keypoints of some of them, out of two annotation files of the same images.

COCO keeps the boxes of 80 classes in ``instances_*.json`` and the keypoints of people in ``person_keypoints_*.json``.
Numpy alone. Shape letters: M instances, P annotations with keypoints, K keypoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from yolox_pose.coco.columns import show
from yolox_pose.coco.records import MERGE_IOU, PoseRecords, Problem

BY_ID, BY_BOX = "keypoint lists matched by annotation id", "keypoint lists matched by box"
UNMATCHED = "keypoint lists without an instance"
WITHOUT_LIST = "people without a keypoint list"
"""What ``counts`` of merged records call the outcome."""


def merge_keypoints(instances: PoseRecords, people: PoseRecords, *, iou_threshold: float = MERGE_IOU) -> PoseRecords:
    """Give the instances of one file the keypoints that another file has for them.

    An annotation belongs to the instance of the same id. Where ids that both files use are of different objects (another
    image, another class, boxes that do not touch), the files are numbered independently and ids mean nothing. What ids
    leave is matched by boxes: on the same image and of the same class, the pairs of greatest IoU first, each instance and
    each annotation once.

    Args:
        instances: M boxes of any classes; keypoints that it has are not used.
        people: P boxes with keypoints. Its classes, by name, are the classes that have keypoints.
        iou_threshold: Least IoU of a pair that is matched by boxes.

    Returns:
        ``instances`` with the K keypoints of ``people``, unlabelled where there are none, and the outcome in ``counts``.
    """
    rows = _match_ids(instances, people)
    by_id = int((rows >= 0).sum())
    rows = _match_boxes(instances, people, rows, iou_threshold)
    matched = rows >= 0
    keypoints = np.zeros((len(instances.boxes), people.num_keypoints, 2), np.float32)
    visible = np.zeros((len(instances.boxes), people.num_keypoints), np.uint8)
    keypoints[rows[matched]], visible[rows[matched]] = people.keypoints[matched], people.visible[matched]
    names = tuple(name for name in people.classes if name in instances.classes)
    posed = np.isin(instances.labels, [instances.classes.index(name) for name in names])
    counts = Counter({BY_ID: by_id, BY_BOX: int(matched.sum()) - by_id, UNMATCHED: int((~matched).sum())})
    counts[WITHOUT_LIST] = int(posed.sum() - matched.sum())
    keypoint_counts = Counter({what: n for what, n in people.counts.items() if what.startswith("keypoint")})
    return replace(
        instances,
        keypoints=keypoints,
        visible=visible,
        counts=instances.counts + counts + keypoint_counts,
        keypoint_classes=names,
    )


def _image_ids(records: PoseRecords) -> np.ndarray:
    """(M,) int64 image id of each instance."""
    return np.repeat(records.image_ids, records.instance_counts)


def _labels_in(instances: PoseRecords, people: PoseRecords) -> np.ndarray:
    """(P,) int64 label that the class of each annotation of ``people`` has in ``instances``, -1 where it has none."""
    labels = [instances.classes.index(name) if name in instances.classes else -1 for name in people.classes]
    return np.asarray(labels, np.int64)[people.labels]


def _match_ids(instances: PoseRecords, people: PoseRecords) -> np.ndarray:
    """(P,) row in ``instances`` of the same annotation id, -1 where there is none, and everywhere if ids mean nothing."""
    rows = np.full(len(people.boxes), -1, np.int64)
    _, common, own = np.intersect1d(instances.ann_ids, people.ann_ids, return_indices=True)
    same = (_image_ids(instances)[common] == _image_ids(people)[own]) & (
        instances.labels[common] == _labels_in(instances, people)[own]
    )
    same &= _aligned_iou(instances.boxes[common], people.boxes[own]) > 0
    if same.all():
        rows[own] = common
    return rows


def _match_boxes(instances: PoseRecords, people: PoseRecords, rows: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Fill the gaps (-1) of the (P,) ``rows`` by the overlap of boxes."""
    rows, labels = rows.copy(), _labels_in(instances, people)
    free = np.ones(len(instances.boxes), bool)
    free[rows[rows >= 0]] = False
    index_of = {image_id: i for i, image_id in enumerate(instances.image_ids.tolist())}
    image_index = np.repeat(np.arange(len(people)), people.instance_counts)
    for i in np.unique(image_index[rows < 0]).tolist():
        image_id = int(people.image_ids[i])
        if image_id not in index_of:
            continue
        parts = people.rows(i), instances.rows(index_of[image_id])
        own, theirs = (np.arange(part.start, part.stop) for part in parts)
        own, theirs = own[rows[own] < 0], theirs[free[theirs]]
        iou = _pairwise_iou(people.boxes[own], instances.boxes[theirs])
        iou[labels[own, None] != instances.labels[theirs]] = 0
        for a, b in _greedy_pairs(iou, iou_threshold):
            rows[own[a]] = theirs[b]
    return rows


def _greedy_pairs(iou: np.ndarray, threshold: float) -> Iterator[tuple[int, int]]:
    """Row and column of the entries from ``threshold`` on, the greatest first, each row and each column once."""
    iou = iou.copy()
    while iou.size:
        i, j = np.unravel_index(int(iou.argmax()), iou.shape)
        if iou[i, j] < threshold:
            return
        yield int(i), int(j)
        iou[i], iou[:, j] = -1, -1


def _aligned_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 4) and (..., 4) xyxy boxes that broadcast to their (...) float64 IoU."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    common = sides.prod(-1)
    total = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return common / (total - common)


def _pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, 4) and (m, 4) xyxy boxes to (n, m) IoU."""
    return _aligned_iou(a[:, None], b[None])


def contradictions(instances: PoseRecords, people: PoseRecords, file: str, keypoint_file: str) -> list[Problem]:
    """What two files of the same images say differently of an image: its size or the name of its file."""
    index_of = {image_id: i for i, image_id in enumerate(instances.image_ids.tolist())}
    problems = []
    for i, image_id in enumerate(people.image_ids.tolist()):
        other = index_of.get(image_id)
        if other is None:
            continue
        names = Path(people.file_name(i)).name, Path(instances.file_name(other)).name
        sizes = people.sizes[i].tolist(), instances.sizes[other].tolist()
        for what, (own, theirs) in (("file name", names), ("size", sizes)):
            if own != theirs:
                message = f"{what} is {show(own)}, but {show(theirs)} in {file}"
                problems.append(Problem(keypoint_file, "image", message, image_id))
    return problems
