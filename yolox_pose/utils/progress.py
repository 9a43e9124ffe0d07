"""A progress bar for long work: tqdm's where it is installed, else a plain line that is rewritten."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_REFRESH_SECONDS = 0.2
_BAR_WIDTH = 30


def track(items: Iterable[T], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield ``items`` while a progress bar on stderr counts them.

    Args:
        items: What is worked through.
        description: Text in front of the bar.
        total: Number of items; taken from ``len(items)`` where that exists.
        enabled: ``False`` shows nothing.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    if not enabled:
        yield from items
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _plain_bar(items, description, total)
        return
    yield from tqdm(items, desc=description, total=total, file=sys.stderr, dynamic_ncols=True)


def _plain_bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    """The bar where tqdm is missing; on something that is not a terminal only the last state is printed."""
    start = shown = time.monotonic()
    count, live = 0, sys.stderr.isatty()
    for item in items:
        yield item
        count += 1
        now = time.monotonic()
        if live and now - shown >= _REFRESH_SECONDS:
            shown = now
            print(f"\r{_bar_line(description, count, total, now - start)}", end="", file=sys.stderr, flush=True)
    line = _bar_line(description, count, total, time.monotonic() - start)
    print(f"\r{line}" if live else line, file=sys.stderr, flush=True)


def _bar_line(description: str, count: int, total: int | None, seconds: float) -> str:
    rate = f"{count / max(seconds, 1e-6):.1f}/s"
    if not total:
        return f"{description}: {count} [{seconds:.0f} s, {rate}]"
    done = _BAR_WIDTH * min(count, total) // total
    return f"{description}: |{'#' * done}{'.' * (_BAR_WIDTH - done)}| {count}/{total} [{seconds:.0f} s, {rate}]"
