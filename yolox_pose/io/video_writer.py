"""Write mp4 videos: H.264 with the ffmpeg program, otherwise MPEG-4 Part 2 with cv2."""

from __future__ import annotations

import importlib
import logging
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.structures.constants import DEFAULT_FPS

logger = logging.getLogger(__name__)

H264_OPTIONS = {
    "libx264": ("-preset", "veryfast", "-crf", "21"),
    "libopenh264": ("-b:v", "6M"),
}
"""ffmpeg encoders for H.264, the best first, with their options."""


class VideoWriter:
    """Writer of an mp4 file.

    It writes H.264, which browsers play, if there is an ffmpeg program. Otherwise it writes MPEG-4 Part 2 and logs a warning.
    ffmpeg runs as a separate process that gets the frames through a pipe. The first frame sets the size of the video; other
    frames are resized to it.

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
        """Append a frame.

        Args:
            img: Frame of shape (H, W, 3), uint8 BGR.

        Raises:
            DataError: If it cannot be written.
        """
        # Open the file with the size of the first frame
        if self.size is None:
            self.size = img.shape[1], img.shape[0]
            self._open(self.size)
        if img.shape[1::-1] != self.size:
            img = cv2.resize(img, self.size)

        # Pass the frame to cv2 or ffmpeg
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
        # Finish the file of cv2
        if self._writer is not None:
            self._writer.release()
            self._writer = None

        # Wait for ffmpeg
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

    def _open(self, size: tuple[int, int]) -> None:
        """Start ffmpeg, or open the file with cv2 if there is none.

        Raises:
            DataError: If cv2 cannot write the file.
        """
        # Start ffmpeg
        ffmpeg = find_ffmpeg()
        if ffmpeg is not None:
            self._process = subprocess.Popen(
                _ffmpeg_command(*ffmpeg, self.path, size, self.fps),
                stdin=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C must not reach ffmpeg, which finishes the file when its input ends
            )
            return

        # Open the file with cv2
        logger.warning(
            "%s is written as MPEG-4 Part 2, which browsers do not play; for H.264 put ffmpeg on the PATH, "
            "or pip install imageio-ffmpeg",
            self.path,
        )
        self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, size)
        if not self._writer.isOpened():
            raise DataError(f"video {self.path} cannot be written")

    def _fail(self) -> None:
        """End ffmpeg and raise a DataError with the last line of its output."""
        process, self._process = self._process, None
        assert process is not None and process.stderr is not None
        process.kill()
        output = process.stderr.read().decode(errors="replace").strip().splitlines()
        raise DataError(f"video {self.path} cannot be written: {output[-1] if output else 'ffmpeg ended'}")


class VideoFiles:
    """Writer of one video after another. As a context manager it finishes the last video at the end."""

    def __init__(self) -> None:
        self._writer: VideoWriter | None = None

    def write(self, path: Path, img: np.ndarray, fps: float | None) -> None:
        """Append a frame. The first frame of another file finishes the file before.

        Args:
            path: File that the frame belongs to.
            img: Frame of shape (H, W, 3), uint8 BGR.
            fps: Frames per second, used for the first frame of a file. None means :data:`DEFAULT_FPS`.

        Raises:
            DataError: If a video cannot be written.
        """
        if self._writer is None or self._writer.path != path:
            self.close()
            self._writer = VideoWriter(path, fps or DEFAULT_FPS)
        self._writer.write(img)

    def close(self) -> None:
        """Finish the video.

        Raises:
            DataError: If it could not be written.
        """
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()

    def __enter__(self) -> VideoFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@lru_cache(maxsize=1)
def find_ffmpeg() -> tuple[str, str] | None:
    """Find an ffmpeg program that encodes H.264, on the PATH or in the package imageio-ffmpeg.

    Returns:
        The program and the name of its encoder, or None.
    """
    for find in (lambda: shutil.which("ffmpeg"), _imageio_ffmpeg):
        program = find()
        if program is None:
            continue
        listing = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False)
        names = set(listing.stdout.split())
        encoder = next((name for name in H264_OPTIONS if name in names), None)
        if encoder is not None:
            return program, encoder
    return None


def _imageio_ffmpeg() -> str | None:
    """Return the program in the package imageio-ffmpeg, None if it is not installed or holds none."""
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def _ffmpeg_command(program: str, encoder: str, path: Path, size: tuple[int, int], fps: float) -> list[str]:
    """Return the command that encodes raw frames from standard input.

    4:2:0 chroma needs even sides, so an odd width or height is padded by one pixel.
    """
    source = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:.6g}", "-i", "-"]
    coding = ["-an", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-c:v", encoder, *H264_OPTIONS[encoder]]
    target = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", "-y", str(path)]
    return [program, "-loglevel", "error", *source, *coding, *target]
