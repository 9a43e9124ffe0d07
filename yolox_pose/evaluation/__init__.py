"""COCO keypoint AP and box AP. Public names are imported when first used, so that files are evaluated without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolox_pose.evaluation.coco_eval import evaluate_boxes, evaluate_keypoints
    from yolox_pose.evaluation.coco_metric import CocoPoseMetric

_HOMES = {
    "evaluate_keypoints": "coco_eval",
    "evaluate_boxes": "coco_eval",
    "CocoPoseMetric": "coco_metric",
}
__all__ = ["CocoPoseMetric", "evaluate_boxes", "evaluate_keypoints"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
