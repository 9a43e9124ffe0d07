"""Build training records from a COCO-format file, with the checks that training needs.

Each ``_check_*`` function looks at one field of all images or annotations at once, notes the problems and returns the
values. Rows with a problem hold zeros and are left out of the records. Shape letters: N images, M instances, R rows
(positions of annotations), K keypoints.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from yolox_pose.coco.columns import number_rows, show
from yolox_pose.coco.image_files import missing_files, stored_size
from yolox_pose.coco.problems import Problem
from yolox_pose.coco.reader import UNLISTED, Annotations, CocoFile
from yolox_pose.coco.records import PackedBytes, PoseRecords, ReadOptions
from yolox_pose.coco.rle import crowd_rle, merge_rles
from yolox_pose.structures.constants import AREA_PER_BOX

BOX_ROUNDING = 0.01
"""Pixels beyond the image that are not counted as clipped: COCO writes boxes with two decimals."""
MAX_IMAGE_SIDE = 2**20
"""Largest plausible image width or height in pixels."""
OTHER_CATEGORY = -1
"""Label of annotations whose category is not among the classes."""


def build_records(file: CocoFile, options: ReadOptions) -> PoseRecords | None:
    """Build records from the valid annotations, and note the problems of the others in ``file.problems``.

    Args:
        file: The file as it was read.
        options: Part of the file that is read, and the checks that are made.

    Returns:
        The records; None where images or categories cannot be used at all.
    """
    # Check the whole file
    if not len(file.annotations) and options.require_annotations:
        file.problems.append(Problem(file.name, "file", "the annotation list is empty"))
    if not file.images.entries and file.images.complete:
        file.problems.append(Problem(file.name, "file", "the image list is empty"))
    labels_of_categories, classes = _check_categories(file, options)
    if not file.images.complete or not file.images.entries or labels_of_categories is None:
        return None

    # Check the images
    names = _check_names(file)
    sizes = _check_sizes(file, names, options)
    if options.image_root is not None:
        file.problems.extend(missing_files(file.name, file.images.ids, names, options.image_root))

    # Split the annotations into instances and crowd regions
    counts: Counter[str] = Counter()
    annotations, image_index = file.annotations, file.annotations.image_index
    labels = _labels(annotations, labels_of_categories)
    counts["annotations of other categories ignored"] = int((labels == OTHER_CATEGORY).sum())
    used = np.flatnonzero(annotations.good & (labels != OTHER_CATEGORY))
    people, crowd_rows = used[~annotations.is_crowd[used]], used[annotations.is_crowd[used]]

    # Check the instances field by field
    image_sizes = sizes[image_index[people]].astype(np.float64)
    boxes = _check_boxes(annotations, people, image_sizes, options.box_tolerance, counts)
    has_keypoints = np.array([options.has_keypoints(name) for name in classes], dtype=bool)[labels[people]]
    keypoints = _check_keypoints(annotations, people, has_keypoints, image_sizes, options.num_keypoints, counts)
    areas = _check_areas(annotations, people, boxes, counts)
    crowds = _check_crowds(annotations, crowd_rows, sizes)

    # Pack the good instances in the order of their images
    kept = np.flatnonzero(annotations.good[people] & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    kept = kept[np.argsort(image_index[people[kept]], kind="stable")]
    order = people[kept]
    per_image = np.bincount(image_index[order], minlength=len(sizes))
    return PoseRecords(
        image_ids=file.images.ids,
        sizes=sizes,
        file_names=PackedBytes(name.encode("utf-8", "surrogateescape") for name in names),
        offsets=np.concatenate([[0], np.cumsum(per_image)]).astype(np.int64),
        boxes=boxes[kept].astype(np.float32),
        labels=labels[order],
        keypoints=keypoints[kept, :, :2].astype(np.float32),
        visible=keypoints[kept, :, 2].astype(np.uint8),
        areas=areas[kept].astype(np.float32),
        ann_ids=annotations.ids[order],
        crowds=PackedBytes(crowds.get(i, b"") for i in range(len(sizes))),
        classes=classes,
        counts=+counts,
        keypoint_classes=None if options.keypoint_classes is None else tuple(options.keypoint_classes),
    )


def _check_names(file: CocoFile) -> list[str]:
    """Return the N file names, empty where an image has none."""
    names = []
    for image_id, entry in zip(file.images.ids.tolist(), file.images.entries):
        name = entry.get("file_name")
        if not isinstance(name, str) or not name:
            file.problems.append(Problem(file.name, "image", f"file_name is {show(name)}, not a name", image_id))
        names.append(name if isinstance(name, str) else "")
    return names


def _check_sizes(file: CocoFile, names: list[str], options: ReadOptions) -> np.ndarray:
    """Return (N, 2) int32 widths and heights; image headers tell those that the file does not state."""
    pairs: list[list[int | None]] = [[entry.get("width"), entry.get("height")] for entry in file.images.entries]
    for i, pair in enumerate(pairs):
        if pair == [None, None] and options.image_root is not None and names[i]:
            pairs[i] = list(stored_size(options.image_root, names[i]) or pair)

    def report(position: int, fault: str) -> None:
        message = f"width and height {show(pairs[position])}{fault}"
        file.problems.append(Problem(file.name, "image", message, int(file.images.ids[position])))

    sizes, bad = number_rows(pairs, 2)
    for position, reason in bad:
        report(position, f": {reason}")
    wrong = ((sizes < 1) | (sizes != np.round(sizes)) | (sizes > MAX_IMAGE_SIDE)).any(axis=1)
    wrong[[position for position, _ in bad]] = False
    for position in np.flatnonzero(wrong).tolist():
        report(position, " are not whole positive numbers")
    sizes[wrong] = 0
    return sizes.astype(np.int32)


def _check_categories(file: CocoFile, options: ReadOptions) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Map categories to labels.

    Returns:
        Label of each category, :data:`OTHER_CATEGORY` for those that are not classes, and the class names. None for the
        labels if the categories cannot be used.
    """

    def report(message: str) -> None:
        file.problems.append(Problem(file.name, "category", message))

    # Check that the names are different
    names = file.categories.names
    before = len(file.problems)
    if not names and file.categories.complete:
        report("the category list is empty")
    if any(not isinstance(entry.get("name"), str) for entry in file.categories.entries):
        report("a category has no name")
    elif len(set(names)) < len(names):
        repeated = next(name for name, times in Counter(names).items() if times > 1)
        report(f"category name {repeated!r} is used twice")
    if len(file.problems) > before or not file.categories.complete:
        return None, ()

    # Check that the classes are among them
    classes = tuple(names) if options.classes is None else tuple(options.classes)
    absent = [name for name in classes if name not in names]
    if absent:
        report(f"class {absent[0]!r} is not among the file's categories {show(names, 80)}")
        return None, classes
    unknown = [name for name in options.keypoint_classes or () if name not in classes]
    if unknown:
        report(f"class {unknown[0]!r} of keypoint_classes is not among {show(classes, 80)}")
        return None, classes

    # Check the annotations and keypoints of the categories
    labels = np.array([classes.index(name) if name in classes else OTHER_CATEGORY for name in names], dtype=np.int64)
    _check_other_categories(file, labels, classes, options)
    _check_category_keypoints(file, labels, options)
    return labels, classes


def _check_other_categories(file: CocoFile, labels: np.ndarray, classes: tuple[str, ...], options: ReadOptions) -> None:
    """Report annotations of categories that are not among the classes, unless they are to be ignored."""
    if options.other_categories == "ignore":
        return
    category_index = file.annotations.category_index
    numbers = np.bincount(category_index[category_index != UNLISTED], minlength=len(labels))
    for i in np.flatnonzero((labels == OTHER_CATEGORY) & (numbers > 0)).tolist():
        message = (
            f"category {file.categories.names[i]!r} (id {file.categories.ids[i]}, {numbers[i]} annotations) is not "
            f"among the config's classes {list(classes)}; add it, or set other_categories='ignore'"
        )
        file.problems.append(Problem(file.name, "category", message))


def _check_category_keypoints(file: CocoFile, labels: np.ndarray, options: ReadOptions) -> None:
    """Report categories that have no keypoints, or another number of them than the skeleton."""
    if not options.num_keypoints:
        return
    category_index = file.annotations.category_index
    for i, entry in enumerate(file.categories.entries):
        if labels[i] == OTHER_CATEGORY or not options.has_keypoints(entry["name"]):
            continue
        names, fault = entry.get("keypoints"), ""
        rows = np.flatnonzero(category_index == i)
        if not names and len(file.annotations) and not file.annotations.has_keypoint_list(rows).any():
            fault = (
                f"has no keypoints, the skeleton has {options.num_keypoints}; if it should have none, name the classes "
                "that have keypoints in keypoint_classes"
            )
        elif isinstance(names, list) and names and len(names) != options.num_keypoints:
            fault = f"has {len(names)} keypoints, the skeleton has {options.num_keypoints}"
        if fault:
            message = f"category {entry['name']!r} (id {file.categories.ids[i]}) {fault}"
            file.problems.append(Problem(file.name, "category", message))


def _labels(annotations: Annotations, labels_of_categories: np.ndarray) -> np.ndarray:
    """Return (A,) int64 labels; an annotation of an unlisted category, which is a problem, gets any."""
    return np.where(
        annotations.category_index == UNLISTED, 0, labels_of_categories[np.maximum(annotations.category_index, 0)]
    )


def _check_boxes(
    annotations: Annotations, rows: np.ndarray, image_sizes: np.ndarray, tolerance: float, counts: Counter[str]
) -> np.ndarray:
    """Return (R, 4) float64 xyxy boxes clipped to their images, whose sizes are (R, 2)."""
    # Read the boxes
    xywh = np.nan_to_num(annotations.boxes(rows, required=True))
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    for i in np.flatnonzero((xywh[:, 2:] < 0).any(axis=1)).tolist():
        annotations.report(int(rows[i]), "box", f"bbox {show(xywh[i].tolist())} has a negative side")

    # Measure how far they reach beyond the image
    beyond = np.maximum(-boxes[:, :2], boxes[:, 2:] - image_sizes).max(axis=1, initial=0)
    beyond[~(image_sizes > 0).all(axis=1)] = 0
    for i in np.flatnonzero(beyond > tolerance).tolist():
        width, height = image_sizes[i].astype(int)
        message = f"bbox {show(xywh[i].tolist(), 60)} reaches {beyond[i]:.1f} px beyond the {width}x{height} image"
        annotations.report(int(rows[i]), "box", message)

    # Clip them
    good = annotations.good[rows]
    boxes = np.clip(boxes, 0, np.tile(image_sizes, 2))
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    counts["boxes clipped"] += int(((beyond > BOX_ROUNDING) & good).sum())
    counts["boxes without extent ignored"] += int((empty & good).sum())
    return boxes


def _check_keypoints(
    annotations: Annotations,
    rows: np.ndarray,
    has_keypoints: np.ndarray,
    image_sizes: np.ndarray,
    num_keypoints: int,
    counts: Counter[str],
) -> np.ndarray:
    """Return (R, K, 3) float64 x, y and visibility code; people without a keypoint list are unlabeled.

    ``has_keypoints`` (R,) marks the rows of classes with keypoints. The lists of other classes are not read.
    """
    keypoints = np.zeros((len(rows), num_keypoints, 3))
    if not num_keypoints:
        return keypoints

    # Read the lists
    people = np.flatnonzero(has_keypoints)
    absent = ~annotations.has_keypoint_list(rows[people])
    keypoints[people] = annotations.keypoints(rows[people], num_keypoints)
    counts["people without a keypoint list"] += int((absent & annotations.good[rows[people]]).sum())

    # Check the visibility codes
    codes = keypoints[..., 2]
    for i in np.flatnonzero(~np.isin(codes, (0, 1, 2)).all(axis=1)).tolist():
        code = codes[i][~np.isin(codes[i], (0, 1, 2))][0]
        annotations.report(int(rows[i]), "keypoints", f"keypoint visibility is {code:g}, not 0, 1 or 2")
        codes[i] = 0

    # Ignore keypoints outside the image
    outside = ((keypoints[..., :2] < 0) | (keypoints[..., :2] > image_sizes[:, None])).any(axis=2) & (codes > 0)
    counts["keypoints outside the image ignored"] += int(outside.sum())
    codes[outside] = 0
    return keypoints


def _check_areas(annotations: Annotations, rows: np.ndarray, boxes: np.ndarray, counts: Counter[str]) -> np.ndarray:
    """Return (R,) float64 areas; those that are absent or zero are estimated from the xyxy boxes (R, 4)."""
    areas = np.nan_to_num(annotations.areas(rows))
    for i in np.flatnonzero(areas < 0).tolist():
        annotations.report(int(rows[i]), "area", f"area {areas[i]:g} is negative")
    counts["areas estimated from the box"] += int(((areas == 0) & annotations.good[rows]).sum())
    return np.where(areas > 0, areas, AREA_PER_BOX * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _check_crowds(annotations: Annotations, rows: np.ndarray, sizes: np.ndarray) -> dict[int, bytes]:
    """Return the compressed RLE of the crowd regions of each image that has them, by image index."""
    regions = defaultdict(list)
    for row in rows.tolist():
        entry, index = annotations.entries[row], int(annotations.image_index[row])
        width, height = sizes[index].tolist()
        if not width:
            continue
        box, bad = number_rows([entry.get("bbox")], 4)
        try:
            regions[index].append(crowd_rle(entry.get("segmentation"), None if bad else box[0], width, height))
        except ValueError as error:
            annotations.report(row, "crowd", str(error))
    return {index: merge_rles(rles) for index, rles in regions.items()}
