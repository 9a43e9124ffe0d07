"""The Python interface: :class:`PoseInferencer` and its results. torch is imported when the inferencer is first used."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "PoseInferencer": "yolox_pose.inference.inferencer",
    "PoseResult": "yolox_pose.inference.results",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
