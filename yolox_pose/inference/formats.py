"""Convert results to plain values: dicts, table rows, COCO entries, YOLO-pose text, OpenPose JSON.

Letters: n persons (or objects), K keypoints. Needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from yolox_pose.coco.label_lines import format_label_line
from yolox_pose.errors import UsageError
from yolox_pose.structures.classes import default_category_ids

if TYPE_CHECKING:
    from yolox_pose.inference.results import PoseResult

COORDINATE_DIGITS, SCORE_DIGITS = 3, 6
"""Decimals in files: a thousandth of a pixel is the precision of the letterbox."""

TABLE_COLUMNS = (
    "image_id", "frame", "time", "person", "track_id", "class", "score", "low_score", "x1", "y1", "x2", "y2",
)  # fmt: skip
"""Columns of a table before x, y and score of every keypoint."""

_COCO_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
_FEET = tuple(f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel"))
OPENPOSE_LAYOUTS: dict[str, tuple[str, ...]] = {
    "body_25": (*_COCO_18[:8], "mid_hip", *_COCO_18[8:], *_FEET),
    "coco": _COCO_18,
}
"""Keypoints of OpenPose's models, in order (doc/02_output.md of OpenPose): BODY_25, its default, and COCO with 18."""

_MIDPOINTS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""Keypoints of OpenPose that lie in the middle of two others."""

_OPENPOSE_EMPTY = (
    "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "pose_keypoints_3d", "face_keypoints_3d",
    "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip
"""Fields of a person in OpenPose's JSON that this model does not fill."""


def keypoint_names(result: PoseResult) -> tuple[str, ...]:
    """Return K different names: the skeleton's, or numbered ones if it has none or uses a name twice."""
    names = () if result.skeleton is None else result.skeleton.names
    count = result.keypoints.shape[1]
    return names if len(set(names)) == count else tuple(f"keypoint_{k}" for k in range(count))


def result_to_dict(result: PoseResult) -> dict[str, Any]:
    """Convert a result to plain values; see :meth:`yolox_pose.inference.results.PoseResult.to_dict`."""
    # Describe the image
    width, height = result.size or (None, None)
    values: dict[str, Any] = {"name": result.name, "path": None if result.path is None else str(result.path)}
    values |= {"width": width, "height": height}
    if result.frame is not None:
        values |= {"frame": result.frame, "time": result.time}

    # Describe the persons
    names, triples = keypoint_names(result), _triples(result)
    detections = []
    for i, has_keypoints in enumerate(result.has_keypoints.tolist()):
        label = int(result.labels[i])
        detection: dict[str, Any] = {"class": result.classes[label], "label": label, "score": _score(result, i)}
        if result.track_ids is not None:
            detection["track_id"] = int(result.track_ids[i])
        if result.low_score is not None:
            detection["low_score"] = bool(result.low_score[i])
        detection["box"] = rounded(result.boxes[i])
        if has_keypoints:
            detection["keypoints"] = dict(zip(names, map(rounded, triples[i])))
        detections.append(detection)
    return {**values, "detections": detections}


def table_columns(result: PoseResult) -> list[str]:
    """Return the column names of a table: :data:`TABLE_COLUMNS`, then x, y and score of every keypoint."""
    keypoints = keypoint_names(result)
    return [*TABLE_COLUMNS, *(f"{name}_{part}" for name in keypoints for part in ("x", "y", "score"))]


def table_rows(result: PoseResult, image_id: int | str | None) -> list[list[Any]]:
    """Return a row for each person, in the order of :func:`table_columns`. Unknown values are None."""
    time = None if result.time is None else round(result.time, 4)
    triples = _triples(result)
    rows = []
    for i in range(len(result)):
        track_id = None if result.track_ids is None else int(result.track_ids[i])
        low_score = None if result.low_score is None else int(result.low_score[i])
        class_name = result.classes[int(result.labels[i])]
        coordinates = [*rounded(result.boxes[i]), *rounded(triples[i])]
        rows.append([image_id, result.frame, time, i, track_id, class_name, _score(result, i), low_score, *coordinates])
    return rows


def coco_entries(
    result: PoseResult,
    image_id: int | str,
    category_ids: Sequence[int] | Mapping[int, int] | None,
    boxes: bool | None,
) -> list[dict[str, Any]]:
    """Convert a result to entries of a COCO results file; see :meth:`yolox_pose.inference.results.PoseResult.to_coco`."""
    # Choose ids and fields
    if category_ids is None:
        category_ids = default_category_ids(result.classes)
    with_boxes = boxes if boxes is not None else result.keypoints.shape[1] == 0 or result.is_joint
    with_keypoints, triples = result.has_keypoints, _triples(result)

    # Build the entries
    entries = []
    for i in range(len(result)):
        entry: dict[str, Any] = {"image_id": image_id, "category_id": int(category_ids[int(result.labels[i])])}
        if with_keypoints[i]:
            entry["keypoints"] = rounded(triples[i])
        if with_boxes:
            x1, y1, x2, y2 = result.boxes[i].astype(np.float64)
            entry["bbox"] = rounded(np.array([x1, y1, x2 - x1, y2 - y1]))
        entry["score"] = _score(result, i)
        if result.track_ids is not None:
            entry["track_id"] = int(result.track_ids[i])
        if result.low_score is not None:
            entry["low_score"] = bool(result.low_score[i])
        entries.append(entry)
    return entries


def yolo_lines(result: PoseResult, size: tuple[int, int], kpt_thr: float) -> list[str]:
    """Return a line of YOLO-pose text for each person; see :meth:`yolox_pose.inference.results.PoseResult.save_txt`."""
    inside = ((result.keypoints >= 0) & (result.keypoints <= size)).all(axis=-1)
    visible = np.where(inside & (result.keypoint_scores >= kpt_thr) & result.has_keypoints[:, None], 2, 0)
    rows = zip(result.labels, result.boxes, result.keypoints, visible)
    return [format_label_line(label, box, keypoints, codes, size) for label, box, keypoints, codes in rows]


def openpose_dict(result: PoseResult, layout: str, kpt_thr: float) -> dict[str, Any]:
    """Convert a result to OpenPose's JSON; see :meth:`yolox_pose.inference.results.PoseResult.to_openpose`.

    Raises:
        UsageError: If the layout is unknown, or the skeleton lacks a keypoint of it.
    """
    # Find the keypoints
    if layout not in OPENPOSE_LAYOUTS:
        raise UsageError(f"unknown OpenPose layout {layout!r}; known: {', '.join(OPENPOSE_LAYOUTS)}")
    names = keypoint_names(result)
    missing = [name for name in _COCO_18 if name not in _MIDPOINTS and name not in names]
    if missing:
        raise UsageError(f"OpenPose's layouts need COCO's keypoints; this skeleton has no {missing[0]}")

    # Build the persons
    people = []
    for i in np.flatnonzero(result.has_keypoints).tolist():
        confident = result.keypoint_scores[i] >= kpt_thr
        points = dict(zip(names, np.where(confident[:, None], _triples(result)[i], 0.0)))
        for name, (left, right) in _MIDPOINTS.items():
            points[name] = _middle(points[left], points[right])
        pose = np.array([points.get(name, np.zeros(3)) for name in OPENPOSE_LAYOUTS[layout]])
        person_id = -1 if result.track_ids is None else int(result.track_ids[i])
        empty: dict[str, list[float]] = {name: [] for name in _OPENPOSE_EMPTY}
        people.append({"person_id": [person_id], "pose_keypoints_2d": rounded(pose), **empty})
    return {"version": 1.3, "people": people}


def rounded(values: np.ndarray) -> list[float]:
    """Return coordinates as a flat list of rounded numbers."""
    return [round(float(v), COORDINATE_DIGITS) for v in values.ravel()]


def _middle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the middle of two keypoints (x, y, score) with the lower score, or zeros if one is missing."""
    if not first[2] or not second[2]:
        return np.zeros(3)
    return np.array([*(first[:2] + second[:2]) / 2, min(first[2], second[2])])


def _score(result: PoseResult, i: int) -> float:
    return round(float(result.scores[i]), SCORE_DIGITS)


def _triples(result: PoseResult) -> np.ndarray:
    """Return x, y and score of the keypoints, (n, K, 3) float64."""
    return np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1).astype(np.float64)
