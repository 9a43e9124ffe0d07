"""Run work in threads: read items ahead, compute results in order, write in the background."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
_END = object()


class _Failure:
    """Error of the thread that draws items, to be raised by the consumer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield items that a thread draws ahead of the consumer.

    An error in ``items`` is raised at the position of the failed item. When the consumer stops early, the thread ends after
    the item that it is drawing, and closes ``items`` if it is a generator.

    Args:
        items: Items to draw.
        depth: Maximum number of items that are drawn ahead.
    """
    ahead: queue.Queue = queue.Queue(maxsize=max(depth, 1))
    stop = threading.Event()

    # The thread draws items and puts them into the queue until the consumer stops
    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def draw() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    return
            put(_END)
        except BaseException as error:
            put(_Failure(error))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    # The consumer takes them out and raises the thread's error
    thread = threading.Thread(target=draw, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ahead.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        thread.join()


def in_order(calls: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """Yield the results of calls in their order, while several threads compute the next ones.

    An error is raised at the position of the failed result. When the consumer stops early, calls that have not started are
    cancelled.

    Args:
        calls: Functions without arguments. The consumer's thread draws at most ``2 * workers`` of them ahead.
        workers: Number of threads; 1 runs each call in the consumer's thread when its result is needed.
    """
    if workers == 1:
        for call in calls:
            yield call()
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="in-order") as pool:
        ahead: deque[Future] = deque()
        try:
            for call in calls:
                ahead.append(pool.submit(call))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class BackgroundWorker:
    """Thread that runs calls one after the other, in the order of submission.

    After a failed call no further call is run: the next :meth:`submit` or :meth:`close` raises its error. A context manager
    waits at its end until all calls are finished.

    Args:
        depth: Maximum number of waiting calls; :meth:`submit` blocks while the queue is full.
    """

    def __init__(self, depth: int = 8) -> None:
        self._calls: queue.Queue = queue.Queue(maxsize=max(depth, 1))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="background", daemon=True)
        self._thread.start()

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Schedule ``function(*args)``."""
        self._raise()
        self._calls.put((function, args))

    def close(self) -> None:
        """Wait until all calls are finished."""
        if self._thread.is_alive():
            self._calls.put(None)
            self._thread.join()
        self._raise()

    def __enter__(self) -> BackgroundWorker:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:
                raise

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        failed = False
        while (call := self._calls.get()) is not None:
            if failed:
                continue
            try:
                call[0](*call[1])
            except BaseException as error:
                self._error, failed = error, True
