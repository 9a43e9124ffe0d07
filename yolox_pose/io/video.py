"""Videos, cameras and streams in, videos out, with cv2 and, for H.264, the ffmpeg program."""

from __future__ import annotations

import importlib
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.structures.constants import DEFAULT_FPS

logger = logging.getLogger(__name__)


STREAM_SECONDS = 10.0
"""A camera or stream that gives no frame for so long has ended."""

H264_OPTIONS = {
    "libx264": ("-preset", "veryfast", "-crf", "21"),
    "libopenh264": ("-b:v", "6M"),
}
"""Encoders of ffmpeg that browsers' H.264 can come from, the best first, with their settings."""


class VideoFrame(NamedTuple):
    """A picture of a video.

    Attributes:
        pixels: (H, W, 3) uint8 BGR.
        index: Number of the frame, counted from 0; of a live source those that were left out count.
        time: Seconds since the first frame.
    """

    pixels: np.ndarray
    index: int
    time: float


class VideoReader:
    """Frames of a video file, a stream or a camera.

    Args:
        location: File, address, or index of a camera.
        live: Whether frames come in real time: then those for which there was no time are left out.

    Attributes:
        fps: Frames per second.
        count: Number of frames as the file says it, None where it does not.

    Raises:
        DataError: If it cannot be opened.
    """

    def __init__(self, location: str | int, live: bool = False) -> None:
        self.location, self.live = location, live
        self._capture = cv2.VideoCapture(location)
        if not self._capture.isOpened():
            what = f"camera {location}" if isinstance(location, int) else f"video {location}"
            raise DataError(f"{what} cannot be opened")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if 0 < fps <= 1000 else DEFAULT_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if not live and count > 0 else None

    def __iter__(self) -> Iterator[VideoFrame]:
        return self._latest() if self.live else self._all()

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()

    def _all(self) -> Iterator[VideoFrame]:
        index = 0
        while True:
            there, pixels = self._capture.read()
            if not there:
                break
            yield VideoFrame(pixels, index, index / self.fps)
            index += 1
        if not index:
            raise DataError(f"video {self.location} has no frame that can be decoded")

    def _latest(self) -> Iterator[VideoFrame]:
        """The newest frame each time; a thread takes the others from the camera, or they would wait there."""
        newest: list[VideoFrame] = []
        ready, stop = threading.Condition(), threading.Event()

        def grab() -> None:
            start, index = time.monotonic(), 0
            while not stop.is_set():
                there, pixels = self._capture.read()
                if not there:
                    break
                with ready:
                    newest[:] = [VideoFrame(pixels, index, time.monotonic() - start)]
                    ready.notify()
                index += 1
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


class VideoWriter:
    """Writes an mp4: H.264 where ffmpeg is to be had, which browsers play, else MPEG-4 Part 2.

    ffmpeg is a program of its own, found on the PATH, that is given the pictures through a pipe. The first picture sets
    the size.

    Args:
        path: File to write.
        fps: Frames per second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = Path(path), fps
        self.size: tuple[int, int] | None = None
        self._process: subprocess.Popen | None = None
        self._writer: Any = None

    def write(self, img: np.ndarray) -> None:
        """Append a picture, (H, W, 3) uint8 BGR.

        Raises:
            DataError: If it cannot be written.
        """
        if self.size is None:
            self.size = img.shape[1], img.shape[0]
            self._open()
        if img.shape[1::-1] != self.size:
            img = cv2.resize(img, self.size)
        if self._process is None:
            self._writer.write(img)
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(img).data)
        except OSError:
            self._fail()

    def close(self) -> None:
        """Finish the file.

        Raises:
            DataError: If it could not be written.
        """
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        if self._process is not None:
            process = self._process
            assert process.stdin is not None and process.stderr is not None
            try:
                process.stdin.close()
            except OSError:
                self._fail()
            if process.wait():
                self._fail()
            process.stderr.close()
            self._process = None

    def _open(self) -> None:
        assert self.size is not None
        program = find_ffmpeg()
        if program is not None:
            self._process = subprocess.Popen(
                _ffmpeg_command(*program, self.path, self.size, self.fps),
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us: ffmpeg ends when its input does, with a whole file
            )
            return
        logger.warning(
            "%s is written as MPEG-4 Part 2, which browsers do not play; for H.264 put ffmpeg on the PATH, "
            "or pip install imageio-ffmpeg",
            self.path,
        )
        self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, self.size)
        if not self._writer.isOpened():
            raise DataError(f"video {self.path} cannot be written")

    def _fail(self) -> None:
        process, self._process = self._process, None
        assert process is not None and process.stderr is not None
        process.kill()
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise DataError(f"video {self.path} cannot be written: {said[-1] if said else 'ffmpeg ended'}")


def _ffmpeg_command(program: str, encoder: str, path: Path, size: tuple[int, int], fps: float) -> list[str]:
    """Command line that encodes raw pictures from standard input; 4:2:0 needs even sides, so odd ones get a line more."""
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:.6g}", "-i", "-"]
    coding = ["-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", encoder, *H264_OPTIONS[encoder]]
    target = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", "-y", str(path)]
    return [program, "-loglevel", "error", *source, *coding, *target]


@lru_cache(maxsize=1)
def find_ffmpeg() -> tuple[str, str] | None:
    """An ffmpeg program, on the PATH or of imageio-ffmpeg, and the H.264 encoder that it has; None where there is none."""
    for find in (lambda: shutil.which("ffmpeg"), _imageio_ffmpeg):
        program = find()
        if program is None:
            continue
        listed = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False)
        names = set(listed.stdout.split())
        encoder = next((name for name in H264_OPTIONS if name in names), None)
        if encoder is not None:
            return program, encoder
    return None


def _imageio_ffmpeg() -> str | None:
    """The program in the package imageio-ffmpeg, None where that is not installed or has none."""
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None
