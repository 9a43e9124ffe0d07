"""Annotations of a COCO-style file as columns: read, checked and filled in once, evaluated as often as needed.

Ids are renumbered (1, 2, 3, ... in ascending order of the original ids), because the evaluation engine and numpy then
agree on them whatever their size was, and because detections of equal score are ranked by ascending image id.
Shape letters: A annotations, I images, C categories, K keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.utils.json_files import read_json


@dataclass(frozen=True)
class GroundTruth:
    """What an evaluation needs to know of an annotation file.

    Attributes:
        name: The file, for messages.
        image_ids: (I,) int64, ascending.
        categories: id -> name, in the file's order.
        ann_ids: (A,) int64.
        image_index: (A,) int64, position in ``image_ids``.
        category_ids: (A,) int64.
        boxes: (A, 4) float64 xywh pixels (the file's form), NaN where the annotation has none.
        areas: (A,) float64 pixels squared, NaN where the annotation has none.
        iscrowd: (A,) bool, ignore regions.
        keypoints: A lists of 3K numbers (x, y, visibility 0/1/2), None where the annotation has none.
        keypoint_names: category id -> names, for the categories that list them.
    """

    name: str
    image_ids: np.ndarray
    categories: dict[int, str]
    ann_ids: np.ndarray
    image_index: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    iscrowd: np.ndarray
    keypoints: list[list[float] | None] = field(repr=False)
    keypoint_names: dict[int, list[str]]

    @classmethod
    def load(cls, source: GroundTruthSource, *, require_annotations: bool = True) -> GroundTruth:
        """Read a file, take a dict in COCO form, or pass through what was loaded before.

        Args:
            source: Path, content, or a ground truth.
            require_annotations: Whether a file without ``annotations`` (test images, to be predicted only) is refused.

        Raises:
            DataError: If the file is missing, is no COCO annotation file, or an annotation cannot be used; the message
                names file and annotation id.
        """
        if isinstance(source, GroundTruth):
            return source
        if isinstance(source, Mapping):
            return _from_dict(source, "annotations", require_annotations)
        return _from_dict(read_json(source, "annotation file"), str(source), require_annotations)

    @property
    def num_keypoints(self) -> int | None:
        """K as the annotations (else the categories) have it, None without any keypoint."""
        lengths = [len(k) // 3 for k in self.keypoints if k] + [len(names) for names in self.keypoint_names.values()]
        return lengths[0] if lengths else None

    def keypoint_categories(self) -> list[int]:
        """Ids of the categories of which at least one annotation has a keypoint list or that list keypoint names."""
        used = {int(c) for c, k in zip(self.category_ids, self.keypoints) if k}
        return sorted(used | {c for c, names in self.keypoint_names.items() if names})

    def rows(self, image_ids: Iterable[int], category_ids: Iterable[int]) -> np.ndarray:
        """(M,) int64, the annotations on some images of some categories."""
        on_image = np.isin(self.image_ids, list(image_ids))[self.image_index]
        return np.flatnonzero(on_image & np.isin(self.category_ids, list(category_ids)))

    def keypoint_table(self, rows: np.ndarray, num_keypoints: int) -> np.ndarray:
        """Keypoints of M annotations.

        Args:
            rows: (M,) annotations.
            num_keypoints: K.

        Returns:
            (M, K, 3) float64; zeros where an annotation has no keypoints.

        Raises:
            DataError: If a list has another length than 3K, or holds NaN or infinity.
        """
        lists = [self.keypoints[row] or [0.0] * (3 * num_keypoints) for row in rows.tolist()]
        for row, values in zip(rows, lists):
            if len(values) != 3 * num_keypoints:
                raise DataError(
                    f"{self.name}: annotation {self.ann_ids[row]} has {len(values)} keypoint numbers, expected "
                    f"{3 * num_keypoints} for {num_keypoints} keypoints"
                )
        table = np.asarray(lists, np.float64).reshape(-1, num_keypoints, 3)
        broken = ~np.isfinite(table).all(axis=(1, 2))
        if broken.any():
            raise DataError(f"{self.name}: annotation {self.ann_ids[rows[broken][0]]} has a keypoint that is no number")
        return table


GroundTruthSource = str | Path | Mapping[str, Any] | GroundTruth


def _from_dict(data: Any, name: str, require_annotations: bool) -> GroundTruth:
    if isinstance(data, Mapping) and "annotations" not in data and not require_annotations:
        data = {**data, "annotations": []}
    missing = [k for k in ("images", "annotations", "categories") if not isinstance(_get(data, k), Sequence)]
    if missing:
        raise DataError(f"{name}: not a COCO annotation file, no list {', '.join(missing)}")
    image_ids = np.sort(_unique_ids(data["images"], name, "image"))
    _unique_ids(data["categories"], name, "category")
    categories = {int(c["id"]): str(c.get("name", c["id"])) for c in data["categories"]}
    known = set(image_ids.tolist())
    anns = [a for a in data["annotations"] if a.get("image_id") in known]
    ann_image_ids = np.asarray([a["image_id"] for a in anns], np.int64)
    ann_ids = _unique_ids(anns, name, "annotation")
    for ann in anns:
        if ann.get("category_id") not in categories:
            raise DataError(f"{name}: annotation {ann['id']} has category_id {ann.get('category_id')}, not in the file")
    return GroundTruth(
        name=name,
        image_ids=image_ids,
        categories=categories,
        ann_ids=ann_ids,
        image_index=np.searchsorted(image_ids, ann_image_ids),
        category_ids=np.asarray([a["category_id"] for a in anns], np.int64),
        boxes=np.asarray([_box(a, name) for a in anns], np.float64).reshape(-1, 4),
        areas=np.asarray([_area(a, name) for a in anns], np.float64),
        iscrowd=np.asarray([bool(a.get("iscrowd", 0)) for a in anns], bool),
        keypoints=[a.get("keypoints") or None for a in anns],
        keypoint_names={int(c["id"]): list(c["keypoints"]) for c in data["categories"] if c.get("keypoints")},
    )


def _get(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, Mapping) else None


def _unique_ids(items: Sequence[Mapping[str, Any]], name: str, what: str) -> np.ndarray:
    """(N,) int64 ids of images or annotations."""
    seen: set[int] = set()
    for item in items:
        key = item.get("id")
        if not isinstance(key, (int, np.integer)) or abs(int(key)) >= 2**63:
            raise DataError(f"{name}: {what} id {key!r} is not an integer of 64 bits")
        if key in seen:
            raise DataError(f"{name}: {what} id {key} occurs twice")
        seen.add(int(key))
    return np.asarray([item["id"] for item in items], np.int64)


def _box(ann: Mapping[str, Any], name: str) -> Sequence[float]:
    box = ann.get("bbox")
    if not box:
        return [math.nan] * 4
    if len(box) != 4 or not all(math.isfinite(v) for v in box):
        raise DataError(f"{name}: annotation {ann['id']} has the bbox {box}, expected four numbers x, y, w, h")
    return box


def _area(ann: Mapping[str, Any], name: str) -> float:
    area = ann.get("area")
    if area is None:
        return math.nan
    if not math.isfinite(area):
        raise DataError(f"{name}: annotation {ann['id']} has the area {area}")
    return float(area)
