"""The estimator: backbone, neck and head, and the way back to pixels of the source image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from mmpose.models.pose_estimators.base import BasePoseEstimator
from mmpose.structures import PoseDataSample
from torch import Tensor, nn

from yolox_pose.checkpoints.layouts import KEYPOINT_LAYERS
from yolox_pose.checkpoints.matching import adapt_state_dict
from yolox_pose.models.head import FOREIGN_TEST_SETTINGS
from yolox_pose.models.micro_batch import forward_in_parts
from yolox_pose.ops import DistillationWeights, HeadOutputs
from yolox_pose.registry import MODELS
from yolox_pose.structures.settings import PostprocessSettings


@MODELS.register_module()
class YOLOXPoseEstimator(BasePoseEstimator):
    """One-stage multi-person pose estimator and detector.

    Weights in another known layout (:mod:`yolox_pose.checkpoints.layouts`) are recognized and renamed when they are
    loaded.

    Layers that do not learn (``backbone.frozen_stages``, ``freeze_detector``) are frozen when the model is built, because
    DDP and the optimizer look at the parameters before the first call of :meth:`train`.

    Args:
        backbone: Config of the backbone.
        neck: Config of the neck.
        head: Config of the head.
        test_cfg: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings`.
        channels_last: Whether weights use the channels-last memory format.
        compile: Whether ``torch.compile`` compiles the network (backbone, neck, head convolutions) for training, for
            batches of any size; or the arguments of ``torch.compile``.
        micro_batch: Images that go through the network together in training; None for the whole batch. Losses see the
            whole batch, so gradients are those of the whole batch, except that batch norm takes the statistics of each
            part. Memory holds the activations of one part, for a third more computation.
        freeze_detector: Whether only the pose branch learns. Boxes and scores stay bit-identical to those of the weights
            that the training starts from.
        **kwargs: Further arguments of MMPose's ``BasePoseEstimator``.

    Raises:
        ValueError: If ``micro_batch`` is not positive, or ``freeze_detector`` leaves nothing to learn.
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
        if micro_batch is not None and micro_batch < 1:
            raise ValueError(f"micro_batch must be at least 1, not {micro_batch}")
        if freeze_detector and not self.head.num_keypoints:
            raise ValueError("freeze_detector leaves a model without keypoints nothing to learn")
        self.micro_batch = micro_batch
        self.freeze_detector = freeze_detector
        self._teacher: tuple[YOLOXPoseEstimator, DistillationWeights] | None = None  # a tuple: not a submodule
        if channels_last:
            self.to(memory_format=torch.channels_last)

        # Freeze what does not learn; MMDetection's backbones freeze their stages in train()
        if freeze_detector:
            for part in self._detector_parts():
                part.requires_grad_(False)
        self.train()

        self._train_network: Callable[[Tensor], HeadOutputs] = self._network
        if compile:
            options = {"dynamic": True} if compile is True else dict(compile)
            self._train_network = torch.compile(self._network, **options)

    def _detector_parts(self) -> list[nn.Module]:
        """Return all modules but the pose branch."""
        head = self.head.head_module.named_children()
        return [self.backbone, self.neck, *(layer for name, layer in head if name not in KEYPOINT_LAYERS)]

    def train(self, mode: bool = True) -> YOLOXPoseEstimator:
        """Switch to training or evaluation mode; a frozen detector stays in evaluation mode."""
        super().train(mode)
        if self.freeze_detector:
            for part in self._detector_parts():
                part.eval()
        return self

    def _network(self, inputs: Tensor) -> HeadOutputs:
        """Compute the raw outputs for (B, 3, H, W) images."""
        return self.head(self.extract_feat(inputs))

    def loss(self, inputs: Tensor, data_samples: Sequence[PoseDataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            inputs: Images of shape (B, 3, H, W).
            data_samples: Samples with ``gt_instance_labels``.

        Returns:
            Loss terms and statistics by name.
        """
        # Run the network
        if self.micro_batch is None or len(inputs) <= self.micro_batch:
            outputs = self._train_network(inputs)
        else:
            outputs = forward_in_parts(self, self._train_network, inputs, self.micro_batch)

        # Compare with the annotations
        priors = self.head.priors_for(inputs)
        losses = self.head.loss(outputs, priors, data_samples)

        # Compare with the teacher
        if self._teacher is not None:
            teacher, weights = self._teacher
            with torch.no_grad():
                teacher_outputs = teacher._network(inputs)
            losses |= self.head.distillation_losses(outputs, teacher_outputs, priors, weights)
        return losses

    def distill(self, teacher: YOLOXPoseEstimator, weights: DistillationWeights = DistillationWeights()) -> None:
        """Add distillation losses, which keep the detections near those of a teacher.

        Args:
            teacher: Detector with the same classes and strides. It does not learn, and checkpoints do not contain it.
            weights: Weights of the terms of :func:`yolox_pose.ops.distillation_losses`.
        """
        teacher.to(next(self.parameters()).device).eval().requires_grad_(False)
        self._teacher = teacher, weights

    def predict(self, inputs: Tensor, data_samples: Sequence[PoseDataSample]) -> Sequence[PoseDataSample]:
        """Detect in pixels of the source images.

        Args:
            inputs: Images of shape (B, 3, H, W).
            data_samples: Samples with ``letterbox`` and ``ori_shape`` in their metainfo.

        Returns:
            The same samples with ``pred_instances``.
        """
        features = self.extract_feat(inputs)
        predictions = self.head.predict(self.head(features), self.head.priors(features), self.test_cfg)
        for sample, instances in zip(data_samples, predictions):
            sample.pred_instances = to_source(instances, sample.metainfo)
        return data_samples

    def _load_state_dict_pre_hook(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Rename the weights of other layouts in place. Torch calls this before it loads weights."""
        adapt_state_dict(state_dict, self.state_dict(keep_vars=True), prefix)


def to_source(instances: InstanceData, metainfo: Mapping[str, Any]) -> InstanceData:
    """Map instances from pixels of the network's input to pixels of the source image.

    Args:
        instances: Instances with ``bboxes`` (n, 4) and, for pose, ``keypoints`` (n, K, 2); changed in place. The keypoints
            of a detection whose ``keypoint_scores`` (n, K) are all 0 become 0.
        metainfo: ``letterbox``, ``(sx, sy, left, top)`` of the map ``source * (sx, sy) + (left, top)``, and
            ``ori_shape``, (height, width) of the source image, to which boxes are clipped.
    """
    # Undo the letterbox
    boxes = instances.bboxes
    sx, sy, left, top = metainfo.get("letterbox", (1.0, 1.0, 0.0, 0.0))
    scale, shift = boxes.new_tensor([sx, sy]), boxes.new_tensor([left, top])
    boxes = (boxes - shift.repeat(2)) / scale.repeat(2)

    # Clip boxes to the image
    height, width = metainfo["ori_shape"][:2]
    instances.bboxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))

    # Keypoints may lie outside the image
    if "keypoints" in instances:
        instances.keypoints = (instances.keypoints - shift) / scale
    if "keypoint_scores" in instances:
        instances.keypoints = instances.keypoints * (instances.keypoint_scores > 0).any(-1)[:, None, None]
    return instances
