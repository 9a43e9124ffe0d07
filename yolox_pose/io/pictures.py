"""Encode and write pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from yolox_pose.errors import DataError, UsageError

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""Endings of file names, in lower case, that pictures are written as. OpenCV writes others too where it was built for them."""


def encode_picture(img: np.ndarray, path: Path) -> bytes:
    """Encode a picture in the format of a file name.

    Args:
        img: Picture of shape (H, W, 3), uint8 BGR.
        path: File name whose ending gives the format.

    Raises:
        UsageError: If OpenCV cannot write the format.
    """
    try:
        encoded, data = cv2.imencode(path.suffix.lower(), img)
    except cv2.error:
        encoded = False
    if not encoded:
        raise UsageError(f"{path}: pictures cannot be written as '{path.suffix}'; use .jpg or .png")
    return data.tobytes()


def write_picture(img: np.ndarray, path: Path) -> None:
    """Write a picture in the format of its file name.

    Args:
        img: Picture of shape (H, W, 3), uint8 BGR.
        path: File to write. An existing file is replaced.

    Raises:
        UsageError: If OpenCV cannot write the format.
        DataError: If the file cannot be written.
    """
    data = encode_picture(img, path)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f"picture {path} cannot be written: {error.strerror or error}") from None
