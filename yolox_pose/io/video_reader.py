"""Read videos, cameras and streams with cv2."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.structures.constants import DEFAULT_FPS

STREAM_SECONDS = 10.0
"""A camera or stream has ended if it gives no frame for this time."""


class VideoFrame(NamedTuple):
    """Frame of a video.

    Attributes:
        pixels: Image of shape (H, W, 3), uint8 BGR.
        number: Number of the frame, counted from 0. Skipped frames of a live source count.
        time: Seconds since the first frame.
    """

    pixels: np.ndarray
    number: int
    time: float


class VideoReader:
    """Frames of a video file, a stream or a camera.

    Args:
        location: File, address, or index of a camera.
        live: Whether frames arrive in real time. Frames that arrive while another one is processed are then skipped.

    Attributes:
        fps: Frames per second.
        count: Number of frames that the file states, None if it states none.

    Raises:
        DataError: If it cannot be opened.
    """

    def __init__(self, location: str | int, live: bool = False) -> None:
        self.location, self.live = location, live
        self._capture = cv2.VideoCapture(location)
        if not self._capture.isOpened():
            kind = "camera" if isinstance(location, int) else "video"
            raise DataError(f"{kind} {location} cannot be opened")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else DEFAULT_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if not live and count > 0 else None

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._latest_frames() if self.live else self._all_frames()

    def close(self) -> None:
        """Release the file or camera."""
        self._capture.release()

    def _all_frames(self) -> Iterator[VideoFrame]:
        """Yield every frame.

        Raises:
            DataError: If there is none.
        """
        number = 0
        while True:
            success, pixels = self._capture.read()
            if not success:
                break
            yield VideoFrame(pixels, number, number / self.fps)
            number += 1
        if not number:
            raise DataError(f"video {self.location} has no frame that can be decoded")

    def _latest_frames(self) -> Iterator[VideoFrame]:
        """Yield the newest frame each time. A thread keeps reading, because frames would queue up in the camera's buffer."""
        newest: list[VideoFrame] = []
        ready, stop = threading.Condition(), threading.Event()

        def grab() -> None:
            start, number = time.monotonic(), 0
            while not stop.is_set():
                success, pixels = self._capture.read()
                if not success:
                    break
                with ready:
                    newest[:] = [VideoFrame(pixels, number, time.monotonic() - start)]
                    ready.notify()
                number += 1
            with ready:
                stop.set()
                ready.notify()

        thread = threading.Thread(target=grab, name="camera", daemon=True)
        thread.start()
        try:
            while True:
                with ready:
                    ready.wait_for(lambda: newest or stop.is_set(), STREAM_SECONDS)
                    if not newest:
                        return
                    frame = newest.pop()
                yield frame
        finally:
            stop.set()
            thread.join(STREAM_SECONDS)
