"""Decoded images in memory that worker processes share."""

from __future__ import annotations

import mmap

import numpy as np

CHANNELS = 3


class ImageCache:
    """Images in one anonymous shared memory block, each decoded once by whichever process needs it first.

    Forked workers (PyTorch's way on Linux) write into the same block. A process that is started otherwise, which pickles
    the data set, gets an empty cache of its own. Memory is taken as images come in, never more than the limit; images
    that do not fit are not kept. No lock is needed: an image is marked as present after it is written, and two processes
    that decode the same image write the same bytes.

    Args:
        sizes: (N, 2) widths and heights.
        limit: Largest number of bytes.
    """

    def __init__(self, sizes: np.ndarray, limit: int) -> None:
        self.sizes, self.limit = sizes, limit
        ends = np.cumsum(np.prod(sizes, axis=1, dtype=np.int64) * CHANNELS)
        self.capacity = int(np.searchsorted(ends, limit, side="right"))
        self.offsets = np.concatenate([[0], ends[: self.capacity]]).astype(np.int64)
        self._pixels = _shared_bytes(int(self.offsets[-1]))
        self._present = _shared_bytes(self.capacity)

    def __len__(self) -> int:
        """Number of images that are in memory now."""
        return int(self._present.sum())

    def __reduce__(self) -> tuple:
        return ImageCache, (self.sizes, self.limit)

    def get(self, index: int) -> np.ndarray | None:
        """(H, W, 3) uint8 image, read-only; None if it is not in memory."""
        if index >= self.capacity or not self._present[index]:
            return None
        view = self._slot(index)
        view.flags.writeable = False
        return view

    def put(self, index: int, img: np.ndarray) -> None:
        """Keep an image, if there is room for it."""
        if index < self.capacity:
            self._slot(index)[...] = img
            self._present[index] = 1

    def _slot(self, index: int) -> np.ndarray:
        width, height = self.sizes[index].tolist()
        return self._pixels[self.offsets[index] : self.offsets[index + 1]].reshape(height, width, CHANNELS)


def _shared_bytes(number: int) -> np.ndarray:
    """(number,) uint8 zeros in memory that forked processes share."""
    return np.frombuffer(mmap.mmap(-1, max(number, 1)), dtype=np.uint8)[:number]
