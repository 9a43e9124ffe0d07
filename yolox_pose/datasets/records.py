"""COCO-format annotation files as packed numpy arrays, with everything wrong in them found and named.

Arrays instead of objects: worker processes share the memory, and 118k images load in seconds. Numpy and pycocotools
only; no torch.

Shape letters: N images, M instances, G instances of one image, K keypoints, C classes. Boxes are xyxy in pixels of the
source image, continuous coordinates (pixel i covers [i, i+1)); keypoints are taken as the file holds them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.datasets.crowd import decode_rle
from yolox_pose.errors import DataError

DEFAULT_AREA_SHARE = 0.53
"""Part of its box that a person covers where the file has no area (mmpose's ``base_coco_style_dataset.py``)."""
BOX_TOLERANCE = 2.0
"""Pixels by which a box may reach beyond its image: rounding in real files. It is clipped and counted."""
MERGE_IOU = 0.7
"""Least IoU of the boxes that one object has in two annotation files which number it differently."""

logger = logging.getLogger(__name__)


class Problem(NamedTuple):
    """One thing that is wrong in an annotation file.

    ``kind`` is one of file, image, missing_file, id, category, box, area, keypoints, crowd. ``category`` problems and
    those of kind ``file`` concern the whole file and have neither ``image_id`` nor ``ann_id``.
    """

    file: str
    kind: str
    message: str
    image_id: int | None = None
    ann_id: int | None = None

    def __str__(self) -> str:
        """One line that names the file and the ids."""
        where = "" if self.ann_id is None else f"annotation {self.ann_id}"
        if self.image_id is not None:
            where = f"{where} (image {self.image_id})" if where else f"image {self.image_id}"
        return f"{self.file}: {where}: {self.message}" if where else f"{self.file}: {self.message}"


class PackedBytes:
    """A list of byte strings in two arrays, so that worker processes share them without copies."""

    def __init__(self, items: Iterable[bytes]) -> None:
        items = list(items)
        self.offsets = np.concatenate([[0], np.cumsum([len(item) for item in items], dtype=np.int64)]).astype(np.int64)
        self.data = np.frombuffer(b"".join(items), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def lengths(self) -> np.ndarray:
        """(N,) int64 length of each string."""
        return np.diff(self.offsets)

    def select(self, indices: Sequence[int] | np.ndarray) -> PackedBytes:
        """The strings at ``indices``, in that order."""
        return PackedBytes(self[int(i)] for i in indices)


@dataclass(frozen=True)
class PoseRecords:
    """Annotations of N images with M instances.

    Args:
        image_ids: (N,) int64.
        sizes: (N, 2) int32 width and height.
        file_names: N names in UTF-8, relative to the image folder.
        offsets: (N+1,) int64; the instances of image i are the rows ``offsets[i]:offsets[i+1]``.
        boxes: (M, 4) float32 xyxy, inside the image.
        labels: (M,) int64 index into ``classes``.
        keypoints: (M, K, 2) float32.
        visible: (M, K) uint8 codes: 0 not labelled, 1 labelled but hidden, 2 visible.
        areas: (M,) float32 annotation area, else 0.53·w·h.
        ann_ids: (M,) int64.
        crowds: N compressed RLE strings of the union of the crowd regions; empty where an image has none.
        classes: C class names.
        counts: What was mended, ignored or skipped while reading, by kind.
        keypoint_classes: Names of those classes that have keypoints; None for all.
    """

    image_ids: np.ndarray
    sizes: np.ndarray
    file_names: PackedBytes
    offsets: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    areas: np.ndarray
    ann_ids: np.ndarray
    crowds: PackedBytes
    classes: tuple[str, ...]
    counts: Counter = field(default_factory=Counter)
    keypoint_classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """N, the number of images."""
        return len(self.image_ids)

    @property
    def num_keypoints(self) -> int:
        """K."""
        return self.keypoints.shape[1]

    @property
    def instance_counts(self) -> np.ndarray:
        """(N,) int64 number of instances per image, crowd regions not counted."""
        return np.diff(self.offsets)

    def rows(self, index: int) -> slice:
        """Rows of the instances of image ``index``."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def file_name(self, index: int) -> str:
        """File name of image ``index`` as the annotation file has it."""
        return self.file_names[index].decode()

    def crowd_mask(self, index: int) -> np.ndarray | None:
        """(H, W) uint8 mask, 1 inside the crowd regions of image ``index``; None where it has none."""
        counts = self.crowds[index]
        width, height = self.sizes[index].tolist()
        return decode_rle(counts, width, height) if counts else None

    def select(self, indices: Sequence[int] | np.ndarray) -> PoseRecords:
        """The images at ``indices`` with their instances, in that order."""
        indices = np.asarray(indices, dtype=np.int64)
        per_image = self.instance_counts[indices]
        offsets = np.concatenate([[0], np.cumsum(per_image)]).astype(np.int64)
        rows = np.repeat(self.offsets[indices] - offsets[:-1], per_image) + np.arange(offsets[-1])
        return replace(
            self,
            image_ids=self.image_ids[indices],
            sizes=self.sizes[indices],
            file_names=self.file_names.select(indices),
            offsets=offsets,
            boxes=self.boxes[rows],
            labels=self.labels[rows],
            keypoints=self.keypoints[rows],
            visible=self.visible[rows],
            areas=self.areas[rows],
            ann_ids=self.ann_ids[rows],
            crowds=self.crowds.select(indices),
        )


class ReadOptions(NamedTuple):
    """How an annotation file is read; see :func:`load_records` for the fields."""

    num_keypoints: int = 17
    classes: tuple[str, ...] | None = ("person",)
    image_root: Path | None = None
    other_categories: str = "error"
    box_tolerance: float = BOX_TOLERANCE
    require_annotations: bool = True
    keypoint_classes: tuple[str, ...] | None = None
    keypoint_file: Path | None = None
    merge_iou: float = MERGE_IOU

    def has_keypoints(self, name: str) -> bool:
        """Whether the instances of a class have keypoints."""
        return self.keypoint_classes is None or name in self.keypoint_classes


def read_options(
    *,
    num_keypoints: int = 17,
    classes: Sequence[str] | None = ("person",),
    image_root: str | Path | None = None,
    other_categories: str = "error",
    box_tolerance: float = BOX_TOLERANCE,
    require_annotations: bool = True,
    keypoint_classes: Sequence[str] | None = None,
    keypoint_file: str | Path | None = None,
    merge_iou: float = MERGE_IOU,
) -> ReadOptions:
    """Check the options of :func:`load_records` and put them together."""
    if other_categories not in ("error", "ignore"):
        raise ValueError(f"other_categories must be 'error' or 'ignore', not {other_categories!r}")
    if isinstance(keypoint_classes, str):
        raise ValueError(f"keypoint_classes is a list of names, not {keypoint_classes!r}")
    if keypoint_file is not None and not num_keypoints:
        raise ValueError("keypoint_file needs a skeleton: boxes alone are read from the annotation file")
    if not 0 < merge_iou <= 1:
        raise ValueError(f"merge_iou must be above 0 and at most 1, not {merge_iou}")
    return ReadOptions(
        num_keypoints,
        None if classes is None else tuple(classes),
        None if image_root is None else Path(image_root),
        other_categories,
        box_tolerance,
        require_annotations,
        None if keypoint_classes is None else tuple(keypoint_classes),
        None if keypoint_file is None else Path(keypoint_file),
        merge_iou,
    )


def load_records(ann_file: str | Path, *, on_error: str = "raise", **options: Any) -> PoseRecords:
    """Read a COCO-format annotation file.

    Args:
        ann_file: Path of the JSON file.
        on_error: ``'raise'`` stops at the first problem. ``'skip'`` leaves out the images that have a problem (a wrong
            label next to right ones would train as background), counts them in ``counts`` and logs the sums.
        **options: ``num_keypoints`` (K; 0 for boxes alone), ``classes`` (names in label order; None takes all
            categories in file order), ``image_root`` (folder of the images; their existence is checked unless None),
            ``other_categories`` (``'error'`` or ``'ignore'`` annotations of categories that are not in ``classes``),
            ``box_tolerance`` (pixels by which a box may reach beyond its image), ``require_annotations``,
            ``keypoint_classes`` (names of the classes that have keypoints; None for all), ``keypoint_file`` (a second
            file of the same images that holds the keypoints of the instances in ``ann_file``), ``merge_iou`` (see
            :func:`yolox_pose.datasets.joint.merge_keypoints`).

    Raises:
        DataError: If the file cannot be read or, with ``on_error='raise'``, anything in it is wrong.
    """
    from yolox_pose.datasets.joint import parse_records

    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    records, problems = parse_records(ann_file, read_options(**options))
    fatal = [problem for problem in problems if problem.image_id is None and problem.ann_id is None]
    if records is None or problems and (on_error == "raise" or fatal):
        first, others = (fatal or problems)[0], len(problems) - 1
        more = f" (and {others} more problem{'s' * (others > 1)}; tools/dataset.py check lists all)" if others else ""
        raise DataError(f"{first}{more}")
    if problems:
        records = _without_problems(records, problems)
        logger.warning("%s: %s", ann_file, summary(records.counts))
    elif records.counts:
        logger.info("%s: %s", ann_file, summary(records.counts))
    return records


def find_problems(ann_file: str | Path, *, decode_images: bool = False, **options: Any) -> list[Problem]:
    """All problems of an annotation file, for ``tools/dataset.py check``.

    Args:
        ann_file: Path of the JSON file.
        decode_images: Also read every image and report those that are damaged or of another size than stated.
        **options: As for :func:`load_records`.

    Returns:
        The problems in file order: those of the whole file first, then images, then annotations. A file that cannot
        be read at all gives one problem of kind ``file``.
    """
    from yolox_pose.datasets.joint import parse_records

    checked = read_options(**options)
    try:
        records, problems = parse_records(ann_file, checked)
    except DataError as error:
        text = str(error).removeprefix(f"{ann_file}: ")
        return [Problem(str(ann_file), "file", text)]
    if decode_images and records is not None and checked.image_root is not None:
        problems += _image_problems(str(ann_file), records, checked.image_root, problems)
    return problems


def _image_problems(file: str, records: PoseRecords, root: Path, known: Sequence[Problem]) -> list[Problem]:
    from yolox_pose.datasets.loading import SampleError, read_image

    missing = {problem.image_id for problem in known if problem.kind == "missing_file"}
    problems = []
    for index in range(len(records)):
        image_id = int(records.image_ids[index])
        if image_id in missing:
            continue
        try:
            read_image(root / records.file_name(index), image_id=image_id, size=tuple(records.sizes[index].tolist()))
        except SampleError as error:
            problems.append(Problem(file, "image", str(error), image_id))
    return problems


def _without_problems(records: PoseRecords, problems: Sequence[Problem]) -> PoseRecords:
    """Leave out the images that a problem names and count both."""
    bad_images = {problem.image_id for problem in problems if problem.image_id is not None}
    keep = [i for i, image_id in enumerate(records.image_ids.tolist()) if image_id not in bad_images]
    if not keep:
        raise DataError(f"{problems[0].file}: every image has a problem, nothing is left to use; first: {problems[0]}")
    counts = records.counts + Counter(f"{problem.kind} problem" for problem in problems)
    counts["images skipped"] = len(records) - len(keep)
    return replace(records.select(keep), counts=counts)


def summary(counts: Counter) -> str:
    """One line such as ``2 boxes clipped, 1 images skipped``."""
    return ", ".join(f"{number} {what}" for what, number in sorted(counts.items()) if number)
