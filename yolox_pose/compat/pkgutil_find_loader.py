"""Restore ``pkgutil.find_loader``, which Python 3.14 removed and MMEngine calls whenever it builds a model.

Remove this file when MMEngine uses ``importlib.util.find_spec``.
"""

from __future__ import annotations

import pkgutil
from importlib.abc import Loader
from importlib.util import find_spec


def fill() -> str | None:
    """Restore the function if it is missing and return a description; None if it exists."""
    if hasattr(pkgutil, "find_loader"):
        return None
    pkgutil.find_loader = find_loader
    return f"filled by {__name__}"


def find_loader(fullname: str) -> Loader | None:
    """Return the loader of the module ``fullname``; None if it is not installed."""
    spec = find_spec(fullname)
    return spec.loader if spec else None
