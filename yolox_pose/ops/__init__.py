"""Tensor functions of YOLOX-Pose: boxes, keypoints, OKS, SimOTA, losses, distillation, NMS, fusion. Depends on torch alone.

Shape shorthand, used in every docstring of this package:
    B: images in the batch, N: priors (grid points of all levels), G: instances of an image (padded to the largest number in
    the batch), K: keypoints of an instance, C: classes.

Conventions: boxes are ``(x1, y1, x2, y2)`` in pixels of the network's input, in continuous coordinates (pixel ``i`` covers
``[i, i + 1)``). A prior is ``(x, y, stride)``. All geometry is computed in float32, also under AMP.
"""

from yolox_pose.ops.boxes import aligned_iou, decode_boxes, encode_boxes, grid_priors, pairwise_iou
from yolox_pose.ops.distillation import DistillationWeights, distillation_losses
from yolox_pose.ops.fusion import fuse_views
from yolox_pose.ops.keypoints import decode_keypoints, encode_keypoints
from yolox_pose.ops.losses import LossWeights, yolox_losses
from yolox_pose.ops.nms import batched_nms
from yolox_pose.ops.oks import keypoint_oks, mutual_oks, pairwise_oks
from yolox_pose.ops.pose_nms import compare_detections, suppress_duplicates
from yolox_pose.ops.simota import SimOTASettings, simota
from yolox_pose.ops.structures import (
    Assignment,
    DecodedOutputs,
    DetectionTensors,
    HeadOutputs,
    KeypointTargets,
    Targets,
)

__all__ = [
    "Assignment",
    "DecodedOutputs",
    "DetectionTensors",
    "DistillationWeights",
    "HeadOutputs",
    "KeypointTargets",
    "LossWeights",
    "SimOTASettings",
    "Targets",
    "aligned_iou",
    "batched_nms",
    "compare_detections",
    "decode_boxes",
    "decode_keypoints",
    "distillation_losses",
    "encode_boxes",
    "encode_keypoints",
    "fuse_views",
    "grid_priors",
    "keypoint_oks",
    "mutual_oks",
    "pairwise_iou",
    "pairwise_oks",
    "simota",
    "suppress_duplicates",
    "yolox_losses",
]
