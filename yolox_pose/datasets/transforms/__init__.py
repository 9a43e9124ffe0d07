"""Registered transforms of the YOLOX-Pose pipelines; importing this package registers them.

Each transform draws its random numbers from ``results["rng"]``, which the data set seeds by (seed, epoch, index), and
calls the pure functions of :mod:`yolox_pose.datasets.augment` and :mod:`yolox_pose.geometry.affine`. A mosaic is
drawn lazily: it makes ``results["img"]`` a :class:`~yolox_pose.geometry.affine.TiledImage`, whose tiles
``YOLOXPoseAffine`` warps straight into the final image. Other transforms get the drawn image.

Shape letters: G instances, K keypoints, (H, W) the current image. ``input_size`` is always (width, height).
"""

from yolox_pose.datasets.transforms.affine import YOLOXPoseAffine
from yolox_pose.datasets.transforms.color import YOLOXPoseHSV
from yolox_pose.datasets.transforms.flip import YOLOXPoseFlip
from yolox_pose.datasets.transforms.instances import DropTinyInstances
from yolox_pose.datasets.transforms.letterbox import LetterboxResize
from yolox_pose.datasets.transforms.loading import LoadBGRImage
from yolox_pose.datasets.transforms.mixup import YOLOXPoseMixUp
from yolox_pose.datasets.transforms.mosaic import YOLOXPoseMosaic
from yolox_pose.datasets.transforms.packing import PackYOLOXPoseInputs
from yolox_pose.datasets.transforms.tta import TTALetterbox

__all__ = [
    "DropTinyInstances",
    "LetterboxResize",
    "LoadBGRImage",
    "TTALetterbox",
    "PackYOLOXPoseInputs",
    "YOLOXPoseAffine",
    "YOLOXPoseFlip",
    "YOLOXPoseHSV",
    "YOLOXPoseMixUp",
    "YOLOXPoseMosaic",
]
