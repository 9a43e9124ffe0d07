"""Data set, sampler and transforms. Public names are imported when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from yolox_pose.datasets.coco import CocoPoseDataset
    from yolox_pose.datasets.sampler import EpochSampler, SampleKey
    from yolox_pose.datasets.transforms import (
        DropTinyInstances,
        LetterboxResize,
        LoadBGRImage,
        PackYOLOXPoseInputs,
        YOLOXPoseAffine,
        YOLOXPoseFlip,
        YOLOXPoseHSV,
        YOLOXPoseMixUp,
        YOLOXPoseMosaic,
    )

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
__all__ = [
    "CocoPoseDataset",
    "DropTinyInstances",
    "EpochSampler",
    "LetterboxResize",
    "LoadBGRImage",
    "PackYOLOXPoseInputs",
    "SampleKey",
    "YOLOXPoseAffine",
    "YOLOXPoseFlip",
    "YOLOXPoseHSV",
    "YOLOXPoseMixUp",
    "YOLOXPoseMosaic",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
