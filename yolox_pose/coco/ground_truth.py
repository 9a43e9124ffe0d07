"""Ground truth of an evaluation or of pictures: the annotations of a COCO-format file as numpy columns.

Images are in ascending order of their ids, because detections of equal score are ranked by ascending image id. Shape
letters: A annotations, I images, R rows (positions of annotations), K keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.coco.columns import is_absent, keypoint_column
from yolox_pose.coco.problems import Problem, first_problem
from yolox_pose.coco.reader import CocoFile, read_coco_file


@dataclass(frozen=True)
class GroundTruth:
    """Annotations that detections are compared with.

    Attributes:
        name: The file, for messages.
        image_ids: Image ids of shape (I,), int64, ascending.
        file_names: I file names, empty where an image has none.
        categories: Category names by id, in the file's order.
        ann_ids: Annotation ids of shape (A,), int64.
        image_index: Position of each annotation's image in ``image_ids``, shape (A,), int64.
        category_ids: Category ids of shape (A,), int64.
        boxes: Boxes of shape (A, 4), float64, xywh in pixels (the file's form), NaN where the annotation has none.
        areas: Areas of shape (A,), float64, in square pixels, NaN where the annotation has none.
        iscrowd: Flags of ignore regions, shape (A,), bool.
        keypoints: A lists of 3K numbers (x, y, visibility 0/1/2), None where the annotation has none.
        keypoint_names: Keypoint names by category id, for the categories that list them.
    """

    name: str
    image_ids: np.ndarray
    file_names: list[str] = field(repr=False)
    categories: dict[int, str]
    ann_ids: np.ndarray
    image_index: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    iscrowd: np.ndarray
    keypoints: list[Sequence[float] | None] = field(repr=False)
    keypoint_names: dict[int, list[str]]

    @classmethod
    def load(cls, source: GroundTruthSource, *, require_annotations: bool = True) -> GroundTruth:
        """Read a file or the content of a file; a ground truth is returned as it is.

        Args:
            source: Path, content, or ground truth.
            require_annotations: Whether a file without ``annotations`` (test images, for predictions alone) is refused.

        Raises:
            DataError: If the file is missing, is no COCO annotation file, or an annotation cannot be used. The message
                names file and annotation id.
        """
        if isinstance(source, GroundTruth):
            return source
        file = read_coco_file(source, require_annotations=require_annotations, drop_unlisted=True)
        return _from_file(file)

    @property
    def num_keypoints(self) -> int | None:
        """K of the annotations, else of the categories; None without any keypoint."""
        lengths = [len(values) // 3 for values in self.keypoints if isinstance(values, Sized)]
        lengths += [len(names) for names in self.keypoint_names.values()]
        return lengths[0] if lengths else None

    @cached_property
    def ids_by_file_name(self) -> dict[str, int]:
        """Image ids by file name without its folder."""
        return {Path(name).name: image_id for name, image_id in zip(self.file_names, self.image_ids.tolist()) if name}

    def keypoint_categories(self) -> list[int]:
        """Return the ids of the categories that name keypoints or have an annotation with a keypoint list."""
        used = {int(c) for c, values in zip(self.category_ids, self.keypoints) if values is not None}
        return sorted(used | set(self.keypoint_names))

    def ids_of_classes(self, classes: Sequence[str]) -> list[int]:
        """Return the category id of each class.

        Classes are found by name where the file has all of them. Otherwise they take the file's ids in ascending order,
        or 1, 2, 3, ... if their numbers differ.
        """
        ids = {name: category_id for category_id, name in self.categories.items()}
        if all(name in ids for name in classes):
            return [ids[name] for name in classes]
        ascending = sorted(ids.values())
        return ascending if len(ascending) == len(classes) else list(range(1, len(classes) + 1))

    def rows(self, image_ids: Iterable[int], category_ids: Iterable[int]) -> np.ndarray:
        """Return the annotations on some images of some categories, (R,) int64."""
        on_image = np.isin(self.image_ids, list(image_ids))[self.image_index]
        return np.flatnonzero(on_image & np.isin(self.category_ids, list(category_ids)))

    def keypoint_table(self, rows: np.ndarray, num_keypoints: int) -> np.ndarray:
        """Return the keypoints of R annotations.

        Args:
            rows: Positions of the annotations, shape (R,).
            num_keypoints: K, the number of keypoints of the skeleton.

        Returns:
            (R, K, 3) float64; zeros where an annotation has no keypoints.

        Raises:
            DataError: If a list has another length than 3K, or holds anything but finite numbers.
        """
        table, bad = keypoint_column([self.keypoints[row] for row in rows.tolist()], num_keypoints)
        if bad:
            raise first_problem([self._problem(int(rows[i]), "keypoints", reason) for i, reason in bad])
        return table

    def boxes_or_extents(self, rows: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Return the boxes of R annotations, (R, 4) xywh; an absent box is the extent of the labeled keypoints.

        Args:
            rows: Positions of the annotations, shape (R,).
            keypoints: Their keypoints, shape (R, K, 3).

        Returns:
            Boxes; NaN where an annotation has neither a box nor labeled keypoints.
        """
        boxes = self.boxes[rows]
        labeled = keypoints[..., 2] > 0
        for i in np.flatnonzero(np.isnan(boxes).any(axis=1) & labeled.any(axis=1)):
            points = keypoints[i, labeled[i], :2]
            boxes[i] = [*points.min(axis=0), *np.ptp(points, axis=0)]
        return boxes

    def check_boxes(self, rows: np.ndarray, boxes: np.ndarray, fault: str) -> None:
        """Refuse annotations without a box.

        Args:
            rows: Positions of the annotations, shape (R,).
            boxes: Their boxes, shape (R, 4), NaN where there is none.
            fault: Message for the first of them.

        Raises:
            DataError: If a box is NaN.
        """
        absent = np.isnan(boxes).any(axis=1)
        if absent.any():
            raise first_problem([self._problem(row, "box", fault) for row in rows[absent].tolist()])

    def _problem(self, row: int, kind: str, message: str) -> Problem:
        image_id = int(self.image_ids[self.image_index[row]])
        return Problem(self.name, kind, message, image_id, int(self.ann_ids[row]))


GroundTruthSource = str | Path | Mapping[str, Any] | GroundTruth


def _from_file(file: CocoFile) -> GroundTruth:
    """Build the ground truth, or raise the first problem."""
    # Read the columns
    annotations, images = file.annotations, file.images
    everything = np.arange(len(annotations))
    boxes, areas = annotations.boxes(everything, required=False), annotations.areas(everything)
    if file.problems:
        raise first_problem(file.problems)

    # Sort the images by their ids
    order = np.argsort(images.ids)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    names = [images.entries[i].get("file_name") for i in order.tolist()]

    # Collect the keypoints of categories and annotations
    stated = {i: entry.get("keypoints") for i, entry in zip(file.categories.ids.tolist(), file.categories.entries)}
    lists = [entry.get("keypoints") for entry in annotations.entries]
    return GroundTruth(
        name=file.name,
        image_ids=images.ids[order],
        file_names=[name if isinstance(name, str) else "" for name in names],
        categories=dict(zip(file.categories.ids.tolist(), file.categories.names)),
        ann_ids=annotations.ids,
        image_index=rank[annotations.image_index],
        category_ids=annotations.category_ids,
        boxes=boxes,
        areas=areas,
        iscrowd=annotations.is_crowd,
        keypoints=[None if is_absent(values) else values for values in lists],
        keypoint_names={i: list(names) for i, names in stated.items() if isinstance(names, Sequence) and names},
    )
