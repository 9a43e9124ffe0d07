"""Data sets, samplers and transforms; importing this registers them."""

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
