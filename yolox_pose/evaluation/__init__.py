"""COCO keypoint AP and box AP. Public names are imported when first used, so that files are evaluated without torch."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "evaluate_keypoints": "coco_eval",
    "evaluate_boxes": "coco_eval",
    "CocoPoseMetric": "coco_metric",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
