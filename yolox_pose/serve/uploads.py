"""Recognize the type and size of an uploaded image from its header: a few kilobytes can decode to gigabytes."""

from __future__ import annotations

from typing import Literal

from yolox_pose.errors import DataError

MEDIA_TYPES = ("image/jpeg", "image/png", "image/webp")
"""Media types of images that are accepted."""

_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})
"""JPEG markers between C0 and CF that do not start a frame."""


def sniff_image(data: bytes) -> tuple[str, tuple[int, int]]:
    """Recognize an encoded image.

    Args:
        data: Content of the file.

    Returns:
        Media type, and width and height in pixels.

    Raises:
        DataError: If it is none of :data:`MEDIA_TYPES`, or its header is broken.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return "image/png", _checked(_number(data, 16, 4), _number(data, 20, 4))
        if data.startswith(b"\xff\xd8\xff"):
            return "image/jpeg", _checked(*_jpeg_size(data))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return "image/webp", _checked(*_webp_size(data))
    except (IndexError, ValueError):
        raise DataError("the image is broken: its header does not state its size") from None
    raise DataError("the file is no JPEG, PNG or WebP image")


def _checked(width: int, height: int) -> tuple[int, int]:
    """Return the size.

    Raises:
        ValueError: If a side is 0.
    """
    if min(width, height) < 1:
        raise ValueError
    return width, height


def _number(data: bytes, start: int, length: int, order: Literal["big", "little"] = "big") -> int:
    """Return an unsigned number.

    Raises:
        IndexError: If the data end before.
    """
    if len(data) < start + length:
        raise IndexError
    return int.from_bytes(data[start : start + length], order)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return the width and height in the frame header (ITU-T T.81, B.2.2)."""
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return _number(data, position + 7, 2), _number(data, position + 5, 2)
        position += 1 if marker == 0xFF else 2 + _number(data, position + 2, 2)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the width and height in the first chunk (RFC 9649, section 2)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + _number(data, 24, 3, "little"), 1 + _number(data, 27, 3, "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = _number(data, 21, 4, "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF
    raise ValueError
