"""Turn whatever a user names (file, folder, pattern, address, camera, array, list) into single images and videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.images import decode_image, read_image, to_bgr
from yolox_pose.io.downloads import download
from yolox_pose.io.video_reader import VideoReader
from yolox_pose.structures.constants import IMAGE_SUFFIXES
from yolox_pose.utils.background import in_order

T = TypeVar("T")

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})
"""Endings, in lower case, of files and addresses that are opened as videos."""

DOWNLOAD_SCHEMES = frozenset({"http", "https"})
STREAM_SCHEMES = frozenset({"rtmp", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})


class Frame(NamedTuple):
    """Image or video frame that was read.

    Attributes:
        pixels: Image of shape (H, W, 3), uint8 BGR.
        source: Source of the image.
        number: Number of the frame in a video, counted from 0. None for images.
        time: Seconds since the first frame of the video. None for images.
        fps: Frames per second of the video. None for images.
    """

    pixels: np.ndarray
    source: Source
    number: int | None = None
    time: float | None = None
    fps: float | None = None


class Source(NamedTuple):
    """One image (a file, an address or an array) or one video (a file, an address or a camera).

    Attributes:
        path: File.
        array: BGR array or PIL image.
        address: URL such as ``http://…`` or ``rtsp://…``.
        camera: Index of a camera.
        is_video: Whether the source has many frames.
        is_live: Whether the frames arrive in real time.
    """

    path: Path | None = None
    array: Any = None
    address: str | None = None
    camera: int | None = None
    is_video: bool = False
    is_live: bool = False

    @property
    def name(self) -> str | None:
        """Short name that output files can be named by: the name of the file, also in an address, or ``camera0``."""
        if self.path is not None:
            return self.path.name
        if self.address is not None:
            parts = urlsplit(self.address)
            return PurePosixPath(unquote(parts.path)).name or parts.hostname or "stream"
        return f"camera{self.camera}" if self.camera is not None else None

    @property
    def label(self) -> str:
        """Path or address in full, for messages."""
        return str(self.path or self.address or self.name or "array")

    def read(self) -> np.ndarray:
        """Read an image.

        Returns:
            Image of shape (H, W, 3), uint8 BGR.

        Raises:
            DataError: If it cannot be read.
        """
        if self.path is not None:
            return read_image(self.path)
        if self.address is not None:
            return decode_image(download(self.address), self.address)
        return _pil_to_bgr(self.array) if _is_pil(self.array) else to_bgr(np.asarray(self.array))

    def open(self) -> VideoReader:
        """Open a video.

        Raises:
            DataError: If it cannot be opened.
        """
        location = self.camera if self.camera is not None else self.address or str(self.path)
        return VideoReader(location, live=self.is_live)


def list_sources(source: Any) -> list[Source]:
    """List the images and videos behind a source, in order.

    Args:
        source: Path of an image or video, folder (its images, sorted by name, without subfolders), glob pattern (``**``
            includes subfolders), address (``http``, ``https``, ``rtsp`` …), index of a camera, BGR array, PIL image, or an
            iterable of these.

    Raises:
        UsageError: If a path does not exist, a folder or pattern has no image, or the kind of source is unknown.
    """
    if isinstance(source, (str, os.PathLike)):
        return _list_named(os.fspath(source))
    if isinstance(source, Source):
        return [source]
    if isinstance(source, np.ndarray) or _is_pil(source):
        return [Source(array=source)]
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool) and source >= 0:
        return [_camera(int(source))]
    if isinstance(source, Iterable):
        return [listed for item in source for listed in list_sources(item)]
    raise UsageError(
        f"images cannot come from {type(source).__name__} {source!r}; give a path, folder, pattern, address, camera index, "
        "array or list"
    )


def read_frames(
    sources: Iterable[Source],
    on_error: Callable[[Source, DataError], None] | None = None,
    finish: Callable[[Frame], T] = lambda frame: frame,  # type: ignore[assignment,return-value]
    workers: int = 1,
) -> Iterator[T]:
    """Read the images and the frames of the videos, in order.

    Args:
        sources: Sources from :func:`list_sources`.
        on_error: Function to call for a source that cannot be read, which is then skipped. None raises the error.
        finish: Function to apply to every frame.
        workers: Number of threads that decode images and apply ``finish``. Frames of a video are decoded by one thread.

    Yields:
        The results of ``finish``.

    Raises:
        DataError: If a source cannot be read and ``on_error`` is None.
    """
    for outcome in in_order(_read_calls(sources, finish), workers):
        if not isinstance(outcome, _Unreadable):
            yield outcome
        elif on_error is None:
            raise outcome.error
        else:
            on_error(*outcome)


def count_frames(sources: Sequence[Source]) -> int | None:
    """Count images and video frames, as stated by the files.

    Returns:
        The number, or None if a video does not state it or comes from an address or camera.
    """
    total = 0
    for source in sources:
        if not source.is_video:
            total += 1
            continue
        if source.path is None:
            return None
        try:
            reader = source.open()
        except DataError:
            continue
        reader.close()
        if reader.count is None:
            return None
        total += reader.count
    return total


class _Unreadable(NamedTuple):
    """Source that could not be read, and the error."""

    source: Source
    error: DataError


def _read_calls(sources: Iterable[Source], finish: Callable[[Frame], T]) -> Iterator[Callable[[], T | _Unreadable]]:
    """Yield calls that each read one image or finish one frame of a video."""
    for source in sources:
        if not source.is_video:
            yield partial(_read_image, source, finish)
            continue
        try:
            for frame in _video_frames(source):
                yield partial(finish, frame)
        except DataError as error:
            yield partial(_Unreadable, source, error)


def _read_image(source: Source, finish: Callable[[Frame], T]) -> T | _Unreadable:
    try:
        return finish(Frame(source.read(), source))
    except DataError as error:
        return _Unreadable(source, error)


def _video_frames(source: Source) -> Iterator[Frame]:
    reader = source.open()
    try:
        for frame in reader:
            yield Frame(frame.pixels, source, frame.number, frame.time, reader.fps)
    finally:
        reader.close()


def _list_named(name: str) -> list[Source]:
    """List the sources behind a string. An existing file or folder comes first, even if its name looks like a pattern."""
    # Existing folders and files
    path = Path(name)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not files:
            raise UsageError(f"folder {name} has no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return [_file(path) for path in files]
    if path.exists():
        return [_file(path)]

    # Addresses, camera numbers and patterns
    if "://" in name:
        return [_address(name)]
    if name.isascii() and name.isdigit():
        return [_camera(int(name))]
    if has_magic(name):
        files = sorted(Path(p) for p in glob(name, recursive=True) if Path(p).is_file())
        if files:
            return [_file(path) for path in files]
        raise UsageError(f"no file matches {name}")
    raise UsageError(f"{name} does not exist")


def _file(path: Path) -> Source:
    return Source(path, is_video=path.suffix.lower() in VIDEO_SUFFIXES)


def _camera(index: int) -> Source:
    return Source(camera=index, is_video=True, is_live=True)


def _address(name: str) -> Source:
    """Return the image, video or stream at an address.

    Raises:
        UsageError: If the scheme is not supported.
    """
    parts = urlsplit(name)
    scheme, suffix = parts.scheme.lower(), PurePosixPath(parts.path).suffix.lower()
    if scheme in STREAM_SCHEMES or (scheme in DOWNLOAD_SCHEMES and suffix == ".m3u8"):
        return Source(address=name, is_video=True, is_live=True)
    if scheme in DOWNLOAD_SCHEMES and parts.netloc:
        return Source(address=name, is_video=suffix in VIDEO_SUFFIXES)
    supported = ", ".join(sorted(DOWNLOAD_SCHEMES | STREAM_SCHEMES))
    raise UsageError(f"{name} is an address that cannot be read; supported schemes are {supported}")


def _is_pil(item: Any) -> bool:
    """Recognize a PIL image without importing PIL, which is optional."""
    return any(cls.__module__.startswith("PIL.") and cls.__name__ == "Image" for cls in type(item).__mro__)


def _pil_to_bgr(image: Any) -> np.ndarray:
    """Convert a PIL image to BGR, upright by its EXIF orientation."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return to_bgr(np.asarray(image, dtype=np.uint16))
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
