"""COCO-format annotation files as packed numpy arrays, with everything wrong in them found and named.

Arrays instead of objects: worker processes share the memory, and 118k images load in seconds. Numpy and pycocotools
only; no torch.

Shape letters: N images, M instances, G instances of one image, K keypoints, C classes. Boxes are xyxy in pixels of the
source image, continuous coordinates (pixel i covers [i, i+1)); keypoints are taken as the file holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolox_pose.coco.rle import decode_rle

BOX_TOLERANCE = 2.0
"""Pixels by which a box may reach beyond its image: rounding in real files. It is clipped and counted."""
MERGE_IOU = 0.7
"""Least IoU of the boxes that one object has in two annotation files which number it differently."""


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
