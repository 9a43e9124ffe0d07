"""Problems of annotation files, and the error that stops at the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yolox_pose.errors import DataError


class Problem(NamedTuple):
    """One thing that is wrong in an annotation file.

    ``kind`` is one of file, image, missing_file, id, category, box, area, keypoints, crowd. ``category`` problems of
    the category list and those of kind ``file`` concern the whole file and have neither ``image_id`` nor ``ann_id``.
    """

    file: str
    kind: str
    message: str
    image_id: int | None = None
    ann_id: int | None = None

    def __str__(self) -> str:
        """Return one line that names the file and the ids."""
        place = "" if self.ann_id is None else f"annotation {self.ann_id}"
        if self.image_id is not None:
            place = f"{place} (image {self.image_id})" if place else f"image {self.image_id}"
        return f"{self.file}: {place}: {self.message}" if place else f"{self.file}: {self.message}"

    @property
    def concerns_file(self) -> bool:
        """Whether the problem is of the whole file, so that skipping images cannot avoid it."""
        return self.image_id is None and self.ann_id is None


def first_problem(problems: Sequence[Problem]) -> DataError:
    """Return the error of the first problem, with the number of the others."""
    others = len(problems) - 1
    more = f" (and {others} more problem{'s' * (others > 1)}; yolox-pose dataset check lists all)" if others else ""
    return DataError(f"{problems[0]}{more}")
