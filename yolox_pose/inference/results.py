"""Result of an image: arrays in pixels of the source image, single persons, drawn pictures, and other formats.

Shape letters: n persons (or objects), K keypoints. The module needs numpy and cv2 alone: PyTorch and exported models give the
same results.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import index as as_index
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import cv2
import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.images import read_image
from yolox_pose.inference.formats import (
    coco_entries,
    keypoint_names,
    openpose_dict,
    result_to_dict,
    yolo_lines,
)
from yolox_pose.inference.person import Person, equal_fields
from yolox_pose.io.pictures import encode_picture
from yolox_pose.io.sources import Source
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

if TYPE_CHECKING:
    import pandas

    from yolox_pose.inference.conversions import SupervisionResult

NOTEBOOK_SIDE = 1280
"""Longest side in pixels of the picture that a notebook shows."""


class Timings(NamedTuple):
    """Milliseconds per image. Images of a batch share the time of the batch.

    Attributes:
        preprocess: Letterboxing. Reading the file is not included.
        network: The network. On a GPU, from the start of the batch to its detections.
        postprocess: Decoding and NMS. 0 on a GPU, where they run beside the next batch and count as ``network``.
    """

    preprocess: float
    network: float
    postprocess: float


@dataclass(eq=False, repr=False)
class PoseResult:
    """Persons detected in an image, best first.

    ``result[0]`` and ``for person in result`` give a :class:`yolox_pose.inference.person.Person`. A slice, a mask or a list of
    indices gives a result with these persons. Results are equal if all but image, source and timings is equal.

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
        low_score: Which tracked persons score below the score threshold and only continue their track, (n,) bool. None if
            persons are not tracked.
        path: File of the image or video, or None.
        name: Name of the file, download or camera. None for arrays.
        frame: Number of the frame in a video, counted from 0. None for images.
        time: Seconds since the first frame of the video. None for images.
        fps: Frames per second of the video. None for images.
        size: Width and height of the source image in pixels.
        source: Source from :func:`yolox_pose.io.sources.list_sources`, or None.
        held_image: Source image of shape (H, W, 3), uint8 BGR, or None to read it from the file.
        timings: Milliseconds of each stage, or None.
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
    low_score: np.ndarray | None = None
    path: Path | None = None
    name: str | None = None
    frame: int | None = None
    time: float | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    source: Source | None = field(default=None, compare=False)
    held_image: np.ndarray | None = field(default=None, compare=False)
    timings: Timings | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Person]:
        return map(self._person, range(len(self)))

    @overload
    def __getitem__(self, index: int | np.integer) -> Person: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> PoseResult: ...

    def __getitem__(self, index: Any) -> Person | PoseResult:
        """Return one person by index, or a result with the persons of a slice, mask or list.

        Raises:
            IndexError: If there are fewer persons.
            TypeError: If the index is of another type.
        """
        if isinstance(index, slice):
            return self.select(index)
        if isinstance(index, (list, tuple)) or (isinstance(index, np.ndarray) and index.ndim):
            return self.select(np.asarray(index, dtype=None if len(index) else np.int64))
        try:
            position = as_index(index)
        except TypeError:
            raise TypeError(f"persons are chosen by index, slice, mask or list, not {index!r}") from None
        if not -len(self) <= position < len(self):
            raise IndexError(f"person {position} does not exist; the result has {len(self)}")
        return self._person(position % len(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PoseResult):
            return NotImplemented
        return equal_fields(self, other, tuple(item.name for item in fields(self) if item.compare))

    __hash__ = None  # type: ignore[assignment]  # as of any mutable value

    def __repr__(self) -> str:
        # Name the image
        place = self.name or (self.path.name if self.path is not None else None)
        frame = "" if self.frame is None else f"frame {self.frame}"
        size = "" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        image = " ".join(part for part in (place, frame, size) if part)

        # Count the classes
        labels, counts = np.unique(self.labels, return_counts=True)
        found = [f"{self.classes[label]} x{count}" for label, count in zip(labels, counts)]
        scores = f", scores {self.scores.max():.2f} to {self.scores.min():.2f}" if len(self) else ""
        if len(self) == 1:
            scores = f", score {self.scores[0]:.2f}"
        return f"PoseResult({image}{': ' if image else ''}{', '.join(found) or 'no detections'}{scores})"

    def _repr_png_(self) -> bytes | None:
        """Return the drawn picture as PNG for notebooks, or None if there is no image."""
        try:
            picture = self.plot()
        except (ValueError, DataError):
            return None
        scale = NOTEBOOK_SIDE / max(picture.shape[:2])
        if scale < 1:
            picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return encode_picture(picture, Path("picture.png"))

    def _person(self, i: int) -> Person:
        label = int(self.labels[i])
        return Person(
            keypoints=self.keypoints[i],
            keypoint_scores=self.keypoint_scores[i],
            box=self.boxes[i],
            score=float(self.scores[i]),
            label=label,
            class_name=self.classes[label],
            has_keypoints=bool(self.has_keypoints[i]),
            track_id=None if self.track_ids is None else int(self.track_ids[i]),
            keypoint_names=keypoint_names(self),
            low_score=None if self.low_score is None else bool(self.low_score[i]),
        )

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

    def select(self, index: np.ndarray | slice) -> PoseResult:
        """Return a result with some of the persons. It shares the image.

        Args:
            index: Indices of shape (m,), a mask of shape (n,), or a slice.
        """
        return replace(
            self,
            keypoints=self.keypoints[index],
            keypoint_scores=self.keypoint_scores[index],
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            track_ids=None if self.track_ids is None else self.track_ids[index],
            low_score=None if self.low_score is None else self.low_score[index],
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
        self,
        *,
        kpt_thr: float = 0.3,
        show_boxes: bool = True,
        show_tags: bool = True,
        line_width: float | None = None,
        zoom: float = 1.0,
    ) -> np.ndarray:
        """Draw the result into a copy of its image.

        Args:
            kpt_thr: Lowest score of a keypoint that is drawn.
            show_boxes: Whether to draw the boxes.
            show_tags: Whether to draw the tags. Persons that are narrower than theirs have none.
            line_width: Width of limbs and boxes in pixels of the picture. None chooses it by the size of each person.
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
            line_width=line_width,
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
        return coco_entries(self, self.image_id if image_id is None else image_id, category_ids, boxes)

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, with a dict for each person.

        Returns:
            ``name``, ``path``, ``width``, ``height``, for video frames ``frame`` and ``time``, and ``detections``, a list with
            ``class``, ``label``, ``score``, ``track_id`` and ``low_score`` of tracked persons, ``box`` (xyxy), and ``keypoints``,
            a dict from name to ``[x, y, score]``. Coordinates are pixels of the source image.
        """
        return result_to_dict(self)

    def to_json(self, indent: int | None = None) -> str:
        """Convert the result to JSON text, with the content of :meth:`to_dict`.

        Args:
            indent: Number of spaces per level. None writes one line.
        """
        return json.dumps(self.to_dict(), indent=indent)

    def to_df(self, image_id: int | str | None = None) -> pandas.DataFrame:
        """Convert the result to a table with a row for each person and the columns of ``--csv``.

        Args:
            image_id: Id of the image. None uses :attr:`image_id`, and None for arrays.

        Raises:
            MissingDependencyError: If pandas is not installed.
        """
        from yolox_pose.inference.conversions import result_to_df

        if image_id is None and (self.name or self.path):
            image_id = self.image_id
        return result_to_df(self, image_id)

    def to_supervision(self, kpt_thr: float = 0.3) -> SupervisionResult:
        """Convert the result to ``sv.KeyPoints`` and ``sv.Detections`` of the package supervision, 0.29 or newer.

        Args:
            kpt_thr: Lowest score of a keypoint that is marked as visible. supervision draws visible keypoints only.

        Returns:
            ``key_points`` and ``detections``, with a row for each person in both. Track ids are
            ``detections.tracker_id`` and ``key_points.data["tracker_id"]``.

        Raises:
            MissingDependencyError: If supervision is not installed or older.

        Example:
            >>> key_points, detections = result.to_supervision()
            >>> picture = sv.EdgeAnnotator(edges=[(a + 1, b + 1) for a, b in result.skeleton.links]).annotate(
            ...     result.image.copy(), key_points
            ... )
        """
        from yolox_pose.inference.conversions import result_to_supervision

        return result_to_supervision(self, kpt_thr)

    def to_openpose(self, layout: str = "body_25", kpt_thr: float = 0.3) -> dict[str, Any]:
        """Convert the persons to the JSON structure of OpenPose. Neck and mid-hip are the middles of shoulders and hips.

        Args:
            layout: ``'body_25'``, OpenPose's default with 25 keypoints (those of the feet are 0), or ``'coco'`` with 18.
            kpt_thr: Lowest score of a keypoint that is written. Others are ``0, 0, 0``, as OpenPose writes missing ones.

        Raises:
            UsageError: If the skeleton does not have COCO's keypoints, or the layout is unknown.
        """
        return openpose_dict(self, layout, kpt_thr)

    def save_openpose(self, path: str | os.PathLike[str], layout: str = "body_25", kpt_thr: float = 0.3) -> Path:
        """Write :meth:`to_openpose` to a JSON file. Its folder is created; an existing file is replaced.

        Args:
            path: File to write. OpenPose names it ``NAME_keypoints.json``.
            layout: See :meth:`to_openpose`.
            kpt_thr: See :meth:`to_openpose`.

        Returns:
            The path.
        """
        return self._write(path, (json.dumps(self.to_openpose(layout, kpt_thr)) + "\n").encode())

    def save_txt(self, path: str | os.PathLike[str], kpt_thr: float = 0.3) -> Path:
        """Write the persons as labels in YOLO-pose text. Its folder is created; an existing file is replaced.

        A line is ``class cx cy w h x1 y1 v1 ... xK yK vK``, in parts of the image's width and height. An image without persons
        gives an empty file. ``yolox-pose dataset convert`` turns a folder of such files into COCO annotations.

        Args:
            path: File to write.
            kpt_thr: Lowest score of a visible keypoint (``v`` is 2). Others, and those outside the image, are ``0 0 0``.

        Returns:
            The path.
        """
        size = self.size or (self.image.shape[1], self.image.shape[0])
        lines = yolo_lines(self, size, kpt_thr)
        return self._write(path, "".join(f"{line}\n" for line in lines).encode())

    def show(
        self,
        *,
        kpt_thr: float = 0.3,
        show_boxes: bool = True,
        show_tags: bool = True,
        line_width: float | None = None,
        zoom: float = 1.0,
        wait: bool = True,
    ) -> None:
        """Show the drawn picture: below the cell of a notebook, in a window, or in the program that opens PNG files.

        Args:
            kpt_thr: See :meth:`plot`.
            show_boxes: See :meth:`plot`.
            show_tags: See :meth:`plot`.
            line_width: See :meth:`plot`.
            zoom: See :meth:`plot`.
            wait: Whether to wait for a key before the window closes. Pass False in a loop over frames.

        Raises:
            UsageError: If there is no display.
        """
        from yolox_pose.visualization.windows import show_picture

        picture = self.plot(
            kpt_thr=kpt_thr, show_boxes=show_boxes, show_tags=show_tags, line_width=line_width, zoom=zoom
        )
        show_picture(picture, self.name or "yolox-pose", wait=wait)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        kpt_thr: float = 0.3,
        show_boxes: bool = True,
        show_tags: bool = True,
        line_width: float | None = None,
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
            line_width: See :meth:`plot`, for pictures.
            zoom: See :meth:`plot`, for pictures.
            image_id: See :meth:`to_coco`, for COCO results.
            category_ids: See :meth:`to_coco`, for COCO results.
            boxes: See :meth:`to_coco`, for COCO results.

        Returns:
            The path.

        Raises:
            UsageError: If the path is the source image, or its ending is not a picture format.
        """
        # Encode before the folder is created, so that an error leaves nothing behind
        path = self._checked_path(path)
        if path.suffix.lower() == ".json":
            return self._write(path, json.dumps(self.to_coco(image_id, category_ids, boxes)).encode())
        picture = self.plot(
            kpt_thr=kpt_thr, show_boxes=show_boxes, show_tags=show_tags, line_width=line_width, zoom=zoom
        )
        return self._write(path, encode_picture(picture, path))

    def _checked_path(self, path: str | os.PathLike[str]) -> Path:
        """Return the path of an output that is not the source image."""
        path = Path(path)
        if self.path is not None and path.resolve() == Path(self.path).resolve():
            raise UsageError(f"{path} is the source image and is not overwritten; choose another name")
        return path

    def _write(self, path: str | os.PathLike[str], data: bytes) -> Path:
        """Write a file, and create its folder.

        Raises:
            DataError: If it cannot be written.
        """
        path = self._checked_path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise DataError(f"result {path} cannot be written: {error.strerror or error}") from None
        return path
