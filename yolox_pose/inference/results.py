"""What is found in one image: arrays in pixels of the source, drawn pictures, COCO results.

Letters: n persons (or objects), K keypoints. Depends on numpy and cv2 alone: the torch-free runtime has the same results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.images import read_image
from yolox_pose.structures.classes import default_category_ids
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

COORDINATE_DIGITS, SCORE_DIGITS = 3, 6
"""Decimals in JSON: a thousandth of a pixel is as exact as the letterbox is."""


@dataclass
class PoseResult:
    """Persons found in one image, best first.

    Attributes:
        keypoints: (n, K, 2) float32 pixels of the source image, 0 for classes without keypoints; K is 0 for plain
            detection.
        keypoint_scores: (n, K) float32, 0 to 1; 0 for classes without keypoints.
        boxes: (n, 4) float32 xyxy pixels of the source image.
        scores: (n,) float32, 0 to 1.
        labels: (n,) int64 indices into ``classes``.
        skeleton: Of the K keypoints; None for plain detection.
        classes: Class names.
        keypoint_classes: Labels of the classes that have keypoints; None for all.
        track_ids: (n,) int64 where persons are tracked, else None.
        path: File of the image or video, or None where there is none.
        name: Name of the file, download or camera, or None where the image came as an array.
        frame: Number of the frame in a video, counted from 0; None for images.
        time: Seconds since the video's first frame; None for images.
        fps: Frames per second of the video; None for images.
        size: (w, h) of the source image.
        source: What :func:`yolox_pose.io.sources.list_sources` made of the input; None for results made otherwise.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    skeleton: Skeleton | None = None
    classes: tuple[str, ...] = ("person",)
    keypoint_classes: tuple[int, ...] | None = None
    track_ids: np.ndarray | None = None
    path: Path | None = None
    name: str | None = None
    frame: int | None = None
    time: float | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    source: Any = field(default=None, repr=False)
    held_image: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def has_keypoints(self) -> np.ndarray:
        """(n,) bool, whether each detection is of a class with keypoints."""
        if self.keypoints.shape[1] == 0 or self.keypoint_classes is None:
            return np.full(len(self), self.keypoints.shape[1] > 0)
        return np.isin(self.labels, self.keypoint_classes)

    @property
    def is_joint(self) -> bool:
        """Whether some classes of the model have keypoints and others have none."""
        classes = range(len(self.classes)) if self.keypoint_classes is None else self.keypoint_classes
        return self.keypoints.shape[1] > 0 and len(classes) < len(self.classes)

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR source image. It is read again where it came from a file, so that results stay small.

        Raises:
            DataError: If the file cannot be read any more.
            ValueError: If there is neither an image nor a file.
        """
        if self.held_image is not None:
            return self.held_image
        if self.path is None or self.frame is not None:
            raise ValueError("this result has no image: it was made without one")
        return read_image(self.path)

    def select(self, index: np.ndarray) -> PoseResult:
        """A result with some of the persons, by (m,) indices or an (n,) mask; it shares the image."""
        return replace(
            self,
            keypoints=self.keypoints[index],
            keypoint_scores=self.keypoint_scores[index],
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            track_ids=None if self.track_ids is None else self.track_ids[index],
        )

    def crops(self, margin: float = 0.1) -> list[np.ndarray]:
        """Part of the image around each person, (h, w, 3) uint8 BGR, nothing drawn into it.

        Args:
            margin: Share of the box's width and height that is added on every side, as far as the image goes.
        """
        image = self.image
        limit = np.tile(image.shape[1::-1], 2)
        grown = self.boxes + margin * np.tile(self.boxes[:, 2:] - self.boxes[:, :2], 2) * [-1, -1, 1, 1]
        low, high = np.floor(np.clip(grown, 0, limit - 1)).astype(int), np.ceil(np.clip(grown, 1, limit)).astype(int)
        return [
            image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
            for (x1, y1), (x2, y2) in zip(low[:, :2].tolist(), high[:, 2:].tolist())
        ]

    def plot(self, **options: Any) -> np.ndarray:
        """Draw the result into a copy of its image.

        Args:
            **options: Of :func:`yolox_pose.visualization.drawing.draw_poses`, such as ``kpt_thr`` or ``zoom``.

        Returns:
            (H, W, 3) uint8 BGR.
        """
        arrays = {
            "keypoints": np.where(self.has_keypoints[:, None, None], self.keypoints, np.nan),
            "keypoint_scores": self.keypoint_scores,
            "boxes": self.boxes,
            "scores": self.scores,
            "labels": self.labels,
            "track_ids": self.track_ids,
        }
        return draw_poses(self.image, **{**arrays, "skeleton": self.skeleton, "classes": self.classes, **options})

    def to_coco(
        self,
        image_id: int | str | None = None,
        category_ids: Sequence[int] | Mapping[int, int] | None = None,
        boxes: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Entries of a COCO results file.

        Args:
            image_id: Id of the image. Where it is None the name of the file without its ending is taken, as a number if it
                is one (COCO's images are named by their ids).
            category_ids: COCO category id of each label; None takes COCO's own for its 80 classes, else counts from 1.
            boxes: Whether entries have ``bbox`` (x, y, w, h). None: not where all classes have keypoints, because COCO
                tools take the area of persons from ``bbox`` where it is there, which changes AP by size. Detections of
                classes without keypoints have no ``keypoints``.

        Raises:
            ValueError: If there is neither an id nor a file name.
        """
        if image_id is None:
            image_id = self.image_id
        with_boxes = boxes if boxes is not None else self.keypoints.shape[1] == 0 or self.is_joint
        if category_ids is None:
            category_ids = default_category_ids(self.classes)
        entries, has_keypoints = [], self.has_keypoints
        for i in range(len(self)):
            entry: dict[str, Any] = {"image_id": image_id, "category_id": int(category_ids[int(self.labels[i])])}
            if has_keypoints[i]:
                triples = np.concatenate([self.keypoints[i], self.keypoint_scores[i][:, None]], axis=1)
                entry["keypoints"] = _rounded(triples, COORDINATE_DIGITS)
            if with_boxes:
                x1, y1, x2, y2 = self.boxes[i].astype(np.float64)
                entry["bbox"] = _rounded(np.array([x1, y1, x2 - x1, y2 - y1]), COORDINATE_DIGITS)
            entry["score"] = round(float(self.scores[i]), SCORE_DIGITS)
            if self.track_ids is not None:
                entry["track_id"] = int(self.track_ids[i])
            entries.append(entry)
        return entries

    @property
    def image_id(self) -> int | str:
        """Name without its ending, as a number if it is one; of a frame with its number behind it: ``street_000012``.

        Raises:
            ValueError: If the image came as an array.
        """
        name = self.name or (self.path.name if self.path is not None else None)
        if name is None:
            raise ValueError("an image that is no file has no id: give image_id=")
        stem = Path(name).stem
        if self.frame is not None:
            return f"{stem}_{self.frame:06d}"
        return int(stem) if stem.isascii() and stem.isdigit() else stem

    def save(self, path: str | os.PathLike[str], **options: Any) -> Path:
        """Write the drawn picture, or the COCO results where the name ends in ``.json``.

        Args:
            path: File to write; its folder is made. A file that is there is replaced, except the source image.
            **options: Of :meth:`plot` or :meth:`to_coco`.

        Returns:
            The path.

        Raises:
            UsageError: If the path is the source image, or its ending is of no picture format.
        """
        path = Path(path)
        if self.path is not None and path.resolve() == Path(self.path).resolve():
            raise UsageError(f"{path} is the source image; it is not overwritten")
        if path.suffix.lower() == ".json":
            data = json.dumps(self.to_coco(**options)).encode()
        else:
            data = encode_picture(self.plot(**options), path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def encode_picture(img: np.ndarray, path: Path) -> bytes:
    """Encode a picture in the format that a file name's ending says.

    Raises:
        UsageError: If the ending is not known.
    """
    try:
        done, data = cv2.imencode(path.suffix.lower(), img)
    except cv2.error:
        done = False
    if not done:
        raise UsageError(f"{path}: pictures cannot be written as '{path.suffix}'; use .jpg or .png")
    return data.tobytes()


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(v), digits) for v in values.ravel()]
