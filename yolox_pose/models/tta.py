"""Test-time augmentation (TTA): detect in several augmented views of an image and fuse the detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import Tensor

from yolox_pose.models.head import as_postprocess_settings, to_instances
from yolox_pose.ops import DetectionTensors, compare_detections
from yolox_pose.ops.fusion import flip_boxes, flip_keypoints, fuse_views
from yolox_pose.registry import MODELS


@MODELS.register_module()
class YOLOXPoseTTA(BaseTTAModel):
    """Wrapper of an estimator for pose, detection or joint models.

    :class:`yolox_pose.datasets.transforms.tta.TTALetterbox` makes the augmented views. Detections of different views are
    duplicates by the rule that the estimator's ``test_cfg`` sets for NMS: by boxes, poses or both.

    Args:
        module: The estimator or its config.
    """

    def merge_preds(self, data_samples_list: Sequence[Sequence[PoseDataSample]]) -> list[PoseDataSample]:
        """Fuse the detections in the augmented views of each image.

        Args:
            data_samples_list: Samples of the augmented views of each image, with ``pred_instances`` in pixels of the
                (mirrored) source image and ``flip`` and ``ori_shape`` in the metainfo.

        Returns:
            The first sample of each image, with the fused ``pred_instances``.
        """
        return [self._fuse(samples) for samples in data_samples_list]

    def _fuse(self, samples: Sequence[PoseDataSample]) -> PoseDataSample:
        head, settings = self.module.head, as_postprocess_settings(self.module.test_cfg)
        flip_indices = None if head.skeleton is None else torch.as_tensor(head.skeleton.flip_indices)

        # Collect the detections of all views in the coordinates of the source image
        parts = [unflip(sample.pred_instances, sample.metainfo, flip_indices) for sample in samples]
        views = torch.cat([torch.full_like(part.labels, view) for view, part in enumerate(parts)])
        detections = DetectionTensors._make(None if fields[0] is None else torch.cat(fields) for fields in zip(*parts))

        # Fuse duplicates
        _, duplicate = compare_detections(detections, settings, head.sigmas.cpu())
        fused = fuse_views(detections, views, duplicate, len(samples))

        # Apply score threshold and limit; fused detections are sorted by score
        count = min(int((fused.scores > settings.score_thr).sum()), settings.max_per_img)
        best = DetectionTensors._make(None if values is None else values[:count] for values in fused)
        samples[0].pred_instances = to_instances(best)
        return samples[0]


def unflip(instances: InstanceData, metainfo: dict[str, Any], flip_indices: Tensor | None) -> DetectionTensors:
    """Return the detections of an augmented view in coordinates of the source image.

    Args:
        instances: Detections in pixels of the source image, mirrored if ``flip`` is set.
        metainfo: Metainfo of the view with ``flip`` and ``ori_shape`` (h, w).
        flip_indices: Index of the mirrored counterpart of each keypoint, (K,); None without keypoints.
    """
    keypoints, keypoint_scores = instances.get("keypoints"), instances.get("keypoint_scores")
    boxes = instances.bboxes
    if metainfo["flip"]:
        width = metainfo["ori_shape"][1]
        boxes = flip_boxes(boxes, width)
        if keypoints is not None and keypoint_scores is not None:
            assert flip_indices is not None
            keypoints = flip_keypoints(keypoints, width, flip_indices)
            keypoint_scores = keypoint_scores[..., flip_indices]
    return DetectionTensors(boxes, instances.scores, instances.labels, keypoints, keypoint_scores)
