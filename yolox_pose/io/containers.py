"""Check whether a video file is cut off, from the sizes that its container states."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

ISO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"pnot", b"uuid"})
"""First boxes of mp4, mov and 3gp files (ISO/IEC 14496-12; QuickTime File Format)."""

EBML_ID, SEGMENT_ID = 0x1A45DFA3, 0x18538067
"""First two elements of mkv and webm files (RFC 9559)."""

ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""GUIDs of two objects of asf and wmv files; the second holds the size of the file (ASF specification 1.2, section 3.2)."""


def is_cut_off(path: str | os.PathLike[str]) -> bool | None:
    """Return whether a video file ends before the end that its container states.

    Args:
        path: Video file.

    Returns:
        None if the container (other than mp4, mov, 3gp, avi, mkv, webm, asf and wmv) or the file does not tell.
    """
    try:
        size = Path(path).stat().st_size
        with open(path, "rb") as file:
            end = _stated_end(file, size)
    except OSError:
        return None
    return None if end is None else end > size


def _stated_end(file: BinaryIO, size: int) -> int | None:
    """Return the offset at which the last top-level part of a container should end, None if unknown."""
    head = file.read(4096)
    if head[:4] == b"RIFF":
        return _end_of_riff(file, size)
    if head[4:8] in ISO_BOXES:
        return _end_of_boxes(file, size)
    if int.from_bytes(head[:4], "big") == EBML_ID:
        return _end_of_segment(file)
    if head.startswith(ASF_HEADER) and ASF_PROPERTIES in head:
        position = head.index(ASF_PROPERTIES) + 40  # behind the GUID, the size of the object and the GUID of the file
        return int.from_bytes(head[position : position + 8], "little") or None
    return None


def _end_of_boxes(file: BinaryIO, size: int) -> int | None:
    """Return the end of the last box of an ISO base media file; a box is its length, its type and its content."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0 is a box that reaches to the end of the file
            return None
        position += length
    return position


def _end_of_riff(file: BinaryIO, size: int) -> int | None:
    """Return the end of the last RIFF chunk. An AVI above 1 GB has several, each padded to an even length."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or length == 0:
            return None
        position += 8 + length
        if position < size:
            position += length % 2
    return position


def _end_of_segment(file: BinaryIO) -> int | None:
    """Return the end of the segment of a Matroska file. Live recordings do not state it."""
    file.seek(4)
    header_length = _read_length(file)
    if header_length is None:
        return None
    file.seek(header_length, os.SEEK_CUR)
    if int.from_bytes(file.read(4), "big") != SEGMENT_ID:
        return None
    length = _read_length(file)
    return None if length is None else file.tell() + length


def _read_length(file: BinaryIO) -> int | None:
    """Read the length of an EBML element (RFC 8794, section 6), None if it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    mask = (1 << (7 * (extra + 1))) - 1
    length = int.from_bytes(first + file.read(extra), "big") & mask
    return None if length == mask else length
