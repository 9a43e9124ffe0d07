"""The estimator: backbone, neck and head, and the way back to pixels of the source image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from yolox_pose.checkpoints.layouts import KEYPOINT_LAYERS
from yolox_pose.checkpoints.matching import adapt_state_dict
from yolox_pose.models.head import FOREIGN_TEST_SETTINGS
from yolox_pose.models.micro_batch import in_parts, keep_statistics
from yolox_pose.models.postprocess import PostprocessSettings
from yolox_pose.ops import DistillationWeights, HeadOutputs
from yolox_pose.registry import MODELS


@MODELS.register_module()
class YOLOXPoseEstimator(BasePoseEstimator):
    """One-stage multi-person pose estimator and detector.

    Weights in another known layout (:mod:`yolox_pose.checkpoints.layouts`) are recognised when they are loaded: what fits
    is taken and the rest is reported.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        head: Config of the head.
        test_cfg: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings`.
        channels_last: Whether weights are laid out channels-last.
        compile: Whether ``torch.compile`` makes one program of the network (backbone, neck, head convolutions) for
            training, for batches of any size; or the arguments of ``torch.compile``.
        micro_batch: Images that go through the network together in training; None for the whole batch. Losses and their
            normalisation see the whole batch, so gradients are those of the whole batch (batch norm takes its statistics
            of each part), with the activations of one part in memory and a third more computation.
        freeze_detector: Whether only the keypoint branch learns: boxes and scores stay, to the bit, those of the weights
            that the training starts from.
        **kwargs: Further arguments of MMPose's ``BasePoseEstimator``.
    """

    CONFIG_GROUPS = {"test_cfg": (*PostprocessSettings._fields, *FOREIGN_TEST_SETTINGS)}

    def __init__(
        self,
        backbone: Mapping[str, Any],
        neck: Mapping[str, Any],
        head: Mapping[str, Any],
        test_cfg: Mapping[str, Any] | None = None,
        channels_last: bool = True,
        compile: bool | Mapping[str, Any] = False,
        micro_batch: int | None = None,
        freeze_detector: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone=backbone, neck=neck, head=head, test_cfg=test_cfg, **kwargs)
        if channels_last:
            self.to(memory_format=torch.channels_last)
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch must be at least 1, not {micro_batch}")
        self.micro_batch = micro_batch
        self.freeze_detector = freeze_detector
        if freeze_detector:
            if not self.head.num_keypoints:
                raise ValueError("freeze_detector leaves a model without keypoints nothing to learn")
            for part in self._detector():
                part.requires_grad_(False)
        self._kept: tuple[YOLOXPoseEstimator, DistillationWeights] | None = None
        self.train()  # backbones freeze their first stages here alone, and DDP has to see them frozen
        self._train_network = self._network
        if compile:
            options = {"dynamic": True} if compile is True else dict(compile)
            self._train_network = torch.compile(self._network, **options)

    def _detector(self) -> list[nn.Module]:
        """Everything but the keypoint branch."""
        head = self.head.head_module.named_children()
        return [self.backbone, self.neck, *(layer for name, layer in head if name not in KEYPOINT_LAYERS)]

    def train(self, mode: bool = True) -> YOLOXPoseEstimator:
        """Switch to training or evaluation; a frozen detector stays in evaluation, its statistics as they are."""
        super().train(mode)
        if self.freeze_detector:
            for part in self._detector():
                part.eval()
        return self

    def _network(self, inputs: Tensor) -> tuple[Tensor | None, ...]:
        """Raw outputs of (B, 3, H, W) images, a plain tuple of the fields of ``HeadOutputs``."""
        return tuple(self.head(self.extract_feat(inputs)))

    def loss(self, inputs: Tensor, data_samples: Sequence) -> dict[str, Tensor]:
        """Losses of a batch: (B, 3, H, W) images and their samples."""
        size = self.micro_batch
        if size is None or len(inputs) <= size:
            outputs = self._train_network(inputs)
        else:
            outputs = in_parts(self._train_network, inputs, size, contexts=lambda: keep_statistics(self))
        predictions, shape = HeadOutputs(*outputs), inputs.shape[-2:]
        losses = self.head.loss_of(predictions, shape, data_samples)
        if self._kept is not None:
            detector, weights = self._kept
            with torch.no_grad():
                wanted = HeadOutputs(*detector._network(inputs))
            losses |= self.head.distillation_losses(predictions, wanted, shape, weights)
        return losses

    def distill(self, detector: YOLOXPoseEstimator, weights: DistillationWeights = DistillationWeights()) -> None:
        """Add to the losses how far this model's detections are from a detector's (:func:`yolox_pose.ops.distillation_losses`).

        Args:
            detector: Of as many classes and the same strides. It is no part of this model: it does not learn and is not
                saved.
            weights: Of the two terms.
        """
        detector.to(next(self.parameters()).device).eval().requires_grad_(False)
        self._kept = detector, weights

    def predict(self, inputs: Tensor, data_samples: Sequence) -> Sequence:
        """Detections, in pixels of the source images.

        Args:
            inputs: (B, 3, H, W).
            data_samples: Samples with ``letterbox`` and ``ori_shape`` in their metainfo.

        Returns:
            The same samples with ``pred_instances``.
        """
        found = self.head.predict(self.extract_feat(inputs), data_samples, test_cfg=self.test_cfg)
        for sample, instances in zip(data_samples, found):
            sample.pred_instances = to_source(instances, sample.metainfo)
        return data_samples

    def _load_state_dict_pre_hook(self, state_dict: dict, prefix: str, *args: Any, **kwargs: Any) -> None:
        """Called by torch before weights are loaded: other layouts are turned into this one, in place."""
        adapt_state_dict(state_dict, self.state_dict(keep_vars=True), prefix)


def to_source(instances: InstanceData, metainfo: Mapping[str, Any]) -> InstanceData:
    """Undo the letterbox: from pixels of the network's input to pixels of the source image.

    Args:
        instances: ``bboxes`` (n, 4) and, for pose, ``keypoints`` (n, K, 2); changed in place. Where ``keypoint_scores``
            (n, K) are there and all 0, a detection has no keypoints: their coordinates become 0.
        metainfo: ``letterbox``, ``(sx, sy, left, top)`` of the map ``source * (sx, sy) + (left, top)``, and
            ``ori_shape``, (height, width) of the source image, to which boxes are clipped.
    """
    boxes = instances.bboxes
    sx, sy, left, top = metainfo.get("letterbox", (1.0, 1.0, 0.0, 0.0))
    scale, shift = boxes.new_tensor([sx, sy]), boxes.new_tensor([left, top])
    height, width = metainfo["ori_shape"][:2]
    boxes = (boxes - shift.repeat(2)) / scale.repeat(2)
    instances.bboxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    if "keypoints" in instances:
        instances.keypoints = (instances.keypoints - shift) / scale
    if "keypoint_scores" in instances:
        instances.keypoints = instances.keypoints * (instances.keypoint_scores > 0).any(-1)[:, None, None]
    return instances
