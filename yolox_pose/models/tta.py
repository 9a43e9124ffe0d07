"""Test-time augmentation: an estimator that looks at several views of an image and merges what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor

from yolox_pose.models.head import as_postprocess_settings, to_instances
from yolox_pose.ops import DetectionTensors, compare_detections
from yolox_pose.ops.fusion import flip_boxes, flip_keypoints, fuse_views
from yolox_pose.registry import MODELS


@MODELS.register_module()
class YOLOXPoseTTA(BaseTTAModel):
    """Wraps an estimator; samples come from :class:`yolox_pose.datasets.transforms.tta.TTALetterbox`.

    Works for pose, detection and joint models. Which detections of different views are one object is decided as the
    estimator's ``test_cfg`` decides it inside a view, by boxes, poses or both.

    Args:
        module: The estimator or its config.
    """

    def merge_preds(self, data_samples_list: Sequence[Sequence[Any]]) -> list[Any]:
        """Merge the views of each image.

        Args:
            data_samples_list: The samples of all views of each image, with ``pred_instances`` in pixels of the view's
                source image and ``flip`` and ``ori_shape`` in the metainfo.

        Returns:
            One sample an image, that of the first view with the merged ``pred_instances``.
        """
        return [self._merge(samples) for samples in data_samples_list]

    def _merge(self, samples: Sequence[Any]) -> Any:
        head, settings = self.module.head, as_postprocess_settings(self.module.test_cfg)
        flip_indices = None
        if head.skeleton is not None:
            flip_indices = torch.as_tensor(head.skeleton.flip_indices)
        found = [unflip(s.pred_instances, s.metainfo, flip_indices) for s in samples]
        views = torch.cat([torch.full_like(part.labels, view) for view, part in enumerate(found)])
        together = DetectionTensors(*(None if column[0] is None else torch.cat(column) for column in zip(*found)))
        _, duplicate = compare_detections(together, settings, head.sigmas.cpu())
        merged = fuse_views(together, views, duplicate, len(samples))
        count = min(int((merged.scores > settings.score_thr).sum()), settings.max_per_img)
        best = DetectionTensors(*(None if column is None else column[:count] for column in merged))
        samples[0].pred_instances = to_instances(best)
        return samples[0]


def unflip(instances: InstanceData, metainfo: dict[str, Any], flip_indices: Tensor | None) -> DetectionTensors:
    """Detections of a view in the image as it is.

    Args:
        instances: Of the view, in pixels of its source image.
        metainfo: ``flip``, whether that is the mirrored image, and its ``ori_shape`` (h, w).
        flip_indices: (K,) the keypoint that each keypoint becomes in a mirror; None without keypoints.
    """
    keypoints, keypoint_scores = instances.get("keypoints"), instances.get("keypoint_scores")
    boxes = instances.bboxes
    if metainfo["flip"]:
        width = metainfo["ori_shape"][1]
        boxes = flip_boxes(boxes, width)
        if keypoints is not None:
            keypoints = flip_keypoints(keypoints, width, flip_indices)
            keypoint_scores = keypoint_scores[..., flip_indices]
    return DetectionTensors(boxes, instances.scores, instances.labels, keypoints, keypoint_scores)
