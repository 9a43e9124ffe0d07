"""Write results to files while they arrive: COCO JSON, a CSV table, single persons."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from yolox_pose.errors import DataError
from yolox_pose.inference.formats import table_columns, table_rows
from yolox_pose.inference.results import PoseResult
from yolox_pose.io.pictures import write_picture


class ResultFile:
    """File of results, created with the first result. As a context manager it closes the file at the end.

    Args:
        path: File to write. An existing file is replaced.

    Raises:
        DataError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None

    def write(self, result: PoseResult, image_id: int | str) -> None:
        """Append the persons of an image."""
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

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        """Write the beginning of the file."""
        raise NotImplementedError

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        """Write the persons of an image."""
        raise NotImplementedError


class CocoFile(ResultFile):
    """COCO results file, one list for all images.

    The closing bracket is written after every image and overwritten by the next one. The file is valid JSON at any moment, also
    when the program is stopped, and only one image is held in memory.

    Args:
        path: File to write.
        category_ids: COCO category id of each label; see :meth:`PoseResult.to_coco`.
    """

    def __init__(self, path: Path, category_ids: Sequence[int] | Mapping[int, int] | None = None) -> None:
        super().__init__(path)
        self.category_ids = category_ids
        self._end, self._is_empty = 0, True

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        file.write("[")
        self._end, self._is_empty = file.tell(), True

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        lines = [json.dumps(entry) for entry in result.to_coco(image_id, self.category_ids)]
        file.seek(self._end)
        if lines:
            file.write(("\n" if self._is_empty else ",\n") + ",\n".join(lines))
            self._is_empty = False
        self._end = file.tell()
        file.write("\n]\n")


class CsvFile(ResultFile):
    """CSV table with a row for each person: image, box, and x, y and score of every keypoint."""

    def _begin(self, file: IO[str], result: PoseResult) -> None:
        csv.writer(file).writerow(table_columns(result))

    def _append(self, file: IO[str], result: PoseResult, image_id: int | str) -> None:
        csv.writer(file).writerows(table_rows(result, image_id))


def write_crops(folder: Path, result: PoseResult, image_id: int | str) -> None:
    """Write the image of each person as ``IMAGE_N.jpg``, with N the index of the person, or ``idT`` for track T.

    Raises:
        DataError: If a file cannot be written.
    """
    for i, crop in enumerate(result.crops()):
        person = str(i) if result.track_ids is None else f"id{int(result.track_ids[i])}"
        write_picture(crop, folder / f"{image_id}_{person}.jpg")
