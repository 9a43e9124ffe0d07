"""Progress bars for long work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def track(items: Iterable[T], description: str, *, total: int | None = None, enabled: bool = True) -> Iterator[T]:
    """Yield items and show a progress bar on stderr.

    Args:
        items: Items to yield.
        description: Text in front of the bar.
        total: Number of items; by default ``len(items)`` if it exists.
        enabled: Whether the bar is shown.
    """
    yield from tqdm(items, desc=description, total=total, file=sys.stderr, dynamic_ncols=True, disable=not enabled)
