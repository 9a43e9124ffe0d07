"""Data set, sampler and transforms. Public names are imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CocoPoseDataset": "coco",
    "EpochSampler": "sampler",
    "SampleKey": "sampler",
    "DropTinyInstances": "transforms",
    "LetterboxResize": "transforms",
    "LoadBGRImage": "transforms",
    "PackYOLOXPoseInputs": "transforms",
    "YOLOXPoseAffine": "transforms",
    "YOLOXPoseFlip": "transforms",
    "YOLOXPoseHSV": "transforms",
    "YOLOXPoseMixUp": "transforms",
    "YOLOXPoseMosaic": "transforms",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
