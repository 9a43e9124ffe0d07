"""Registered model classes; importing this package registers them."""

import mmdet.models  # noqa: F401  (registers mmdet.CSPDarknet and mmdet.YOLOXPAFPN)

from yolox_pose.models.data_preprocessor import YOLOXPoseDataPreprocessor
from yolox_pose.models.estimator import YOLOXPoseEstimator
from yolox_pose.models.head import YOLOXHeadModule, YOLOXPoseDecoupledHead

__all__ = ["YOLOXHeadModule", "YOLOXPoseDataPreprocessor", "YOLOXPoseDecoupledHead", "YOLOXPoseEstimator"]
