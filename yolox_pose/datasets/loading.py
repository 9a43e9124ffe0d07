"""Images from files, refused with file and image id where they are missing, damaged or of another size than annotated."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.geometry.images import is_complete

READ_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""Three BGR channels also from grey files; EXIF orientation ignored, because COCO annotations were made without it."""


class SampleError(DataError):
    """A sample that cannot be loaded. The message stays one line also when a worker process raised it.

    PyTorch builds a worker's exception again from ``Caught SampleError in DataLoader worker process 0.`` and the whole
    traceback; only the message at its end is kept.
    """

    def __init__(self, message: str) -> None:
        if message.startswith("Caught "):
            message = message.strip().splitlines()[-1].partition(": ")[2]
        super().__init__(message)


def read_image(path: str | Path, *, image_id: int | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image file.

    Args:
        path: Image file.
        image_id: Id that an error message names.
        size: Width and height that the annotations were made for; not checked if None.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        SampleError: If the file is missing, cannot be decoded, is truncated, or has another size.
    """
    name = f"image {os.fspath(path)}" if image_id is None else f"image {os.fspath(path)} (id {image_id})"
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except FileNotFoundError:
        raise SampleError(f"{name} is missing") from None
    except OSError as error:
        raise SampleError(f"{name} cannot be read: {error.strerror or error}") from None
    if not is_complete(data.tobytes()):
        raise SampleError(f"{name} is truncated")
    try:
        img = cv2.imdecode(data, READ_FLAGS) if data.size else None
    except cv2.error:
        img = None
    if img is None:
        raise SampleError(f"{name} is not an image that can be decoded")
    if size is not None and img.shape[1::-1] != tuple(size):
        found, stated = "x".join(map(str, img.shape[1::-1])), "x".join(map(str, size))
        raise SampleError(f"{name} is {found}, its annotations are for {stated} (EXIF orientation is ignored)")
    return img
