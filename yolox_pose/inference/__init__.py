"""Inference in Python: :class:`PoseInferencer` and its results.

Importing this package is light: torch is imported when an inferencer with a PyTorch model is made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.results import PoseResult

__all__ = ["PoseInferencer", "PoseResult"]

_MODULES = {
    "PoseInferencer": "yolox_pose.inference.inferencer",
    "PoseResult": "yolox_pose.inference.results",
}
"""Public names and the modules that define them."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
