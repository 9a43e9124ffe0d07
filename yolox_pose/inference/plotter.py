"""Pictures of many results, drawn in processes of their own.

Drawing is Python around many short calls of cv2: threads do not make it faster. A process of this kind is started with
``python -m yolox_pose.inference.plotter`` and imports numpy and cv2 alone, so that it is there in a fraction of a second; it
gets results through its standard input and gives pictures through its standard output.
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
from yolox_pose.utils.background import usable_cores

CORES_PER_PROCESS, MOST_PROCESSES = 4, 8
"""The network and what reads images need the other cores."""

MANY = 64
"""Pictures from which processes are worth their start."""

DRAWN_AHEAD = 4 * MOST_PROCESSES
"""Pictures that may be waited for, where they are written in order: more would fill the memory."""

_PIPE_BYTES = 1 << 20
"""Size of pipes where it can be set: a picture in a few pieces."""


def plot_processes(pictures: int | None) -> int:
    """Processes that are worth it for a number of pictures (None: not known, many) on this machine, from 0 on."""
    if pictures is not None and pictures < MANY:
        return 0
    return min(usable_cores() // CORES_PER_PROCESS, MOST_PROCESSES)


class Plotter:
    """Draws results; as a context manager its processes are ended at the end.

    Args:
        processes: Processes that draw at the same time; 0 draws in the thread that asks for the picture.
        **options: Of :meth:`yolox_pose.inference.results.PoseResult.plot`.

    Example:
        >>> with Plotter(processes=4, zoom=2.0) as plotter:
        ...     pictures = [plotter.plot(result) for result in pose("street.mp4")]
        ...     first = pictures[0]()
    """

    def __init__(self, processes: int = 0, **options: Any) -> None:
        self.options = options
        self._pool = ThreadPoolExecutor(processes, thread_name_prefix="plot") if processes else None
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        for _ in range(processes):
            self._idle.put(_Process())

    def plot(self, result: PoseResult) -> Callable[[], np.ndarray]:
        """Have a result drawn; what is returned waits for the picture, (H, W, 3) uint8 BGR."""
        if self._pool is None:
            return partial(result.plot, **self.options)
        return self._pool.submit(self._draw, result).result

    def close(self) -> None:
        """End the processes; pictures that nobody began to draw are dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        while not self._idle.empty():
            self._idle.get().close()

    def __enter__(self) -> Plotter:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _draw(self, result: PoseResult) -> np.ndarray:
        process = self._idle.get()
        try:
            return process.draw(result, self.options)
        finally:
            self._idle.put(process)


class _Process:
    """A process that draws one picture after the other."""

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
            start_new_session=True,  # Ctrl-C is for us: it ends when its input does
        )
        for pipe in (self._process.stdin, self._process.stdout):
            _widen(pipe)

    def draw(self, result: PoseResult, options: dict[str, Any]) -> np.ndarray:
        """The picture.

        Raises:
            ValueError: What :meth:`PoseResult.plot` raises, as it was raised there.
            RuntimeError: If the process has ended.
        """
        image = np.ascontiguousarray(result.image)
        try:
            _send(self._process.stdin, (replace(result, held_image=None, source=None), options, image.shape), image)
            answer = _receive(self._process.stdout)
            if isinstance(answer, BaseException):
                raise answer
            picture = np.empty(answer, np.uint8)
            _fill(self._process.stdout, picture.data)
        except (EOFError, OSError):
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(f"the process that draws has ended: {said[-1] if said else 'it said nothing'}") from None
        return picture

    def close(self) -> None:
        """End it."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._errors.close()


def _widen(pipe: IO[bytes] | None) -> None:
    """Let more bytes wait in a pipe, on Linux."""
    try:
        import fcntl

        assert pipe is not None
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass


def _send(pipe: IO[bytes] | None, message: Any, array: np.ndarray | None = None) -> None:
    """Write a message, and the bytes of an array behind it."""
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
        EOFError: If there is none any more.
    """
    size = bytearray(8)
    _fill(pipe, memoryview(size))
    content = bytearray(int.from_bytes(size, "little"))
    _fill(pipe, memoryview(content))
    return pickle.loads(content)


def _fill(pipe: IO[bytes] | None, target: memoryview) -> None:
    """Read as many bytes as a target holds."""
    rest = target.cast("B")
    while len(rest):
        count = pipe.readinto(rest)  # type: ignore[union-attr]
        if not count:
            raise EOFError
        rest = rest[count:]


def main() -> None:
    """Draw what comes through standard input, until it ends."""
    import cv2

    cv2.setNumThreads(1)
    received, given = (os.fdopen(os.dup(number), mode, buffering=0) for number, mode in ((0, "rb"), (1, "wb")))
    os.dup2(2, 1)  # what a library prints must not come between pictures
    while True:
        try:
            result, options, shape = _receive(received)
        except EOFError:
            return
        image = np.empty(shape, np.uint8)
        _fill(received, image.data)
        try:
            picture = replace(result, held_image=image).plot(**options)
        except Exception as error:
            _send(given, error)
        else:
            _send(given, picture.shape, np.ascontiguousarray(picture))


if __name__ == "__main__":
    main()
