"""Multi-person pose estimation on YOLOX for the OpenMMLab stack.

Importing the package is light: neither torch nor the OpenMMLab packages are imported until a name needs them.
"""

from __future__ import annotations

import importlib
from typing import Any

from yolox_pose.version import __version__

_LAZY = {
    "PoseInferencer": "yolox_pose.inference",
    "PoseResult": "yolox_pose.inference",
    "CrowdOptions": "yolox_pose.synthetic.options",
    "synthesize_crowd": "yolox_pose.synthetic.dataset",
    "Skeleton": "yolox_pose.structures.skeleton",
    "get_skeleton": "yolox_pose.structures.skeleton",
    "YOLOXPoseError": "yolox_pose.errors",
    "UsageError": "yolox_pose.errors",
    "DataError": "yolox_pose.errors",
}
"""Public name to the module that is imported when the name is first used."""

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
