"""Reading a COCO-format JSON file into :class:`~yolox_pose.coco.records.PoseRecords`.

Each ``_check_*`` function looks at one field of all images or annotations at once, notes what is wrong in a
:class:`_Report` and returns the values; rows with a problem hold zeros and are left out of the records.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.coco.columns import Bad, integer_column, number_column, number_rows, show
from yolox_pose.coco.records import PackedBytes, PoseRecords, Problem, ReadOptions
from yolox_pose.coco.rle import crowd_rle, merge_rles
from yolox_pose.errors import DataError
from yolox_pose.structures.constants import AREA_PER_BOX
from yolox_pose.utils.json_files import read_json

BOX_ROUNDING = 0.01
"""Pixels beyond the image that are not even worth counting: COCO writes boxes with two decimals."""


class _Report:
    """Problems of one file, and which of its annotations are still good."""

    def __init__(self, file: str, num_annotations: int) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.counts: Counter = Counter()
        self.good = np.ones(num_annotations, dtype=bool)
        self.ann_ids = self.image_ids = np.zeros(num_annotations, dtype=np.int64)
        self.no_image: set[int] = set()

    def whole_file(self, kind: str, message: str) -> None:
        self.problems.append(Problem(self.file, kind, message))

    def image(self, kind: str, message: str, image_id: int) -> None:
        self.problems.append(Problem(self.file, kind, message, image_id))

    def annotation(self, row: int, kind: str, message: str) -> None:
        """Note a problem of annotation ``row``, unless it has one already."""
        if self.good[row]:
            image_id = None if row in self.no_image else int(self.image_ids[row])
            self.problems.append(Problem(self.file, kind, message, image_id, int(self.ann_ids[row])))
        self.good[row] = False

    def column(self, bad: Iterable[Bad], rows: np.ndarray, kind: str, name: str) -> None:
        """Note the bad values of a column that was taken from annotations ``rows``."""
        for position, reason in bad:
            self.annotation(int(rows[position]), kind, f"{name} {reason}")


def parse_annotations(ann_file: str | Path, options: ReadOptions) -> tuple[PoseRecords | None, list[Problem]]:
    """Read an annotation file and everything that is wrong in it.

    Returns:
        The records of what is right (None where the problems leave nothing to build them from) and the problems.

    Raises:
        DataError: If the file is missing, is no JSON, or is not a COCO-format dict of lists.
    """
    content = read_coco_json(ann_file)
    annotations = content["annotations"]
    report = _Report(str(ann_file), len(annotations))
    if not annotations and options.require_annotations:
        report.whole_file("file", "the annotation list is empty")
    images = _check_images(content["images"], options, report)
    label_of, classes = _check_categories(content["categories"], annotations, options, report)
    if images is None or label_of is None:
        return None, report.problems
    return _build(images, annotations, label_of, classes, options, report), report.problems


def read_coco_json(path: str | Path) -> dict[str, list[dict]]:
    """The lists ``images``, ``annotations`` and ``categories`` of a COCO-format file.

    Raises:
        DataError: If the file is missing, is no JSON, or one of the lists is not a list of objects.
    """
    content = read_json(path, "annotation file")
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a COCO annotation file: holds a {type(content).__name__}, not an object")
    for key in ("images", "annotations", "categories"):
        values = content.setdefault(key, []) if key == "annotations" else content.get(key)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            found = "is missing" if key not in content else "is not a list of objects"
            raise DataError(f"{path}: not a COCO annotation file: {key!r} {found}")
    return content


class _Images:
    """The images of a file: ids, sizes, names, and the index of each id."""

    def __init__(self, ids: np.ndarray, sizes: np.ndarray, names: list[str]) -> None:
        self.ids, self.sizes, self.names = ids, sizes, names
        self.index_of = {image_id: i for i, image_id in enumerate(ids.tolist())}


def _check_images(images: list[dict], options: ReadOptions, report: _Report) -> _Images | None:
    """Ids, sizes and files of the images; None if there are none or their ids cannot be used."""
    if not images:
        report.whole_file("file", "the image list is empty")
        return None
    ids, bad = integer_column([image.get("id") for image in images])
    for position, reason in bad:
        report.whole_file(
            "id", f"image at position {position} ({show(images[position].get('file_name'))}): id {reason}"
        )
    if bad:
        return None
    values, first, number = np.unique(ids, return_index=True, return_counts=True)
    for image_id, times in zip(values[number > 1].tolist(), number[number > 1].tolist()):
        report.image("id", f"image id is used {times} times", image_id)
    images, ids = [images[i] for i in np.sort(first)], ids[np.sort(first)]
    names = []
    for image_id, name in zip(ids.tolist(), (image.get("file_name") for image in images)):
        if not isinstance(name, str) or not name:
            report.image("image", f"file_name is {show(name)}, not a name", image_id)
        names.append(name if isinstance(name, str) else "")
    _check_files(ids, names, options.image_root, report)
    return _Images(ids, _check_sizes(images, ids, names, options.image_root, report), names)


def _check_sizes(
    images: list[dict], ids: np.ndarray, names: list[str], root: Path | None, report: _Report
) -> np.ndarray:
    """(N, 2) int32 widths and heights; those that the file does not state are read from the image headers."""
    pairs = [[image.get("width"), image.get("height")] for image in images]
    for i, pair in enumerate(pairs):
        if pair == [None, None] and root is not None and names[i]:
            pairs[i] = _header_size(root / names[i])
    sizes, bad = number_rows(pairs, 2)
    for position, reason in bad:
        report.image("image", f"width and height {show(pairs[position])}: {reason}", int(ids[position]))
    wrong = (sizes < 1).any(axis=1) | (sizes != np.round(sizes)).any(axis=1) | (sizes > 2**20).any(axis=1)
    wrong[[position for position, _ in bad]] = False
    for row in np.flatnonzero(wrong).tolist():
        report.image("image", f"width and height {show(pairs[row])} are not whole positive numbers", int(ids[row]))
    sizes[wrong] = 0
    return sizes.astype(np.int32)


def _header_size(path: Path) -> list[int | None]:
    """Width and height in the header of an image file, [None, None] where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return list(image.size)
    except (OSError, ValueError):
        return [None, None]


def _check_files(ids: np.ndarray, names: list[str], root: Path | None, report: _Report) -> None:
    """Report images whose files do not exist; each folder is listed once instead of asking for every file."""
    if root is None:
        return
    by_folder = defaultdict(list)
    for image_id, name in zip(ids.tolist(), names):
        if name:
            by_folder[os.path.dirname(os.path.join(root, name))].append((os.path.basename(name), image_id))
    for folder, members in by_folder.items():
        try:
            present = set(os.listdir(folder))
        except OSError:
            present = set()
        for name, image_id in members:
            if name not in present:
                report.image("missing_file", f"image file not found: {os.path.join(folder, name)}", image_id)


def _check_categories(
    categories: list[dict], annotations: list[dict], options: ReadOptions, report: _Report
) -> tuple[dict[int, int] | None, tuple[str, ...]]:
    """Map category ids to labels.

    Returns:
        Labels by category id, with -1 for categories that are to be ignored, and the class names; None for the labels
        if the categories cannot be used.
    """
    ids, bad = integer_column([category.get("id") for category in categories])
    for position, reason in bad:
        report.whole_file("category", f"category at position {position}: id {reason}")
    names = [name for name in (category.get("name") for category in categories) if isinstance(name, str)]
    if not categories:
        report.whole_file("category", "the category list is empty")
    if len(names) < len(categories):
        report.whole_file("category", "a category has no name")
    elif len(set(names)) < len(names) or len(set(ids.tolist())) < len(names):
        report.whole_file("category", "a category id or name is used twice")
    if any(problem.kind == "category" for problem in report.problems):
        return None, ()
    classes = tuple(names) if options.classes is None else options.classes
    absent = [name for name in classes if name not in names]
    if absent:
        report.whole_file("category", f"class {absent[0]!r} is not among the file's categories {show(names, 80)}")
        return None, classes
    unknown = [name for name in options.keypoint_classes or () if name not in classes]
    if unknown:
        report.whole_file("category", f"class {unknown[0]!r} of keypoint_classes is not among {show(classes, 80)}")
        return None, classes
    label_of = {i: classes.index(name) if name in classes else -1 for i, name in zip(ids.tolist(), names)}
    _check_other_categories(dict(zip(ids.tolist(), names)), label_of, annotations, options, report)
    _check_category_keypoints(categories, label_of, annotations, options, report)
    return label_of, classes


def _check_other_categories(
    names: Mapping[int, str], label_of: dict[int, int], annotations: list[dict], options: ReadOptions, report: _Report
) -> None:
    """Report annotations of categories that the config does not have, unless they are to be ignored."""
    if options.other_categories == "ignore" or min(label_of.values()) >= 0:
        return
    used = Counter(_hashable(annotation.get("category_id")) for annotation in annotations)
    for category_id, name in names.items():
        if label_of[category_id] < 0 and used[category_id]:
            report.whole_file(
                "category",
                f"category {name!r} (id {category_id}, {used[category_id]} annotations) is not among the config's "
                f"classes {list(options.classes or ())}; add it, or set other_categories='ignore'",
            )


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (int, str, float, type(None))) else show(value)


def _check_category_keypoints(
    categories: list[dict], label_of: dict[int, int], annotations: list[dict], options: ReadOptions, report: _Report
) -> None:
    """Report categories that have no keypoints, or another number of them than the skeleton."""
    if not options.num_keypoints:
        return
    for category in categories:
        if label_of[category["id"]] < 0 or not options.has_keypoints(category["name"]):
            continue
        what, names = f"category {category['name']!r} (id {category['id']})", category.get("keypoints")
        if not names and annotations and not _any_keypoints(annotations, category["id"]):
            report.whole_file(
                "category",
                f"{what} has no keypoints, the skeleton has {options.num_keypoints}; if it should have none, name the "
                "classes that have keypoints in keypoint_classes",
            )
        elif isinstance(names, list) and names and len(names) != options.num_keypoints:
            report.whole_file(
                "category", f"{what} has {len(names)} keypoints, the skeleton has {options.num_keypoints}"
            )


def _any_keypoints(annotations: list[dict], category_id: int) -> bool:
    return any(a.get("keypoints") and a.get("category_id") == category_id for a in annotations)


def _build(
    images: _Images,
    annotations: list[dict],
    label_of: dict[int, int],
    classes: tuple[str, ...],
    options: ReadOptions,
    report: _Report,
) -> PoseRecords:
    """Check the annotations field by field and pack those that are good."""
    rows, image_index, labels, is_crowd = _check_references(images, annotations, label_of, report)
    sizes = images.sizes[image_index]
    people = rows[~is_crowd[rows]]
    boxes = _check_boxes(annotations, people, sizes, options.box_tolerance, report)
    posed = np.array([options.has_keypoints(name) for name in classes], dtype=bool)[labels[people]]
    keypoints = _check_keypoints(annotations, people, posed, sizes, options.num_keypoints, report)
    areas = _check_areas(annotations, people, boxes, report)
    crowds = _check_crowds(annotations, rows[is_crowd[rows]], image_index, images.sizes, report)
    kept = np.flatnonzero(report.good[people] & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    kept = kept[np.argsort(image_index[people[kept]], kind="stable")]
    order = people[kept]
    per_image = np.bincount(image_index[order], minlength=len(images.ids))
    return PoseRecords(
        image_ids=images.ids,
        sizes=images.sizes,
        file_names=PackedBytes(name.encode("utf-8", "surrogateescape") for name in images.names),
        offsets=np.concatenate([[0], np.cumsum(per_image)]).astype(np.int64),
        boxes=boxes[kept].astype(np.float32),
        labels=labels[order],
        keypoints=keypoints[kept, :, :2].astype(np.float32),
        visible=keypoints[kept, :, 2].astype(np.uint8),
        areas=areas[kept].astype(np.float32),
        ann_ids=report.ann_ids[order],
        crowds=PackedBytes(crowds.get(i, b"") for i in range(len(images.ids))),
        classes=classes,
        counts=+report.counts,
        keypoint_classes=options.keypoint_classes,
    )


def _check_references(
    images: _Images, annotations: list[dict], label_of: dict[int, int], report: _Report
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Check ids, images and categories of the M annotations.

    Returns:
        Rows that are good and not to be ignored; and for all M rows the image index, the label and the crowd flag.
    """
    everything = np.arange(len(annotations))
    report.ann_ids, bad_ids = integer_column([a.get("id") for a in annotations])
    report.image_ids, bad_images = integer_column([a.get("image_id") for a in annotations])
    report.no_image = {position for position, _ in bad_images}
    for position, reason in bad_ids:
        report.good[position] = False
        image_id = None if position in report.no_image else int(report.image_ids[position])
        report.problems.append(Problem(report.file, "id", f"annotation at position {position}: id {reason}", image_id))
    report.column(bad_images, everything, "id", "image_id")
    _, first = np.unique(report.ann_ids, return_index=True)
    for row in np.setdiff1d(everything, first):
        report.annotation(int(row), "id", "annotation id is used twice")
    image_index = np.array([images.index_of.get(i, -1) for i in report.image_ids.tolist()], dtype=np.int64)
    for row in np.flatnonzero(image_index < 0):
        report.annotation(int(row), "id", f"image {report.image_ids[row]} is not in the image list")
    category_ids, bad = integer_column([a.get("category_id") for a in annotations])
    report.column(bad, everything, "category", "category_id")
    labels = np.array([label_of.get(i, -2) for i in category_ids.tolist()], dtype=np.int64)
    for row in np.flatnonzero(labels == -2):
        report.annotation(int(row), "category", f"unknown category id {category_ids[row]}")
    report.counts["annotations of other categories ignored"] += int((labels == -1).sum())
    flags = [a.get("iscrowd", 0) or 0 for a in annotations]
    for row in [i for i, flag in enumerate(flags) if flag not in (0, 1)]:
        report.annotation(row, "crowd", f"iscrowd is {show(flags[row])}, not 0 or 1")
    is_crowd = np.array([flag in (1, True) for flag in flags], dtype=bool)
    return np.flatnonzero(report.good & (labels >= 0)), np.maximum(image_index, 0), labels, is_crowd


def _check_boxes(
    annotations: list[dict], rows: np.ndarray, sizes: np.ndarray, tolerance: float, report: _Report
) -> np.ndarray:
    """(len(rows), 4) float64 xyxy boxes clipped to their images; ``sizes`` is (M, 2) per annotation."""
    xywh, bad = number_rows([annotations[row].get("bbox") for row in rows.tolist()], 4)
    report.column(bad, rows, "box", "bbox")
    boxes, limits = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1), sizes[rows].astype(np.float64)
    beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - limits).max(axis=1, initial=0)
    beyond[~(limits > 0).all(axis=1)] = 0
    for i in np.flatnonzero((xywh[:, 2:] < 0).any(axis=1)):
        report.annotation(int(rows[i]), "box", f"bbox {show(xywh[i].tolist())} has a negative side")
    for i in np.flatnonzero(beyond > tolerance):
        width, height = limits[i].astype(int)
        message = f"bbox {show(xywh[i].tolist(), 60)} reaches {beyond[i]:.1f} px beyond the {width}x{height} image"
        report.annotation(int(rows[i]), "box", message)
    good = report.good[rows]
    report.counts["boxes clipped"] += int(((beyond > BOX_ROUNDING) & good).sum())
    boxes = np.clip(boxes, 0, np.concatenate([limits, limits], axis=1))
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    report.counts["boxes without extent ignored"] += int((empty & good).sum())
    return boxes


def _check_keypoints(
    annotations: list[dict], rows: np.ndarray, posed: np.ndarray, sizes: np.ndarray, num_keypoints: int, report: _Report
) -> np.ndarray:
    """(len(rows), K, 3) float64 x, y and visibility code; people without a keypoint list are unlabelled.

    ``posed`` (len(rows),) says which rows are of a class with keypoints; the lists of others are not looked at.
    """
    width = 3 * num_keypoints
    if not num_keypoints:
        return np.zeros((len(rows), 0, 3))
    lists = [annotations[row].get("keypoints") if has else None for row, has in zip(rows.tolist(), posed.tolist())]
    absent = np.array([values is None for values in lists], dtype=bool) & posed
    report.counts["people without a keypoint list"] += int((absent & report.good[rows]).sum())
    flat, bad = number_rows([[0.0] * width if values is None else values for values in lists], width)
    report.column(bad, rows, "keypoints", f"keypoints ({num_keypoints} x 3)")
    keypoints = flat.reshape(len(rows), num_keypoints, 3)
    codes = keypoints[..., 2]
    for i in np.flatnonzero(~np.isin(codes, (0, 1, 2)).all(axis=1)):
        code = codes[i][~np.isin(codes[i], (0, 1, 2))][0]
        report.annotation(int(rows[i]), "keypoints", f"keypoint visibility is {code:g}, not 0, 1 or 2")
        codes[i] = 0
    limits = sizes[rows].astype(np.float64)[:, None]
    outside = ((keypoints[..., :2] < 0) | (keypoints[..., :2] > limits)).any(axis=2) & (codes > 0)
    report.counts["keypoints outside the image ignored"] += int(outside.sum())
    codes[outside] = 0
    return keypoints


def _check_areas(annotations: list[dict], rows: np.ndarray, boxes: np.ndarray, report: _Report) -> np.ndarray:
    """(len(rows),) float64 areas; absent, null or zero ones are 0.53 of the box."""
    values = [annotations[row].get("area") for row in rows.tolist()]
    areas, bad = number_column([0 if value is None else value for value in values])
    report.column(bad, rows, "area", "area")
    for i in np.flatnonzero(areas < 0):
        report.annotation(int(rows[i]), "area", f"area {areas[i]:g} is negative")
    sides = boxes[:, 2:] - boxes[:, :2]
    report.counts["areas estimated from the box"] += int(((areas == 0) & report.good[rows]).sum())
    return np.where(areas > 0, areas, AREA_PER_BOX * sides[:, 0] * sides[:, 1])


def _check_crowds(
    annotations: list[dict], rows: np.ndarray, image_index: np.ndarray, sizes: np.ndarray, report: _Report
) -> dict[int, bytes]:
    """Compressed RLE of the crowd regions by image index."""
    regions = defaultdict(list)
    for row in rows.tolist():
        annotation, index = annotations[row], int(image_index[row])
        width, height = sizes[index].tolist()
        if not width:
            continue
        box, bad = number_rows([annotation.get("bbox")], 4)
        try:
            regions[index].append(crowd_rle(annotation.get("segmentation"), None if bad else box[0], width, height))
        except ValueError as error:
            report.annotation(row, "crowd", str(error))
    return {index: merge_rles(rles) for index, rles in regions.items()}
