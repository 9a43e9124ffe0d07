"""Draw many results in parallel processes.

Drawing is Python around many short calls of cv2, which threads do not speed up. A process is started with
``python -m yolox_pose.inference.plotter`` and imports numpy and cv2 alone, so that it is ready in a fraction of a second. It
receives results through its standard input and sends pictures through its standard output.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from yolox_pose.inference.results import PoseResult
from yolox_pose.utils.cores import usable_cores

CORES_PER_PROCESS, MAX_PROCESSES = 4, 8
"""Each drawing process leaves cores to the network and to the threads that read images."""

MIN_PICTURES = 64
"""Number of pictures from which processes are worth starting."""

MAX_PENDING = 4 * MAX_PROCESSES
"""Number of pictures that may wait to be written in order. More would fill the memory."""

_PIPE_BYTES = 1 << 20
"""Capacity of the pipes, where it can be set, so that a picture passes in a few pieces."""


def plot_processes(num_pictures: int | None) -> int:
    """Return how many processes are worth starting on this machine.

    Args:
        num_pictures: Number of pictures. None means unknown, probably many.
    """
    if num_pictures is not None and num_pictures < MIN_PICTURES:
        return 0
    return min(usable_cores() // CORES_PER_PROCESS, MAX_PROCESSES)


class Plotter:
    """Draw results, in parallel if there are processes. As a context manager it ends the processes at the end.

    Args:
        processes: Number of processes. 0 draws in the thread that asks for the picture.
        kpt_thr: See :meth:`yolox_pose.inference.results.PoseResult.plot`.
        show_boxes: See :meth:`yolox_pose.inference.results.PoseResult.plot`.
        show_tags: See :meth:`yolox_pose.inference.results.PoseResult.plot`.
        line_width: See :meth:`yolox_pose.inference.results.PoseResult.plot`.
        zoom: See :meth:`yolox_pose.inference.results.PoseResult.plot`.

    Example:
        >>> with Plotter(processes=4, zoom=2.0) as plotter:
        ...     pictures = [plotter.plot(result) for result in pose("street.mp4")]
        ...     first = pictures[0]()
    """

    def __init__(
        self,
        processes: int = 0,
        *,
        kpt_thr: float = 0.3,
        show_boxes: bool = True,
        show_tags: bool = True,
        line_width: float | None = None,
        zoom: float = 1.0,
    ) -> None:
        self.options: dict[str, Any] = {
            "kpt_thr": kpt_thr,
            "show_boxes": show_boxes,
            "show_tags": show_tags,
            "line_width": line_width,
            "zoom": zoom,
        }
        self._pool = ThreadPoolExecutor(processes, thread_name_prefix="plot") if processes else None
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for _ in range(processes):
            self._idle.put(_Process())

    def plot(self, result: PoseResult) -> Callable[[], np.ndarray]:
        """Begin to draw a result.

        Returns:
            Function that waits for the picture and returns it, (H, W, 3) uint8 BGR.
        """
        if self._pool is None:
            return partial(result.plot, **self.options)
        return self._pool.submit(self._plot_in_process, result).result

    def close(self) -> None:
        """End the processes. Pictures that are not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def __enter__(self) -> Plotter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _plot_in_process(self, result: PoseResult) -> np.ndarray:
        process = self._idle.get()
        try:
            return process.draw(result, self.options)
        finally:
            self._idle.put(process)


class _Process:
    """Process that draws one picture after another."""

    def __init__(self) -> None:
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by close)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C must not reach the process, which ends when its input does
        )
        for pipe in (self._process.stdin, self._process.stdout):
            _enlarge_pipe(pipe)

    def draw(self, result: PoseResult, options: dict[str, Any]) -> np.ndarray:
        """Draw a picture.

        Args:
            result: Result to draw.
            options: Arguments of :meth:`PoseResult.plot`.

        Raises:
            ValueError: If :meth:`PoseResult.plot` raises it in the process.
            RuntimeError: If the process has ended.
        """
        image = np.ascontiguousarray(result.image)
        try:
            # Send the result and its image
            stripped = replace(result, held_image=None, source=None)
            _send(self._process.stdin, (stripped, options, image.shape), image)

            # Receive the shape and the pixels of the picture, or an error
            answer = _receive(self._process.stdout)
            if isinstance(answer, BaseException):
                raise answer
            picture = np.empty(answer, np.uint8)
            _fill(self._process.stdout, picture.data)
        except (EOFError, OSError):
            self._errors.seek(0)
            output = self._errors.read().decode(errors="replace").strip().splitlines()
            reason = output[-1] if output else "it gave no reason"
            raise RuntimeError(f"the drawing process has ended: {reason}") from None
        return picture

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()


def _enlarge_pipe(pipe: IO[bytes] | None) -> None:
    """Increase the capacity of a pipe, on Linux."""
    try:
        import fcntl

        assert pipe is not None
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass


def _send(pipe: IO[bytes] | None, message: Any, array: np.ndarray | None = None) -> None:
    """Write a message, followed by the bytes of an array."""
    assert pipe is not None
    content = pickle.dumps(message)
    parts = [memoryview(len(content).to_bytes(8, "little") + content)]
    if array is not None:
        parts.append(array.data.cast("B"))
    for rest in parts:
        while len(rest):
            rest = rest[pipe.write(rest) :]


def _receive(pipe: IO[bytes] | None) -> Any:
    """Read a message.

    Raises:
        EOFError: If the pipe has ended.
    """
    size = bytearray(8)
    _fill(pipe, memoryview(size))
    content = bytearray(int.from_bytes(size, "little"))
    _fill(pipe, memoryview(content))
    return pickle.loads(content)


def _fill(pipe: IO[bytes] | None, target: memoryview) -> None:
    """Read bytes until the target is full.

    Raises:
        EOFError: If the pipe ends before.
    """
    rest = target.cast("B")
    while len(rest):
        count = pipe.readinto(rest)  # type: ignore[union-attr]
        if not count:
            raise EOFError
        rest = rest[count:]


def main() -> None:
    """Draw the results that arrive through standard input, until it ends."""
    import cv2

    # Keep standard output for pictures: whatever a library prints goes to standard error
    cv2.setNumThreads(1)
    requests, answers = (os.fdopen(os.dup(number), mode, buffering=0) for number, mode in ((0, "rb"), (1, "wb")))
    os.dup2(2, 1)
    while True:
        # Receive a result and its image
        try:
            result, options, shape = _receive(requests)
        except EOFError:
            return
        image = np.empty(shape, np.uint8)
        _fill(requests, image.data)

        # Send the picture, or the error
        try:
            picture = replace(result, held_image=image).plot(**options)
        except Exception as error:
            _send(answers, error)
        else:
            _send(answers, picture.shape, np.ascontiguousarray(picture))


if __name__ == "__main__":
    main()
