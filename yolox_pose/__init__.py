"""Multi-person pose estimation on YOLOX for the OpenMMLab stack.

Importing the package is light: torch and the OpenMMLab packages are imported when a public name that needs them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from yolox_pose.version import __version__

if TYPE_CHECKING:  # editors and type checkers see the classes, at run time __getattr__ imports them
    from yolox_pose.errors import DataError, UsageError, YOLOXPoseError
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.results import PoseResult
    from yolox_pose.structures.skeleton import Skeleton, get_skeleton
    from yolox_pose.synthetic.dataset import synthesize_crowd
    from yolox_pose.synthetic.options import CrowdOptions

__all__ = [
    "CrowdOptions",
    "DataError",
    "PoseInferencer",
    "PoseResult",
    "Skeleton",
    "UsageError",
    "YOLOXPoseError",
    "__version__",
    "get_skeleton",
    "synthesize_crowd",
]

_MODULES = {
    "CrowdOptions": "yolox_pose.synthetic.options",
    "DataError": "yolox_pose.errors",
    "PoseInferencer": "yolox_pose.inference.inferencer",
    "PoseResult": "yolox_pose.inference.results",
    "Skeleton": "yolox_pose.structures.skeleton",
    "UsageError": "yolox_pose.errors",
    "YOLOXPoseError": "yolox_pose.errors",
    "get_skeleton": "yolox_pose.structures.skeleton",
    "synthesize_crowd": "yolox_pose.synthetic.dataset",
}
"""Public names and the modules that define them, imported when a name is first used."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
