"""Pack a sample for the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample

from yolox_pose.datasets.transforms.base import LABEL_KEYS, SampleTransform, get_instances, image_size, to_planes
from yolox_pose.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackYOLOXPoseInputs(SampleTransform):
    """Turn a sample into ``inputs``, a (3, H, W) uint8 tensor, and ``data_samples``, a :class:`PoseDataSample`.

    The labels go into ``gt_instance_labels`` (``bboxes``, ``labels``, ``keypoints``, ``keypoints_visible``, ``areas``), a
    crowd mask of the image, if any, into ``gt_fields.ignore_mask`` (1, H, W). The metainfo has ``img_id``,
    ``img_path``, ``ori_shape`` (h, w), ``img_shape`` (H, W), ``input_size`` (W, H), ``letterbox`` (sx, sy, left, top), and
    ``input_center`` and ``input_scale`` in source pixels for MMPose.

    Args:
        meta_keys: Further keys of the sample for the metainfo.
    """

    def __init__(self, meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a sample; samples of test mode have no labels."""
        sample = PoseDataSample()
        for key, value in self._metainfo(results).items():  # the constructor would copy each value
            sample.set_field(value, key, field_type="metainfo")
        if "bboxes" in results:
            labels = InstanceData()
            for key, values in zip(LABEL_KEYS[:-1], get_instances(results)):
                labels.set_field(torch.from_numpy(values), key)  # skips the check of equal lengths
            sample.gt_instance_labels = labels
        if results.get("ignore_mask") is not None:
            mask = torch.from_numpy(np.ascontiguousarray(results["ignore_mask"]))
            sample.gt_fields = PixelData(ignore_mask=mask[None])
        return {"inputs": torch.from_numpy(to_planes(results["img"])), "data_samples": sample}

    def _metainfo(self, results: dict[str, Any]) -> dict[str, Any]:
        (width, height), box = image_size(results), results.get("letterbox")
        (sx, sy), (left, top) = (box.scale, box.pad) if box else ((1.0, 1.0), (0, 0))
        metainfo = {key: results[key] for key in ("img_id", "img_path", *self.meta_keys) if key in results}
        return metainfo | {
            "ori_shape": tuple(results["ori_shape"]),
            "img_shape": (height, width),
            "input_size": (width, height),
            "letterbox": (float(sx), float(sy), float(left), float(top)),
            "input_center": np.array([(width / 2 - left) / sx, (height / 2 - top) / sy], dtype=np.float32),
            "input_scale": np.array([width / sx, height / sy], dtype=np.float32),
        }
