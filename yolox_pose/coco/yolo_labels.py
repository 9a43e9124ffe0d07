"""Convert YOLO-pose label text to COCO format and back.

A label line is ``class cx cy w h x1 y1 v1 ... xK yK vK``, with everything but class and visibility divided by the
image's width or height. A folder holds one ``NAME.txt`` for each ``NAME.jpg``. A list file holds the lines of many
images, each with its image id in place of the class. Without the ``v`` columns a keypoint at (0, 0) is not labeled,
others are visible.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.coco.image_files import stored_size
from yolox_pose.coco.label_lines import format_label_line
from yolox_pose.coco.records import PoseRecords
from yolox_pose.errors import DataError
from yolox_pose.structures.constants import IMAGE_SUFFIXES
from yolox_pose.structures.skeleton import COCO_PERSON

Progress = Callable[[Sequence[Any]], Iterator[Any]]
"""Wraps a list that is worked through, to show a progress bar."""


class LabelRow(NamedTuple):
    """One instance of a label file, in parts of the image's width and height.

    Attributes:
        first: Class, or image id in a list file.
        box: Center, width and height of the box, shape (4,).
        keypoints: x, y and visibility code of the keypoints, shape (K, 3).
    """

    first: int
    box: np.ndarray
    keypoints: np.ndarray


def default_keypoint_names(num_keypoints: int | None) -> tuple[str, ...]:
    """Return COCO's keypoint names for 17 keypoints or None, else numbered names."""
    if num_keypoints is None or num_keypoints == COCO_PERSON.num_keypoints:
        return COCO_PERSON.names
    return tuple(f"keypoint_{k}" for k in range(num_keypoints))


def parse_label_line(line: str, num_keypoints: int, where: str) -> LabelRow:
    """Read a line of a label file.

    Args:
        line: The line.
        num_keypoints: K, the number of keypoints.
        where: File and line, for messages.

    Raises:
        DataError: If the number of columns does not fit K keypoints, or a value is not a number.
    """
    # Split the line into numbers
    words = line.split()
    widths = {5 + 3 * num_keypoints: 3, 5 + 2 * num_keypoints: 2}
    if len(words) not in widths:
        expected = " or ".join(str(width) for width in sorted(widths, reverse=True))
        raise DataError(f"{where}: {len(words)} columns, {num_keypoints} keypoints need {expected}")
    try:
        first, values = int(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if not np.isfinite(values).all():
        raise DataError(f"{where}: holds a value that is not finite")

    # Complete and check the visibility codes
    keypoints = values[4:].reshape(num_keypoints, widths[len(words)] if num_keypoints else 3)
    if keypoints.shape[1] == 2:
        keypoints = np.concatenate([keypoints, 2.0 * (keypoints != 0).any(axis=1, keepdims=True)], axis=1)
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise DataError(f"{where}: a keypoint's visibility is not 0, 1 or 2")
    return LabelRow(first, values[:4], keypoints)


def read_label_file(path: Path, num_keypoints: int, progress: Progress = iter) -> list[LabelRow]:
    """Return all instances of a label or list file, gzipped or not."""
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as stream:
            lines = stream.read().splitlines()
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return [
        parse_label_line(line, num_keypoints, f"{path}: line {number}")
        for number, line in enumerate(progress(lines), 1)
        if line.strip()
    ]


def _image_size(root: Path, name: str) -> tuple[int, int]:
    """Return width and height of an image file; the EXIF orientation is ignored."""
    size = stored_size(root, name)
    if size is None:
        raise DataError(f"{root / name}: not an image that can be decoded")
    return size


def coco_from_folder(
    labels: Path, images: Path, names: Sequence[str], keypoint_names: Sequence[str], progress: Progress = iter
) -> dict[str, list]:
    """Convert a folder of label files and a folder of images to COCO format.

    An image without a label file has no instances.

    Args:
        labels: Folder of ``NAME.txt``.
        images: Folder of the images.
        names: Class names in label order.
        keypoint_names: K names.
        progress: Wrapper of the list of images.

    Raises:
        DataError: If there are no images, a label file has no image, or a label is wrong.
    """
    # Find the images and their labels
    files = sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"{images}: no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    texts = {path.relative_to(labels).with_suffix("") for path in labels.rglob("*.txt")}
    orphans = sorted(texts - {path.relative_to(images).with_suffix("") for path in files})
    if orphans:
        raise DataError(f"{labels / orphans[0]}.txt: has no image in {images} ({len(orphans)} such files)")

    # Convert them
    ids = image_ids([path.stem for path in files])
    dataset = _empty_dataset(names, keypoint_names)
    for image_id, path in zip(ids, progress(files)):
        file_name = path.relative_to(images).as_posix()
        width, height = _image_size(images, file_name)
        dataset["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        label = labels / path.relative_to(images).with_suffix(".txt")
        for row in read_label_file(label, len(keypoint_names)) if label.is_file() else []:
            if not 0 <= row.first < len(names):
                raise DataError(f"{label}: class {row.first} is not among {list(names)}")
            _append(dataset, row, image_id, row.first + 1, (width, height))
    return dataset


def coco_from_list(
    path: Path,
    keypoint_names: Sequence[str],
    *,
    images: Path | None = None,
    size: tuple[int, int] | None = None,
    progress: Progress = iter,
) -> dict[str, list]:
    """Convert a list file to COCO format of persons; the image with id 139 is ``000000000139.jpg``.

    Args:
        path: List file, gzipped or not.
        keypoint_names: K names.
        images: Folder of the images, from which their sizes are read.
        size: Width and height that all images get where there are no image files.
        progress: Wrapper of the list of lines and of the list of image ids.
    """
    rows: dict[int, list[LabelRow]] = {}
    for row in read_label_file(path, len(keypoint_names), progress):
        rows.setdefault(row.first, []).append(row)
    dataset = _empty_dataset(("person",), keypoint_names)
    for image_id in progress(sorted(rows)):
        name = f"{image_id:012d}.jpg"
        width, height = size or _image_size(images or Path(), name)
        dataset["images"].append({"id": image_id, "file_name": name, "width": width, "height": height})
        for row in rows[image_id]:
            _append(dataset, row, image_id, 1, (width, height))
    return dataset


def image_ids(stems: Sequence[str]) -> list[int]:
    """Return image ids: the file names where all of them are different numbers, else 1, 2, 3, ..."""
    if all(stem.isdecimal() for stem in stems) and len({int(stem) for stem in stems}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(1, len(stems) + 1))


def _empty_dataset(names: Sequence[str], keypoint_names: Sequence[str]) -> dict[str, list]:
    links = COCO_PERSON.links if tuple(keypoint_names) == COCO_PERSON.names else ()
    fields = (
        {"keypoints": list(keypoint_names), "skeleton": [[a + 1, b + 1] for a, b in links]} if keypoint_names else {}
    )
    categories = [{"id": i, "name": name, "supercategory": name, **fields} for i, name in enumerate(names, 1)]
    return {"images": [], "annotations": [], "categories": categories}


def _append(dataset: dict[str, list], row: LabelRow, image_id: int, category: int, size: tuple[int, int]) -> None:
    """Add an annotation in pixels. Labels hold no area, so that it has none."""
    width, height = size
    box = row.box * (width, height, width, height)
    keypoints = row.keypoints * (width, height, 1)
    keypoints[keypoints[:, 2] == 0] = 0
    flat = [round(v, 3) if i % 3 < 2 else int(v) for i, v in enumerate(keypoints.ravel().tolist())]
    annotation: dict[str, Any] = {"id": len(dataset["annotations"]) + 1, "image_id": image_id, "category_id": category}
    annotation |= {"bbox": np.round([*(box[:2] - box[2:] / 2), *box[2:]], 3).tolist(), "iscrowd": 0}
    if len(row.keypoints):
        annotation |= {"keypoints": flat, "num_keypoints": int((keypoints[:, 2] > 0).sum())}
    dataset["annotations"].append(annotation)


def folder_from_records(records: PoseRecords, out: Path, progress: Progress = iter) -> tuple[int, int]:
    """Write a label file for each image. Crowd regions are left out, because YOLO text has none.

    Args:
        records: The annotations.
        out: Folder that is written to.
        progress: Wrapper of the list of images.

    Returns:
        Number of files, number of lines.

    Raises:
        DataError: If a file name of an image leads out of the folder.
    """
    lines = 0
    for index in progress(range(len(records))):
        path = (out / records.file_name(index)).with_suffix(".txt")
        if not path.resolve().is_relative_to(out.resolve()):
            raise DataError(
                f"image {records.image_ids[index]}: file_name {records.file_name(index)!r} leads out of {out}"
            )
        text = [_label_line(records, row) for row in range(*records.rows(index).indices(len(records.boxes)))]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in text))
        lines += len(text)
    return len(records), lines


def _label_line(records: PoseRecords, row: int) -> str:
    """Return instance ``row`` as a line of YOLO text."""
    image = int(np.searchsorted(records.offsets, row, side="right")) - 1
    return format_label_line(
        records.labels[row], records.boxes[row], records.keypoints[row], records.visible[row], records.sizes[image]
    )
