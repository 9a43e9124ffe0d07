"""Decoded images in memory that worker processes share."""

from __future__ import annotations

import mmap

import numpy as np

CHANNELS = 3


class ImageCache:
    """Decoded images in one anonymous shared memory block.

    Forked workers (PyTorch's default on Linux) share the block, so each image is decoded once. A spawned worker unpickles
    the data set with an empty cache of its own. The operating system allocates memory as images are stored, up to the
    limit; images that do not fit are not stored. No lock is needed: an image is marked as present after it is written,
    and two processes that decode the same image write the same bytes.

    Args:
        sizes: Widths and heights of shape (N, 2).
        limit: Maximum number of bytes.
    """

    def __init__(self, sizes: np.ndarray, limit: int) -> None:
        self.sizes, self.limit = sizes, limit
        ends = np.cumsum(np.prod(sizes, axis=1, dtype=np.int64) * CHANNELS)
        self.capacity = int(np.searchsorted(ends, limit, side="right"))
        self.offsets = np.concatenate([[0], ends[: self.capacity]]).astype(np.int64)
        self._pixels = _shared_bytes(int(self.offsets[-1]))
        self._present = _shared_bytes(self.capacity)

    def __len__(self) -> int:
        """Return the number of images in memory."""
        return int(self._present.sum())

    def __reduce__(self) -> tuple[type[ImageCache], tuple[np.ndarray, int]]:
        return ImageCache, (self.sizes, self.limit)

    def get(self, index: int) -> np.ndarray | None:
        """Return an image of shape (H, W, 3), uint8 and read-only; None if it is not in memory."""
        if index >= self.capacity or not self._present[index]:
            return None
        view = self._slot(index)
        view.flags.writeable = False
        return view

    def put(self, index: int, img: np.ndarray) -> None:
        """Store an image if it fits."""
        if index < self.capacity:
            self._slot(index)[...] = img
            self._present[index] = 1

    def _slot(self, index: int) -> np.ndarray:
        width, height = self.sizes[index].tolist()
        return self._pixels[self.offsets[index] : self.offsets[index + 1]].reshape(height, width, CHANNELS)


def _shared_bytes(number: int) -> np.ndarray:
    """Return uint8 zeros of shape (number,) in memory that forked processes share."""
    return np.frombuffer(mmap.mmap(-1, max(number, 1)), dtype=np.uint8)[:number]
