"""Results into files while they come: COCO JSON, CSV, videos, single persons. Depends on numpy and cv2 alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.inference.results import COORDINATE_DIGITS, SCORE_DIGITS, PoseResult, encode_picture
from yolox_pose.io.video import VideoWriter
from yolox_pose.structures.constants import DEFAULT_FPS


class ResultFile:
    """A file that is made when the first result is written; as a context manager it is closed at the end.

    Args:
        path: File to write; one that is there is replaced.

    Raises:
        DataError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None

    def write(self, result: PoseResult, image_id: int | str) -> None:
        """Append the persons of one image."""
        try:
            if self._file is None:
                self._file = open(self.path, "w", encoding="utf-8", newline="")  # noqa: SIM115  (closed by close)
                self._begin(self._file, result)
            self._append(self._file, result, image_id)
            self._file.flush()
        except OSError as error:
            raise DataError(f"results {self.path} cannot be written: {error.strerror or error}") from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        raise NotImplementedError

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        raise NotImplementedError


class CocoFile(ResultFile):
    """COCO results, one list for all images.

    The closing bracket is written after every image and overwritten by the next one: the file is whole at any moment, also
    when the program is stopped, and no more than one image is held.

    Args:
        path: File to write.
        category_ids: Of each label; None as in :meth:`PoseResult.to_coco`.
    """

    def __init__(self, path: Path, category_ids: Sequence[int] | Mapping[int, int] | None = None) -> None:
        super().__init__(path)
        self.category_ids = category_ids
        self._end, self._empty = 0, True

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        file.write("[")
        self._end, self._empty = file.tell(), True

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        lines = [json.dumps(entry) for entry in result.to_coco(image_id, self.category_ids)]
        file.seek(self._end)
        if lines:
            file.write(("\n" if self._empty else ",\n") + ",\n".join(lines))
            self._empty = False
        self._end = file.tell()
        file.write("\n]\n")


class CsvFile(ResultFile):
    """A table with one line a person: where it is from, box, and x, y and score of every keypoint."""

    COLUMNS = ("image_id", "frame", "time", "person", "track_id", "class", "score", "x1", "y1", "x2", "y2")

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        names = result.skeleton.names if result.skeleton is not None else ()
        keypoints = [f"{name}_{part}" for name in names for part in ("x", "y", "score")]
        csv.writer(file).writerow([*self.COLUMNS, *keypoints])

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        triples = np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1).reshape(
            len(result), -1
        )
        time = "" if result.time is None else round(result.time, 4)
        rows = []
        for i in range(len(result)):
            track = "" if result.track_ids is None else int(result.track_ids[i])
            label = result.classes[int(result.labels[i])]
            where = [image_id, "" if result.frame is None else result.frame, time, i, track, label]
            score = round(float(result.scores[i]), SCORE_DIGITS)
            numbers = [round(float(v), COORDINATE_DIGITS) for v in (*result.boxes[i], *triples[i])]
            rows.append([*where, score, *numbers])
        csv.writer(file).writerows(rows)


class VideoFiles:
    """Drawn videos, one for each video that is read; as a context manager they are finished at the end."""

    def __init__(self) -> None:
        self._writer: VideoWriter | None = None

    def write(self, path: Path, picture: np.ndarray, fps: float | None) -> None:
        """Append a picture; the first one of another file finishes the one before."""
        if self._writer is None or self._writer.path != path:
            self.close()
            self._writer = VideoWriter(path, fps or DEFAULT_FPS)
        self._writer.write(picture)

    def close(self) -> None:
        """Finish the video."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def __enter__(self) -> VideoFiles:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture in the format that its name says.

    Raises:
        DataError: If it cannot be written.
    """
    try:
        path.write_bytes(encode_picture(picture, path))
    except OSError as error:
        raise DataError(f"picture {path} cannot be written: {error.strerror or error}") from None


def write_crops(folder: Path, result: PoseResult, image_id: int | str) -> None:
    """Write each person of an image as ``IMAGE_N.jpg``, with N its number in the image or ``idT`` for track T.

    Raises:
        DataError: If one cannot be written.
    """
    for i, crop in enumerate(result.crops()):
        number = str(i) if result.track_ids is None else f"id{int(result.track_ids[i])}"
        write_picture(folder / f"{image_id}_{number}.jpg", crop)
