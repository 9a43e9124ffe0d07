"""Read and write JSON files."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yolox_pose.errors import DataError


@contextlib.contextmanager
def paused_gc() -> Iterator[None]:
    """Pause Python's garbage collector, which takes half of the time of parsing millions of numbers."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_json(path: str | Path, kind: str) -> Any:
    """Parse a JSON file.

    Args:
        path: Path of the file.
        kind: Kind of file, for messages, such as ``annotation file``.

    Raises:
        DataError: If the file is missing, unreadable or not valid JSON; one line that names kind and file.
    """
    try:
        with open(path, encoding="utf-8") as file, paused_gc():
            return json.load(file)
    except FileNotFoundError:
        raise DataError(f"{kind} not found: {path}") from None
    except OSError as error:
        raise DataError(f"{kind} cannot be read: {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{kind} is not valid JSON: {path}: {error}") from None


def write_json(path: str | Path, content: Any, indent: int | None = None) -> Path:
    """Write a JSON file atomically: a killed process leaves the old file or the new one.

    Args:
        path: Path of the file; missing folders are made.
        content: Plain values.
        indent: Spaces of indentation; None writes one line.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path
