"""Merge the instances of one annotation file with the keypoints of another file of the same images.

COCO keeps the boxes of 80 classes in ``instances_*.json`` and the keypoints of people in ``person_keypoints_*.json``.
Shape letters: M instances, P annotations with keypoints, K keypoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from yolox_pose.coco.columns import show
from yolox_pose.coco.problems import Problem
from yolox_pose.coco.records import MERGE_IOU, PoseRecords
from yolox_pose.geometry.boxes import aligned_iou, pairwise_iou

BY_ID, BY_BOX = "keypoint lists matched by annotation id", "keypoint lists matched by box"
UNMATCHED = "keypoint lists without an instance"
WITHOUT_LIST = "people without a keypoint list"
"""Keys of the outcome in the ``counts`` of merged records."""


def merge_keypoints(instances: PoseRecords, people: PoseRecords, *, iou_threshold: float = MERGE_IOU) -> PoseRecords:
    """Give the instances of one file the keypoints that another file has for them.

    An annotation belongs to the instance of the same id. If an id that both files use names different objects (another
    image, another class, boxes that do not touch), the files are numbered independently and no id counts. The remaining
    annotations are matched by boxes on the same image and of the same class. Pairs of greatest IoU come first, and each
    instance and each annotation is matched once.

    Args:
        instances: M boxes of any classes; their own keypoints are not used.
        people: P boxes with keypoints. Its classes, by name, are the classes that have keypoints.
        iou_threshold: Least IoU of a pair that is matched by boxes.

    Returns:
        ``instances`` with the K keypoints of ``people``, unlabeled where there are none, and the outcome in ``counts``.
    """
    # Match the annotations to the instances
    rows = _match_ids(instances, people)
    by_id = int((rows >= 0).sum())
    rows = _match_boxes(instances, people, rows, iou_threshold)
    matched = rows >= 0

    # Copy their keypoints
    keypoints = np.zeros((len(instances.boxes), people.num_keypoints, 2), np.float32)
    visible = np.zeros((len(instances.boxes), people.num_keypoints), np.uint8)
    keypoints[rows[matched]], visible[rows[matched]] = people.keypoints[matched], people.visible[matched]

    # Count the outcome
    names = tuple(name for name in people.classes if name in instances.classes)
    has_keypoints = np.isin(instances.labels, [instances.classes.index(name) for name in names])
    counts = Counter({BY_ID: by_id, BY_BOX: int(matched.sum()) - by_id, UNMATCHED: int((~matched).sum())})
    counts[WITHOUT_LIST] = int(has_keypoints.sum() - matched.sum())
    keypoint_counts = Counter({key: n for key, n in people.counts.items() if key.startswith("keypoint")})
    return replace(
        instances,
        keypoints=keypoints,
        visible=visible,
        counts=instances.counts + counts + keypoint_counts,
        keypoint_classes=names,
    )


def _image_ids(records: PoseRecords) -> np.ndarray:
    """Return the image id of each instance, (M,) int64."""
    return np.repeat(records.image_ids, records.instance_counts)


def _labels_in(instances: PoseRecords, people: PoseRecords) -> np.ndarray:
    """Return the label of each annotation of ``people`` among the classes of ``instances``, (P,) int64, -1 for none."""
    labels = [instances.classes.index(name) if name in instances.classes else -1 for name in people.classes]
    return np.asarray(labels, np.int64)[people.labels]


def _match_ids(instances: PoseRecords, people: PoseRecords) -> np.ndarray:
    """Return the row in ``instances`` with the same annotation id, (P,) int64; -1 for none, and if ids do not agree."""
    rows = np.full(len(people.boxes), -1, np.int64)
    _, instance_rows, people_rows = np.intersect1d(instances.ann_ids, people.ann_ids, return_indices=True)
    same = _image_ids(instances)[instance_rows] == _image_ids(people)[people_rows]
    same &= instances.labels[instance_rows] == _labels_in(instances, people)[people_rows]
    instance_boxes, people_boxes = (
        boxes.astype(np.float64) for boxes in (instances.boxes[instance_rows], people.boxes[people_rows])
    )
    same &= aligned_iou(instance_boxes, people_boxes) > 0
    if same.all():
        rows[people_rows] = instance_rows
    return rows


def _match_boxes(instances: PoseRecords, people: PoseRecords, rows: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Return ``rows`` (P,) with the unmatched ones (-1) matched by the overlap of boxes."""
    # Find the images of unmatched annotations
    rows, labels = rows.copy(), _labels_in(instances, people)
    free = np.ones(len(instances.boxes), bool)
    free[rows[rows >= 0]] = False
    index_of = {image_id: i for i, image_id in enumerate(instances.image_ids.tolist())}
    image_index = np.repeat(np.arange(len(people)), people.instance_counts)
    for i in np.unique(image_index[rows < 0]).tolist():
        image_id = int(people.image_ids[i])
        if image_id not in index_of:
            continue

        # Match those of the image to its free instances
        parts = people.rows(i), instances.rows(index_of[image_id])
        people_rows, instance_rows = (np.arange(part.start, part.stop) for part in parts)
        people_rows, instance_rows = people_rows[rows[people_rows] < 0], instance_rows[free[instance_rows]]
        people_boxes, instance_boxes = people.boxes[people_rows], instances.boxes[instance_rows]
        iou = pairwise_iou(people_boxes.astype(np.float64), instance_boxes.astype(np.float64))
        iou[labels[people_rows, None] != instances.labels[instance_rows]] = 0
        for a, b in _greedy_pairs(iou, iou_threshold):
            rows[people_rows[a]] = instance_rows[b]
    return rows


def _greedy_pairs(iou: np.ndarray, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield row and column of the entries of at least ``threshold``, greatest first, each row and each column once."""
    iou = iou.copy()
    while iou.size:
        i, j = np.unravel_index(int(iou.argmax()), iou.shape)
        if iou[i, j] < threshold:
            return
        yield int(i), int(j)
        iou[i], iou[:, j] = -1, -1


def contradictions(instances: PoseRecords, people: PoseRecords, file: str, keypoint_file: str) -> list[Problem]:
    """Return the images of which two files state another size or another file name.

    Args:
        instances: Records of the first file.
        people: Records of the file with the keypoints.
        file: Name of the first file.
        keypoint_file: Name of the file with the keypoints, which the problems are reported in.
    """
    index_of = {image_id: i for i, image_id in enumerate(instances.image_ids.tolist())}
    problems = []
    for i, image_id in enumerate(people.image_ids.tolist()):
        other = index_of.get(image_id)
        if other is None:
            continue
        names = Path(people.file_name(i)).name, Path(instances.file_name(other)).name
        sizes = people.sizes[i].tolist(), instances.sizes[other].tolist()
        for field, (here, there) in (("file name", names), ("size", sizes)):
            if here != there:
                message = f"{field} is {show(here)}, but {show(there)} in {file}"
                problems.append(Problem(keypoint_file, "image", message, image_id))
    return problems
