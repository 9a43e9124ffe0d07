"""JSON files in and out."""

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
    """Keep Python's cycle collector from searching millions of new numbers and lists, which takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_json(path: str | Path, what: str) -> Any:
    """Parse a JSON file.

    Raises:
        DataError: If it is missing, unreadable or no JSON; one line that begins with ``what`` and names the file.
    """
    try:
        with open(path, encoding="utf-8") as file, paused_gc():
            return json.load(file)
    except FileNotFoundError:
        raise DataError(f"{what} not found: {path}") from None
    except OSError as error:
        raise DataError(f"{what} cannot be read: {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is not valid JSON: {path}: {error}") from None


def write_json(path: str | Path, content: Any, indent: int | None = None) -> Path:
    """Write to a temporary file and rename, so that a kill never leaves half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    return path
