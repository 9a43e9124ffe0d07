"""Results of an image: arrays in pixels of the source image, drawn pictures, COCO results.

Shape letters: n persons (or objects), K keypoints. The module needs numpy and cv2 alone: PyTorch and exported models give the
same results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.images import read_image
from yolox_pose.io.pictures import encode_picture
from yolox_pose.io.sources import Source
from yolox_pose.structures.classes import default_category_ids
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

COORDINATE_DIGITS, SCORE_DIGITS = 3, 6
"""Decimals in JSON: a thousandth of a pixel is the precision of the letterbox."""


@dataclass
class PoseResult:
    """Persons detected in an image, best first.

    Attributes:
        keypoints: Keypoints of shape (n, K, 2), float32, in pixels of the source image; 0 for classes without keypoints. K is 0
            for plain detection.
        keypoint_scores: Keypoint scores of shape (n, K), float32, 0 to 1; 0 for classes without keypoints.
        boxes: Boxes of shape (n, 4), float32, xyxy in pixels of the source image.
        scores: Scores of shape (n,), float32, 0 to 1.
        labels: Indices into ``classes``, (n,) int64.
        skeleton: Skeleton of the K keypoints. None for plain detection.
        classes: Class names.
        keypoint_classes: Labels of the classes that have keypoints. None for all.
        track_ids: Track ids of shape (n,), int64. None if persons are not tracked.
        path: File of the image or video, or None.
        name: Name of the file, download or camera. None for arrays.
        frame: Number of the frame in a video, counted from 0. None for images.
        time: Seconds since the first frame of the video. None for images.
        fps: Frames per second of the video. None for images.
        size: Width and height of the source image in pixels.
        source: Source from :func:`yolox_pose.io.sources.list_sources`, or None.
        held_image: Source image of shape (H, W, 3), uint8 BGR, or None to read it from the file.
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
    source: Source | None = field(default=None, repr=False)
    held_image: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def has_keypoints(self) -> np.ndarray:
        """Which detections belong to a class with keypoints, (n,) bool."""
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
        """Source image of shape (H, W, 3), uint8 BGR. An image file is read again, so that results stay small.

        Raises:
            DataError: If the file can no longer be read.
            ValueError: If there is neither an image nor a file.
        """
        if self.held_image is not None:
            return self.held_image
        if self.path is None or self.frame is not None:
            raise ValueError("this result holds no image and was not read from an image file")
        return read_image(self.path)

    @property
    def image_id(self) -> int | str:
        """Id of the image: the name without its ending, as a number if it is one.

        The id of a video frame is the name of the video and the number of the frame: ``street_000012``.

        Raises:
            ValueError: If the image came as an array.
        """
        name = self.name or (self.path.name if self.path is not None else None)
        if name is None:
            raise ValueError("an image without a file name has no id; pass image_id=")
        stem = Path(name).stem
        if self.frame is not None:
            return f"{stem}_{self.frame:06d}"
        return int(stem) if stem.isascii() and stem.isdigit() else stem

    def select(self, index: np.ndarray) -> PoseResult:
        """Return a result with some of the persons. It shares the image.

        Args:
            index: Indices of shape (m,), or a mask of shape (n,).
        """
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
        """Cut out the image around each person.

        Args:
            margin: Share of the width and height of the box to add on every side, within the image.

        Returns:
            Image of each person, (h, w, 3) uint8 BGR, at least one pixel.
        """
        image = self.image
        limit = np.tile(image.shape[1::-1], 2)
        enlarged = self.boxes + margin * np.tile(self.boxes[:, 2:] - self.boxes[:, :2], 2) * [-1, -1, 1, 1]
        low = np.floor(np.clip(enlarged[:, :2], 0, limit[:2] - 1)).astype(int)
        high = np.ceil(np.clip(enlarged[:, 2:], 1, limit[2:])).astype(int)
        return [
            image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] for (x1, y1), (x2, y2) in zip(low.tolist(), high.tolist())
        ]

    def plot(
        self, *, kpt_thr: float = 0.3, show_boxes: bool = True, show_tags: bool = True, zoom: float = 1.0
    ) -> np.ndarray:
        """Draw the result into a copy of its image.

        Args:
            kpt_thr: Lowest score of a keypoint that is drawn.
            show_boxes: Whether to draw the boxes.
            show_tags: Whether to draw the tags.
            zoom: Factor to enlarge the image by before drawing, which gives finer lines on small images.

        Returns:
            Picture of shape (round(H * zoom), round(W * zoom), 3), uint8 BGR.
        """
        return draw_poses(
            self.image,
            keypoints=np.where(self.has_keypoints[:, None, None], self.keypoints, np.nan),
            keypoint_scores=self.keypoint_scores,
            boxes=self.boxes,
            scores=self.scores,
            labels=self.labels,
            track_ids=self.track_ids,
            skeleton=self.skeleton,
            classes=self.classes,
            kpt_thr=kpt_thr,
            show_boxes=show_boxes,
            show_tags=show_tags,
            zoom=zoom,
        )

    def to_coco(
        self,
        image_id: int | str | None = None,
        category_ids: Sequence[int] | Mapping[int, int] | None = None,
        boxes: bool | None = None,
    ) -> list[dict[str, Any]]:
        """Convert the result to entries of a COCO results file.

        Args:
            image_id: Id of the image. None uses :attr:`image_id`; COCO names its images by their ids.
            category_ids: COCO category id of each label. None uses COCO's ids for its 80 classes and counts from 1 otherwise.
            boxes: Whether entries have ``bbox`` (x, y, w, h). None leaves it out if all classes have keypoints: COCO tools take
                the area of a person from ``bbox``, which changes AP by size.

        Returns:
            An entry for each detection. Detections of classes without keypoints have no ``keypoints``.

        Raises:
            ValueError: If there is neither an id nor a file name.
        """
        # Choose ids and fields
        if image_id is None:
            image_id = self.image_id
        if category_ids is None:
            category_ids = default_category_ids(self.classes)
        with_boxes = boxes if boxes is not None else self.keypoints.shape[1] == 0 or self.is_joint
        with_keypoints = self.has_keypoints

        # Build the entries
        entries = []
        for i in range(len(self)):
            entry: dict[str, Any] = {"image_id": image_id, "category_id": int(category_ids[int(self.labels[i])])}
            if with_keypoints[i]:
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

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        kpt_thr: float = 0.3,
        show_boxes: bool = True,
        show_tags: bool = True,
        zoom: float = 1.0,
        image_id: int | str | None = None,
        category_ids: Sequence[int] | Mapping[int, int] | None = None,
        boxes: bool | None = None,
    ) -> Path:
        """Write the drawn picture, or the COCO results if the name ends in ``.json``.

        Args:
            path: File to write. Its folder is created. An existing file is replaced, except the source image.
            kpt_thr: See :meth:`plot`, for pictures.
            show_boxes: See :meth:`plot`, for pictures.
            show_tags: See :meth:`plot`, for pictures.
            zoom: See :meth:`plot`, for pictures.
            image_id: See :meth:`to_coco`, for COCO results.
            category_ids: See :meth:`to_coco`, for COCO results.
            boxes: See :meth:`to_coco`, for COCO results.

        Returns:
            The path.

        Raises:
            UsageError: If the path is the source image, or its ending is not a picture format.
        """
        # Protect the source image
        path = Path(path)
        if self.path is not None and path.resolve() == Path(self.path).resolve():
            raise UsageError(f"{path} is the source image and is not overwritten; choose another name")

        # Encode before the folder is created, so that an error leaves nothing behind
        if path.suffix.lower() == ".json":
            data = json.dumps(self.to_coco(image_id, category_ids, boxes)).encode()
        else:
            picture = self.plot(kpt_thr=kpt_thr, show_boxes=show_boxes, show_tags=show_tags, zoom=zoom)
            data = encode_picture(picture, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(v), digits) for v in values.ravel()]
