"""The network in PyTorch, as :class:`yolox_pose.apis.inferencer.PoseInferencer` calls it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from yolox_pose.apis.model_info import find_classes, find_preprocessing, find_skeleton
from yolox_pose.apis.model_io import load_model
from yolox_pose.geometry.letterbox import Letterbox
from yolox_pose.registry import SCOPE
from yolox_pose.runtime.decoding import Found

from mmcv.cnn import fuse_conv_bn  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.config import Config  # isort: skip
from mmengine.registry import init_default_scope  # isort: skip
from mmpose.structures import PoseDataSample  # isort: skip

HALF_TYPES = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}
"""Half precision of each kind of device: CPUs compute in bfloat16, if at all."""


class TorchNetwork:
    """Detections of letterboxed images by a model in PyTorch.

    Args:
        config: See :func:`yolox_pose.apis.model_io.load_model`.
        checkpoint: Likewise.
        device: Likewise.
        half: Compute the network in half precision: float16 on a GPU, bfloat16 on a CPU.

    Attributes:
        model: The model.
        test_cfg: Of the config.
        preprocessing: How images become its input.
        skeleton: Of the keypoints; None for plain detection.
        classes: Class names in label order.
        keypoint_classes: Labels of the classes that have keypoints.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Config,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        *,
        half: bool = False,
    ) -> None:
        model: Any = fuse_conv_bn(load_model(config, checkpoint, device))
        self.device = next(model.parameters()).device
        self.dtype = HALF_TYPES[self.device.type] if half else torch.float32
        self.model = model.to(dtype=self.dtype, memory_format=torch.channels_last)
        self.test_cfg = dict(model.test_cfg or {})
        self.preprocessing = find_preprocessing(model.cfg, model.dataset_meta)
        self.skeleton = find_skeleton(model)
        self.classes = find_classes(model)
        self.keypoint_classes: tuple[int, ...] = model.head.keypoint_classes

    def predict(
        self,
        canvases: Sequence[np.ndarray],
        letterboxes: Sequence[Letterbox],
        settings: Mapping[str, Any] | None = None,
    ) -> list[Found]:
        """Detections of (H, W, 3) uint8 BGR canvases in pixels of the source images, boxes cut to them.

        Args:
            canvases: (H, W, 3) uint8 BGR.
            letterboxes: Places of the images in them.
            settings: Entries of the model's ``test_cfg`` that differ from the config's.
        """
        self.model.test_cfg = {**self.test_cfg, **(settings or {})}
        inputs = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2)  # channels-last
        samples = [_data_sample(letterbox) for letterbox in letterboxes]
        init_default_scope(self.model.cfg.get("default_scope", SCOPE))
        with torch.inference_mode():
            data = self.model.data_preprocessor({"inputs": inputs, "data_samples": samples})
            samples = self.model.predict(data["inputs"].to(self.dtype), data["data_samples"])
        num_keypoints = self.skeleton.num_keypoints if self.skeleton is not None else 0
        return [_found(sample.pred_instances, num_keypoints) for sample in samples]


def _data_sample(letterbox: Letterbox) -> PoseDataSample:
    """The sample that the model writes its predictions into."""
    meta = {
        "ori_shape": letterbox.source[::-1],
        "img_shape": letterbox.size[::-1],
        "input_size": letterbox.size,
        "letterbox": (*letterbox.scale, *letterbox.pad),
    }
    return PoseDataSample(metainfo=meta)


def _found(instances: Any, num_keypoints: int) -> Found:
    n = len(instances.scores)
    keypoints, keypoint_scores = np.zeros((n, num_keypoints, 2), np.float32), np.zeros((n, num_keypoints), np.float32)
    if num_keypoints:
        keypoints, keypoint_scores = _numpy(instances.keypoints), _numpy(instances.keypoint_scores)
    return Found(
        _numpy(instances.bboxes),
        _numpy(instances.scores),
        _numpy(instances.labels, np.int64),
        keypoints,
        keypoint_scores,
    )


def _numpy(values: Any, dtype: type = np.float32) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values, dtype=dtype)
