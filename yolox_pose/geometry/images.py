"""Reading of image files and arrays as BGR uint8, with numpy and cv2 alone."""

from __future__ import annotations

import os

import cv2
import numpy as np

from yolox_pose.errors import DataError, ImageError


def read_image(
    path: str | os.PathLike[str],
    *,
    apply_exif: bool = True,
    image_id: int | None = None,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Read an image file as three BGR channels of 8 bits.

    Gray and palette images get three channels. Of 16 bits the high 8 are kept. Transparency is dropped, CMYK is converted, and
    an animation returns its first frame.

    Args:
        path: Image file.
        apply_exif: Whether to rotate the image by its EXIF orientation. Training and evaluation pass False, because COCO
            annotations ignore the orientation.
        image_id: Image id for error messages.
        size: Expected width and height in pixels; None does not check them.

    Returns:
        Image of shape (H, W, 3), uint8, BGR.

    Raises:
        ImageError: If the file is missing, truncated, not decodable, or of another size.
    """
    name = os.fspath(path) if image_id is None else f"{os.fspath(path)} (id {image_id})"
    try:
        data = np.fromfile(path, dtype=np.uint8)  # not cv2.imread, which cannot open every name on Windows
    except FileNotFoundError:
        raise ImageError(f"image {name} is missing") from None
    except OSError as error:
        raise ImageError(f"image {name} cannot be read: {error.strerror or error}") from None
    img = decode_image(data, name, apply_exif=apply_exif)
    if size is not None and img.shape[1::-1] != tuple(size):
        actual, expected = ("x".join(map(str, sides)) for sides in (img.shape[1::-1], size))
        raise ImageError(f"image {name} is {actual}, its annotations are for {expected} (EXIF orientation is ignored)")
    return img


def decode_image(data: bytes | np.ndarray, name: str, *, apply_exif: bool = True) -> np.ndarray:
    """Decode the content of an image file as :func:`read_image` does.

    Args:
        data: Content of the file, bytes or an array of shape (n,), uint8.
        name: Name of the image in error messages.
        apply_exif: See :func:`read_image`.

    Returns:
        Image of shape (H, W, 3), uint8, BGR.

    Raises:
        ImageError: If the data are truncated or not decodable.
    """
    data = np.frombuffer(data, dtype=np.uint8)
    if not is_complete(data.tobytes()):
        raise ImageError(f"image {name} is truncated")
    flags = cv2.IMREAD_COLOR if apply_exif else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        img = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        img = None
    if img is None:
        raise ImageError(f"image {name} is not an image that can be decoded")
    return img


def is_complete(data: bytes) -> bool:
    """Check that an encoded JPEG or PNG file has its end marker; other formats always pass.

    cv2 decodes a truncated JPEG without an error and fills the rest with gray. The search for the end marker ``FFD9`` starts
    after the headers, because an embedded thumbnail has an end marker, too. It covers the rest of the file, because phones
    append data after the image.
    """
    if data.startswith(b"\xff\xd8"):
        return data.find(b"\xff\xd9", _jpeg_scan_start(data)) >= 0
    return not data.startswith(b"\x89PNG") or b"IEND" in data


def _jpeg_scan_start(data: bytes) -> int:
    """Return the offset of the first scan (marker ``FFDA``), or the length of the data if there is none."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return len(data)
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return len(data)


def to_bgr(array: np.ndarray) -> np.ndarray:
    """Convert a gray, BGR or BGRA array to BGR (H, W, 3), uint8. A BGR uint8 array is returned unchanged.

    Args:
        array: Image accepted by :func:`check_image_array`. Of 16 bits the high 8 are kept; floats are multiplied by 255.

    Raises:
        DataError: If :func:`check_image_array` refuses it.
    """
    check_image_array(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "f":
        array = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 3:
        return array
    return cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_GRAY2BGR if array.ndim == 2 else cv2.COLOR_BGRA2BGR)


def check_image_array(array: np.ndarray) -> None:
    """Check the shape, type and range of an image array.

    Args:
        array: Image of shape (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA; uint8, uint16, bool, or floats from 0 to 1.

    Raises:
        DataError: If it is none of these, or empty.
    """
    # Check the shape and the type
    name = f"{array.shape} {array.dtype}"
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if channels not in (1, 3, 4) or array.size == 0:
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = "; put channels last: array.transpose(1, 2, 0)"
        elif array.ndim == 3:
            hint = "; a batch of gray images is (N, H, W, 1): array[..., None]"
        raise DataError(
            "an image array must be (H, W), (H, W, 3) BGR or (H, W, 4) BGRA of uint8 or uint16, or floats from 0 to 1, "
            f"not {name}{hint}"
        )
    if array.dtype.kind != "f":
        if array.dtype not in (np.uint8, np.uint16, np.bool_):
            raise DataError(
                f"an image array must be of uint8 or uint16, or floats from 0 to 1, not {name}; use .astype(np.uint8)"
            )
        return

    # Check the range of floats
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):
        hint = "; use .astype(np.uint8)" if low >= 0 and high <= 255 else ""
        raise DataError(f"an image array of floats must hold 0 to 1, not {low:g} to {high:g} ({name}){hint}")
