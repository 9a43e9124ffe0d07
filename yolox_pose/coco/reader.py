"""The one reader of COCO-format JSON: images, categories and annotations as checked numpy columns.

Training records, the evaluation's ground truth, pictures of annotations and the data commands are built from
:class:`CocoFile`, so that each field is checked in one place and each fault has one message.

Each check looks at one field of all images or annotations at once and notes the problems. Shape letters: I images,
C categories, A annotations, R rows (positions of annotations), K keypoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.coco.columns import (
    Bad,
    integer_column,
    is_absent,
    keypoint_column,
    optional_column,
    optional_rows,
    show,
)
from yolox_pose.coco.problems import Problem
from yolox_pose.errors import DataError
from yolox_pose.utils.json_files import paused_gc, read_json

Entry = Mapping[str, Any]
CocoSource = str | Path | Mapping[str, Any]
"""Path of an annotation file, or its content."""

CONTENT_NAME = "annotations"
"""Name in messages of annotations that come as content, not as a file."""
UNLISTED = -1
"""Index of an image or category that the file does not list."""


class Images(NamedTuple):
    """The image list of a file.

    Attributes:
        entries: I JSON objects in file order. Of images with the same id, the first counts.
        ids: (I,) int64, all different.
        complete: Whether every image has a usable id.
    """

    entries: list[Entry]
    ids: np.ndarray
    complete: bool


class Categories(NamedTuple):
    """The category list of a file.

    Attributes:
        entries: C JSON objects in file order.
        ids: (C,) int64, all different.
        complete: Whether every category has a usable id.
    """

    entries: list[Entry]
    ids: np.ndarray
    complete: bool

    @property
    def names(self) -> list[str]:
        """The C category names; the id stands in for a missing name."""
        return [str(entry.get("name", i)) for entry, i in zip(self.entries, self.ids.tolist())]


class CocoFile(NamedTuple):
    """A COCO-format file, read and checked.

    Attributes:
        name: The file, for messages.
        images: Its images.
        categories: Its categories.
        annotations: Its annotations; their optional fields are checked when they are asked for.
        problems: All problems that were noted until now.
    """

    name: str
    images: Images
    categories: Categories
    annotations: Annotations
    problems: list[Problem]


def read_coco_file(source: CocoSource, *, require_annotations: bool = True, drop_unlisted: bool = False) -> CocoFile:
    """Read a COCO-format file.

    Args:
        source: Path or content.
        require_annotations: Whether a file without ``annotations`` (test images, for predictions alone) is refused.
        drop_unlisted: Whether annotations of images that the file does not list are left out, as COCO's tools do. By
            default they are problems.

    Raises:
        DataError: If the file is missing, is no JSON, or is not a COCO-format dict of lists.
    """
    name = CONTENT_NAME if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_json(source, "annotation file")
    image_list, category_list, annotation_list = _entry_lists(content, name, require_annotations)
    problems: list[Problem] = []
    with paused_gc():
        images = _read_images(image_list, name, problems)
        categories = _read_categories(category_list, name, problems)
        annotations = Annotations(annotation_list, images, categories, name, problems, drop_unlisted=drop_unlisted)
    return CocoFile(name, images, categories, annotations, problems)


def _entry_lists(content: Any, name: str, require_annotations: bool) -> list[list[Entry]]:
    """Return the lists of images, categories and annotations."""
    if not isinstance(content, Mapping):
        raise DataError(f"{name}: not a COCO annotation file: holds a {type(content).__name__}, not an object")
    if "annotations" not in content and not require_annotations:
        content = {**content, "annotations": []}
    for key in ("images", "categories", "annotations"):
        entries = content.get(key)
        if not isinstance(entries, Sequence) or not all(isinstance(entry, (dict, Mapping)) for entry in entries):
            fault = "is missing" if key not in content else "is not a list of objects"
            raise DataError(f"{name}: not a COCO annotation file: {key!r} {fault}")
    return [list(content[key]) for key in ("images", "categories", "annotations")]


def _read_images(entries: list[Entry], name: str, problems: list[Problem]) -> Images:
    ids, bad = integer_column([entry.get("id") for entry in entries])
    for position, reason in bad:
        place = f"image at position {position} ({show(entries[position].get('file_name'))})"
        problems.append(Problem(name, "id", f"{place}: id {reason}"))
    usable = np.setdiff1d(np.arange(len(ids)), [position for position, _ in bad])
    _, first, times = np.unique(ids[usable], return_index=True, return_counts=True)
    kept = usable[np.sort(first)]
    for i in np.flatnonzero(times > 1):
        problems.append(Problem(name, "id", f"image id is used {times[i]} times", int(ids[usable[first[i]]])))
    return Images([entries[i] for i in kept.tolist()], ids[kept], complete=not bad)


def _read_categories(entries: list[Entry], name: str, problems: list[Problem]) -> Categories:
    ids, bad = integer_column([entry.get("id") for entry in entries])
    for position, reason in bad:
        problems.append(Problem(name, "category", f"category at position {position}: id {reason}"))
    usable = np.setdiff1d(np.arange(len(ids)), [position for position, _ in bad])
    values, first, times = np.unique(ids[usable], return_index=True, return_counts=True)
    for category_id in values[times > 1].tolist():
        problems.append(Problem(name, "category", f"category id {category_id} is used twice"))
    kept = usable[np.sort(first)]
    return Categories([entries[i] for i in kept.tolist()], ids[kept], complete=len(kept) == len(entries))


class Annotations:
    """The annotations of a file: ids and flags, checked at once, and boxes, areas and keypoints on demand.

    An annotation with a problem is no longer :attr:`good`, and its further problems are not noted.

    Attributes:
        entries: A JSON objects in file order.
        ids: (A,) int64.
        image_ids: (A,) int64.
        image_index: (A,) int64 positions in the image list, :data:`UNLISTED` where it is not there.
        category_ids: (A,) int64.
        category_index: (A,) int64 positions in the category list, :data:`UNLISTED` where it is not there.
        is_crowd: (A,) bool.
        good: (A,) bool, annotations without a problem.
    """

    def __init__(
        self,
        entries: list[Entry],
        images: Images,
        categories: Categories,
        name: str,
        problems: list[Problem],
        *,
        drop_unlisted: bool,
    ) -> None:
        self._name, self._problems = name, problems

        # Find the image of each annotation
        image_ids, bad_images = integer_column([entry.get("image_id") for entry in entries])
        image_index = _positions(image_ids, images.ids)
        image_index[[position for position, _ in bad_images]] = UNLISTED
        positions = np.arange(len(entries))
        if drop_unlisted:
            positions = positions[image_index != UNLISTED]
            entries = [entries[i] for i in positions.tolist()]
            bad_images = []
        self.entries = entries
        self.image_ids, self.image_index = image_ids[positions], image_index[positions]
        self.good = np.ones(len(entries), dtype=bool)
        self._no_image_id = {position for position, _ in bad_images}

        # Check ids and references
        self.ids, bad_ids = integer_column([entry.get("id") for entry in entries])
        self._report_bad_ids(bad_ids, positions)
        everything = np.arange(len(entries))
        self.report_column(bad_images, everything, "id", "image_id")
        self._report_repeated_ids()
        if images.complete:
            for row in np.flatnonzero(self.image_index == UNLISTED).tolist():
                self.report(row, "id", f"image {self.image_ids[row]} is not in the image list")

        # Check categories and crowd flags
        self.category_ids, bad_categories = integer_column([entry.get("category_id") for entry in entries])
        self.report_column(bad_categories, everything, "category", "category_id")
        self.category_index = _positions(self.category_ids, categories.ids)
        if categories.complete:
            for row in np.flatnonzero(self.category_index == UNLISTED).tolist():
                self.report(row, "category", f"unknown category id {self.category_ids[row]}")
        self.is_crowd = self._crowd_flags()

    def __len__(self) -> int:
        return len(self.entries)

    def report(self, row: int, kind: str, message: str) -> None:
        """Note a problem of the annotation at ``row``, unless it has one already."""
        if self.good[row]:
            image_id = None if row in self._no_image_id else int(self.image_ids[row])
            self._problems.append(Problem(self._name, kind, message, image_id, int(self.ids[row])))
        self.good[row] = False

    def report_column(self, bad: Iterable[Bad], rows: np.ndarray, kind: str, field: str = "") -> None:
        """Note the bad values of a column that was read from the annotations at ``rows``."""
        for position, reason in bad:
            self.report(int(rows[position]), kind, f"{field} {reason}" if field else reason)

    def boxes(self, rows: np.ndarray, *, required: bool) -> np.ndarray:
        """Return the boxes of R annotations.

        Args:
            rows: Positions of the annotations, shape (R,).
            required: Whether an absent box is a problem.

        Returns:
            (R, 4) float64 xywh in pixels, NaN where the annotation has none and zeros where it is bad.
        """
        values = [self.entries[row].get("bbox") for row in rows.tolist()]
        (table, bad), absent = optional_rows(values, 4)
        if required:
            bad = bad + [Bad(i, "is missing") for i in np.flatnonzero(absent).tolist()]
        self.report_column(bad, rows, "box", "bbox")
        table[absent] = np.nan
        return table

    def areas(self, rows: np.ndarray) -> np.ndarray:
        """Return the areas of R annotations as (R,) float64 square pixels, NaN where absent and zero where bad."""
        areas, bad = optional_column([self.entries[row].get("area") for row in rows.tolist()])
        self.report_column(bad, rows, "area", "area")
        return areas

    def has_keypoint_list(self, rows: np.ndarray) -> np.ndarray:
        """Return (R,) bool: whether each annotation has a list of keypoints that is not empty."""
        return np.array([not is_absent(self.entries[row].get("keypoints")) for row in rows.tolist()], dtype=bool)

    def keypoints(self, rows: np.ndarray, num_keypoints: int) -> np.ndarray:
        """Return the keypoints of R annotations as (R, K, 3) float64, zeros where they are absent or bad."""
        column = keypoint_column([self.entries[row].get("keypoints") for row in rows.tolist()], num_keypoints)
        self.report_column(column.bad, rows, "keypoints")
        return column.values

    def _report_bad_ids(self, bad: Iterable[Bad], positions: np.ndarray) -> None:
        """Note annotations that no id can name; ``positions`` (A,) are those in the file."""
        for row, reason in bad:
            self.good[row] = False
            image_id = None if row in self._no_image_id else int(self.image_ids[row])
            message = f"annotation at position {positions[row]}: id {reason}"
            self._problems.append(Problem(self._name, "id", message, image_id))

    def _report_repeated_ids(self) -> None:
        usable = np.flatnonzero(self.good)
        _, first = np.unique(self.ids[usable], return_index=True)
        for row in np.setdiff1d(usable, usable[first]).tolist():
            self.report(row, "id", "annotation id is used twice")

    def _crowd_flags(self) -> np.ndarray:
        flags = [entry.get("iscrowd", 0) or 0 for entry in self.entries]
        for row in [i for i, flag in enumerate(flags) if flag not in (0, 1)]:
            self.report(row, "crowd", f"iscrowd is {show(flags[row])}, not 0 or 1")
        return np.array([flag == 1 for flag in flags], dtype=bool)


def _positions(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return (n,) int64 positions in ``ids`` (all different) of each value, :data:`UNLISTED` where it is not there."""
    if not len(ids):
        return np.full(len(values), UNLISTED, dtype=np.int64)
    order = np.argsort(ids)
    nearest = order[np.minimum(np.searchsorted(ids, values, sorter=order), len(ids) - 1)]
    return np.where(ids[nearest] == values, nearest, UNLISTED)
