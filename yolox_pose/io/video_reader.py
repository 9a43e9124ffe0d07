"""Read videos, cameras and streams with cv2."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.io.containers import is_cut_off
from yolox_pose.structures.constants import DEFAULT_FPS

logger = logging.getLogger(__name__)

STREAM_SECONDS = 10.0
"""A camera or stream has ended if it gives no frame for this time."""

MAX_MISSING = 0.05
"""Share of the stated length of time that may be missing where only that tells whether a file is cut off, as in flv.

OpenCV computes the count of such files from their length, so a count of frames would be wrong for a variable frame rate.
"""


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
        stride: Yield every ``stride``-th frame, beginning with the first.

    Attributes:
        fps: Frames per second that are yielded: the rate of the video, divided by ``stride``.
        count: Number of frames to yield as the file states it, None if it states none.

    Raises:
        DataError: If it cannot be opened.
    """

    def __init__(self, location: str | int, live: bool = False, stride: int = 1) -> None:
        self.location, self.live, self.stride = location, live, stride

        # Open it without the messages of ffmpeg: errors below name the file
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        self._capture = cv2.VideoCapture(location)
        if not self._capture.isOpened():
            kind = "camera" if isinstance(location, int) else "video"
            reason = ": the file is cut off" if self._is_cut_off() else ""
            raise DataError(f"{kind} {location} cannot be opened{reason}")

        # Read the frame rate and the number of frames
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._source_fps = float(fps) if 0 < fps <= 1000 else DEFAULT_FPS
        self.fps = self._source_fps / stride
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._source_count = int(count) if not live and count > 0 else None
        self.count = None if self._source_count is None else -(-self._source_count // stride)

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._latest_frames() if self.live else self._all_frames()

    def has_frames(self, count: int) -> bool:
        """Return whether there are ``count`` more frames, by reading them."""
        return all(self._capture.grab() for _ in range(count))

    def close(self) -> None:
        """Release the file or camera."""
        self._capture.release()

    def _all_frames(self) -> Iterator[VideoFrame]:
        """Yield every ``stride``-th frame, and warn if the file ends before its stated end.

        Raises:
            DataError: If there is none.
        """
        number, start, now = 0, 0.0, 0.0
        while self._capture.grab():
            # Take the time of the frame from the file; without increasing times there, from the frame rate
            position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if number == 0:
                start = position
            else:
                now = position - start if position - start > now else now + 1 / self._source_fps

            # Decode the frame unless it is left out
            if number % self.stride == 0:
                success, pixels = self._capture.retrieve()
                if not success:
                    break
                yield VideoFrame(pixels, number, now)
            number += 1
        self._check_end(number, now + 1 / self._source_fps)

    def _check_end(self, number: int, end: float) -> None:
        """Warn about missing frames.

        Args:
            number: Number of frames that were read.
            end: Time at which the last of them ends, in seconds.

        Raises:
            DataError: If it is 0.
        """
        cut_off = self._is_cut_off()
        missing = 0 if self._source_count is None else self._source_count - number
        if not number:
            frames = f", its {missing} frames are missing" if missing else ""
            reason = f": the file is cut off{frames}" if cut_off else ""
            raise DataError(f"video {self.location} has no frame that can be decoded{reason}")
        if cut_off is None and missing > 0:
            length = (number + missing) / self._source_fps
            cut_off = length - end > MAX_MISSING * length
        if cut_off:
            frames = f"{missing} of its {number + missing} frames are missing" if missing > 0 else "its end is missing"
            logger.warning("video %s is cut off: %s", self.location, frames)

    def _is_cut_off(self) -> bool | None:
        """Return whether the file ends before its stated end; None if that is unknown."""
        return is_cut_off(self.location) if isinstance(self.location, str) else None

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
                if number % self.stride == 0:
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
