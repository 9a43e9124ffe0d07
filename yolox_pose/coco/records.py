"""COCO-format annotations as packed numpy arrays.

Arrays instead of objects: worker processes share the memory, and 118k images load in seconds.

Shape letters: N images, M instances, K keypoints, C classes. Boxes are xyxy in pixels of the source image, continuous
coordinates (pixel i covers [i, i+1)). Keypoints are as the file holds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from yolox_pose.coco.rle import decode_rle

BOX_TOLERANCE = 2.0
"""Pixels by which a box may reach beyond its image: rounding in real files. It is clipped and counted."""
MERGE_IOU = 0.7
"""Least IoU of the boxes that one object has in two annotation files which number it differently."""


class PackedBytes:
    """Byte strings packed into two arrays, so that worker processes share them without copies."""

    def __init__(self, items: Iterable[bytes]) -> None:
        items = list(items)
        self.offsets = np.concatenate([[0], np.cumsum([len(item) for item in items], dtype=np.int64)]).astype(np.int64)
        self.data = np.frombuffer(b"".join(items), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def lengths(self) -> np.ndarray:
        """Return the length of each string as (N,) int64."""
        return np.diff(self.offsets)

    def select(self, indices: Sequence[int] | np.ndarray) -> PackedBytes:
        """Return the strings at ``indices``, in that order."""
        return PackedBytes(self[int(i)] for i in indices)


@dataclass(frozen=True)
class PoseRecords:
    """Annotations of N images with M instances.

    Args:
        image_ids: Image ids of shape (N,), int64.
        sizes: Image widths and heights of shape (N, 2), int32.
        file_names: N file names in UTF-8, relative to the image folder.
        offsets: Row offsets of shape (N+1,), int64; image i has the rows ``offsets[i]:offsets[i+1]``.
        boxes: Boxes of shape (M, 4), float32, xyxy in pixels, inside the image.
        labels: Class labels of shape (M,), int64, positions in ``classes``.
        keypoints: Keypoints of shape (M, K, 2), float32, in pixels.
        visible: Visibility codes of shape (M, K), uint8: 0 not labeled, 1 labeled but hidden, 2 visible.
        areas: Annotation areas of shape (M,), float32, in square pixels; 0.53 of the box where the file has none.
        ann_ids: Annotation ids of shape (M,), int64.
        crowds: N compressed RLE strings of the union of the crowd regions; empty where an image has none.
        classes: C class names.
        counts: Numbers of values that were clipped, estimated, ignored or skipped while reading, by kind.
        keypoint_classes: Names of the classes that have keypoints; None for all.
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
    counts: Counter[str] = field(default_factory=Counter)
    keypoint_classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Return N, the number of images."""
        return len(self.image_ids)

    @property
    def num_keypoints(self) -> int:
        """K, the number of keypoints."""
        return self.keypoints.shape[1]

    @property
    def instance_counts(self) -> np.ndarray:
        """Number of instances of each image, (N,) int64, crowd regions not counted."""
        return np.diff(self.offsets)

    def rows(self, index: int) -> slice:
        """Return the rows of the instances of image ``index``."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def file_name(self, index: int) -> str:
        """Return the file name of image ``index`` as the annotation file has it."""
        return self.file_names[index].decode()

    def crowd_mask(self, index: int) -> np.ndarray | None:
        """Return an (H, W) uint8 mask, 1 inside the crowd regions of image ``index``; None where it has none."""
        counts = self.crowds[index]
        width, height = self.sizes[index].tolist()
        return decode_rle(counts, width, height) if counts else None

    def select(self, indices: Sequence[int] | np.ndarray) -> PoseRecords:
        """Return the images at ``indices`` with their instances, in that order."""
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


@dataclass(frozen=True)
class ReadOptions:
    """Part of an annotation file that is read, and the checks that are made.

    Args:
        num_keypoints: K, the number of keypoints of the skeleton; 0 for boxes alone.
        classes: Class names in label order; None takes all categories in file order.
        image_root: Folder of the images; their existence is checked unless None.
        other_categories: ``'error'`` or ``'ignore'`` annotations of categories that are not in ``classes``.
        box_tolerance: Pixels by which a box may reach beyond its image.
        require_annotations: Whether a file without annotations is a problem.
        keypoint_classes: Names of the classes that have keypoints; None for all.
        keypoint_file: Second file of the same images, which holds the keypoints of the instances.
        merge_iou: Least IoU of two boxes that are merged although their annotation ids differ
            (:func:`yolox_pose.coco.merge.merge_keypoints`).

    Raises:
        ValueError: If a value is out of range, or two contradict each other.
    """

    num_keypoints: int = 17
    classes: Sequence[str] | None = ("person",)
    image_root: str | Path | None = None
    other_categories: str = "error"
    box_tolerance: float = BOX_TOLERANCE
    require_annotations: bool = True
    keypoint_classes: Sequence[str] | None = None
    keypoint_file: str | Path | None = None
    merge_iou: float = MERGE_IOU

    def __post_init__(self) -> None:
        if self.other_categories not in ("error", "ignore"):
            raise ValueError(f"other_categories must be 'error' or 'ignore', not {self.other_categories!r}")
        if isinstance(self.keypoint_classes, str):
            raise ValueError(f"keypoint_classes is a list of names, not {self.keypoint_classes!r}")
        if self.keypoint_file is not None and not self.num_keypoints:
            raise ValueError("keypoint_file needs a skeleton: boxes alone are read from the annotation file")
        if not 0 < self.merge_iou <= 1:
            raise ValueError(f"merge_iou must be above 0 and at most 1, not {self.merge_iou}")

    def has_keypoints(self, name: str) -> bool:
        """Return whether the instances of a class have keypoints."""
        return self.keypoint_classes is None or name in self.keypoint_classes
