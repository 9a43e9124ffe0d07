"""Turn whatever a user names (file, folder, pattern, address, camera, bytes, array, list) into single images and videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from glob import glob, has_magic
from numbers import Number
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.images import decode_image, read_image
from yolox_pose.io.arrays import is_pil, is_tensor, split_array, split_tensor, to_image
from yolox_pose.io.downloads import download
from yolox_pose.io.video_reader import VideoReader
from yolox_pose.structures.constants import IMAGE_SUFFIXES
from yolox_pose.utils.background import in_order

T = TypeVar("T")

VIDEO_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"}
    | {".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
"""Endings, in lower case, of files and addresses that are opened as videos. Other files are opened as what they hold."""

MAX_NAME = 100
"""Length at which a name is shortened in messages."""

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
    """One image (a file, an address, bytes or an array) or one video (a file, an address or a camera).

    Attributes:
        path: File.
        array: BGR array, RGB tensor or PIL image.
        data: Content of an image file.
        title: Name of the image in ``data``, if it has one.
        address: URL such as ``http://…`` or ``rtsp://…``.
        camera: Index of a camera.
        is_video: Whether the source has many frames.
        is_live: Whether the frames arrive in real time.
        stride: Every ``stride``-th frame of a video is read.
    """

    path: Path | None = None
    array: Any = None
    data: bytes | None = None
    title: str | None = None
    address: str | None = None
    camera: int | None = None
    is_video: bool = False
    is_live: bool = False
    stride: int = 1

    @property
    def name(self) -> str | None:
        """Short name that output files can be named by: the name of the file, also in an address, or ``camera0``."""
        if self.path is not None:
            return self.path.name
        if self.title is not None:
            return self.title
        if self.address is not None:
            parts = urlsplit(self.address)
            return PurePosixPath(unquote(parts.path)).name or parts.hostname or "stream"
        return f"camera{self.camera}" if self.camera is not None else None

    @property
    def label(self) -> str:
        """Path or address in full, for messages."""
        return str(self.path or self.address or self.name or ("array" if self.data is None else "(bytes)"))

    def read(self) -> np.ndarray:
        """Read an image, or the first frame of a video.

        Returns:
            Image of shape (H, W, 3), uint8 BGR.

        Raises:
            DataError: If it cannot be read.
        """
        if self.is_video:
            with closing(_video_frames(self)) as frames:
                return next(frames).pixels
        if self.path is not None:
            return read_image(self.path)
        if self.data is not None:
            return decode_image(self.data, self.label)
        if self.address is not None:
            return decode_image(download(self.address), self.address)
        return to_image(self.array)

    def open(self) -> VideoReader:
        """Open a video.

        Raises:
            DataError: If it cannot be opened.
        """
        location = self.camera if self.camera is not None else self.address or str(self.path)
        return VideoReader(location, live=self.is_live, stride=self.stride)


def list_sources(source: Any, *, recursive: bool = False, vid_stride: int = 1) -> list[Source]:
    """List the images and videos behind a source, in order.

    Args:
        source: Any of these, or an iterable of them:

            * path of an image or video; an animated GIF is a video;
            * folder: its images and videos, sorted by name, without subfolders;
            * glob pattern, in which ``**`` includes subfolders;
            * address: ``http``, ``https``, ``rtsp`` …;
            * index of a camera;
            * content of an image file: ``bytes``, a one-dimensional uint8 array, or a file opened in binary mode;
            * array (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, or batch (N, H, W, C): uint8, uint16, or floats from 0 to 1;
            * torch tensor (H, W), (3, H, W) RGB or (4, H, W) RGBA, or batch (N, C, H, W): uint8, or floats from 0 to 1;
            * PIL image.
        recursive: Whether folders include their subfolders.
        vid_stride: Every ``vid_stride``-th frame of videos is read.

    Raises:
        UsageError: If a path does not exist, a folder or pattern has no image, the kind of source is unknown, or
            ``vid_stride`` is below 1.
        DataError: If an array or tensor has another shape, type or range.
    """
    if vid_stride < 1:
        raise UsageError(f"vid_stride must be at least 1, not {vid_stride}")
    sources = _list(source, recursive)
    if vid_stride == 1:
        return sources
    return [item._replace(stride=vid_stride) if item.is_video else item for item in sources]


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


def _video_frames(source: Source) -> Generator[Frame, None, None]:
    reader = source.open()
    try:
        for frame in reader:
            yield Frame(frame.pixels, source, frame.number, frame.time, reader.fps)
    finally:
        reader.close()


def _list(source: Any, recursive: bool) -> list[Source]:
    """List the images and videos behind a source; see :func:`list_sources`."""
    # Paths, addresses and cameras
    if isinstance(source, (str, os.PathLike)):
        return _list_named(os.fspath(source), recursive)
    if isinstance(source, Source):
        return [source]
    if isinstance(source, (int, np.integer)) and not isinstance(source, bool) and source >= 0:
        return [_camera(int(source))]

    # Encoded images, also in an array as cv2.imencode returns it
    if isinstance(source, (bytes, bytearray, memoryview)):
        return [_encoded(bytes(source))]
    if isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype == np.uint8:
        return [_encoded(source.tobytes())]
    if hasattr(source, "read") and hasattr(source, "close"):
        return [_opened(source)]

    # Decoded images
    if is_pil(source):
        return [Source(array=source)]
    if is_tensor(source):
        return [Source(array=image) for image in split_tensor(source)]
    if isinstance(source, np.ndarray):
        return [Source(array=image) for image in split_array(source)]

    # Lists; numbers in lists of lists are pixels, no cameras
    if isinstance(source, Iterable) and not isinstance(source, Mapping) and not hasattr(source, "__array_interface__"):
        items = list(source)
        if any(type(item) in (list, tuple) and any(isinstance(value, Number) for value in item) for item in items):
            raise UsageError("images cannot come from lists of numbers; pass a numpy array of uint8, (H, W, 3) BGR")
        return [listed for item in items for listed in _list(item, recursive)]
    raise UsageError(
        f"images cannot come from {type(source).__name__} {_shortened(repr(source))}; give a path, folder, pattern, "
        "address, camera index, array, tensor, PIL image, encoded bytes, open file or list"
    )


def _list_named(name: str, recursive: bool) -> list[Source]:
    """List the sources behind a string. An existing file or folder comes first, even if its name looks like a pattern."""
    # Existing folders and files
    path = Path(name)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError):  # too long for a name, or with a null character
        is_folder = exists = False
    if is_folder:
        return _list_folder(path, recursive)
    if exists:
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
        raise UsageError(f"no file matches {_shortened(name)}")
    raise UsageError(f"{_shortened(name)} does not exist")


def _list_folder(folder: Path, recursive: bool) -> list[Source]:
    """List the images and videos of a folder by their endings, sorted by path.

    Raises:
        UsageError: If there is none.
    """
    entries = folder.rglob("*") if recursive else folder.iterdir()
    files = sorted(p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and p.is_file())
    if not files:
        advice = "" if recursive else "; --recursive (recursive=True) includes its subfolders"
        raise UsageError(f"folder {folder} has no image or video ({', '.join(sorted(IMAGE_SUFFIXES))} …){advice}")
    return [_file(path) for path in files]


def _file(path: Path) -> Source:
    """Return an image or video file. Its ending tells which, or its content for GIF and unknown endings."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return Source(path, is_video=True)
    if suffix == ".gif":
        return Source(path, is_video=_has_frames(path, 2))
    is_image = suffix in IMAGE_SUFFIXES or cv2.haveImageReader(str(path))
    return Source(path, is_video=not is_image and _has_frames(path, 1))


def _has_frames(path: Path, count: int) -> bool:
    """Return whether a file has at least ``count`` frames when it is opened as a video."""
    try:
        reader = VideoReader(str(path))
    except DataError:
        return False
    try:
        return reader.has_frames(count)
    finally:
        reader.close()


def _encoded(data: bytes, title: str | None = None) -> Source:
    return Source(data=data, title=title)


def _opened(file: Any) -> Source:
    """Return the image in an open file, read from its position to its end, or the video that the file is.

    Raises:
        UsageError: If the file was opened as text, is closed or cannot be read.
    """
    # Read the file, which may be closed by the time that the image is needed
    name = getattr(file, "name", None)
    title = f"open file {name or type(file).__name__}"
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"{title} cannot be read: {error}") from None
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise UsageError(f"{title} gives {type(data).__name__}, not bytes; open it in binary mode, 'rb'")

    # Find its path; cv2 plays videos by path only
    path = Path(name) if isinstance(name, (str, os.PathLike)) else None
    if path is not None and path.is_file():
        source = _file(path)
        if source.is_video:
            return source
    return _encoded(bytes(data), None if path is None else path.name)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_NAME else f"{text[: MAX_NAME - 1]}…"


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
