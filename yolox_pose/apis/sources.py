"""From what a user names (file, folder, pattern, array, list) to the single images behind it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import glob, has_magic
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.geometry.images import read_image, to_bgr

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".tif", ".tiff", ".webp"})
"""Files of a folder that are taken for images. Single files and patterns are tried whatever their ending."""

VIDEO_SUFFIXES = frozenset({".avi", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})


class Source(NamedTuple):
    """One image: a file, or an array."""

    path: Path | None
    array: Any = None

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR.

        Raises:
            DataError: If it cannot be read.
        """
        if self.path is not None:
            return read_image(self.path)
        return _pil_to_bgr(self.array) if _is_pil(self.array) else to_bgr(np.asarray(self.array))


def list_sources(source: Any) -> list[Source]:
    """List the images behind a source, in order.

    Args:
        source: Path of an image, folder (its images, sorted by name, without subfolders), glob pattern (``**`` goes into
            subfolders), BGR array, PIL image, or an iterable of these.

    Raises:
        UsageError: If a path is not there, a folder or pattern has no image, or the kind of source is not known.
    """
    if isinstance(source, (str, os.PathLike)):
        return [Source(path) for path in _list_paths(os.fspath(source))]
    if isinstance(source, np.ndarray) or _is_pil(source):
        return [Source(None, source)]
    if isinstance(source, Iterable):
        return [found for item in source for found in list_sources(item)]
    raise UsageError(f"images cannot come from {type(source).__name__}; give a path, folder, pattern, array or list")


def _list_paths(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
        if not files:
            raise UsageError(f"folder {name} has no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return files
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise UsageError(f"{name} is a video, which cannot be read yet; take its frames as images")
    if path.exists():
        return [path]
    if has_magic(name):
        files = sorted(Path(p) for p in glob(name, recursive=True) if Path(p).is_file())
        if files:
            return files
        raise UsageError(f"no file matches {name}")
    if "://" in name:
        raise UsageError(f"{name} is an address, which cannot be read yet; download the image first")
    raise UsageError(f"{name} does not exist")


def _is_pil(item: Any) -> bool:
    """Tell a PIL image without importing PIL, which is not required."""
    return any(cls.__module__.startswith("PIL.") and cls.__name__ == "Image" for cls in type(item).__mro__)


def _pil_to_bgr(image: Any) -> np.ndarray:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return to_bgr(np.asarray(image, dtype=np.uint16))
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])
