"""Registered model classes; importing this package registers them."""

import mmdet.models  # noqa: F401  (registers mmdet.CSPDarknet, mmdet.Darknet and mmdet.YOLOXPAFPN)

from yolox_pose.models.ema import BatchedExpMomentumEMA
from yolox_pose.models.estimator import YOLOXPoseEstimator
from yolox_pose.models.head import YOLOXPoseDecoupledHead
from yolox_pose.models.head_module import YOLOXHeadModule
from yolox_pose.models.necks import YOLOXDarknetNeck
from yolox_pose.models.preprocessor import YOLOXPoseDataPreprocessor
from yolox_pose.models.tta import YOLOXPoseTTA

__all__ = [
    "BatchedExpMomentumEMA",
    "YOLOXDarknetNeck",
    "YOLOXHeadModule",
    "YOLOXPoseDataPreprocessor",
    "YOLOXPoseDecoupledHead",
    "YOLOXPoseEstimator",
    "YOLOXPoseTTA",
]
