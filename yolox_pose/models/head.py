"""The decoupled YOLOX head with an optional pose branch (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch import Tensor

from yolox_pose.models.head_module import YOLOXHeadModule
from yolox_pose.models.postprocess import detect
from yolox_pose.models.targets import check_labels, collect_targets
from yolox_pose.ops import (
    Assignment,
    DecodedOutputs,
    DetectionTensors,
    DistillationWeights,
    HeadOutputs,
    LossWeights,
    SimOTASettings,
    Targets,
    distillation_losses,
    grid_priors,
    simota,
    yolox_losses,
)
from yolox_pose.registry import MODELS
from yolox_pose.structures.phase import TrainingPhase
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.structures.skeleton import Skeleton, get_skeleton

FOREIGN_TEST_SETTINGS = ("output_heatmaps",)
"""Keys that MMPose's inferencer writes into the ``test_cfg`` of any model; this model has no heatmaps."""

Settings = TypeVar("Settings", SimOTASettings, LossWeights)


def mean_counts(counts: Tensor) -> Tensor:
    """Compute loss normalizers with which DDP's averaged gradients equal those of one process with the whole batch.

    Args:
        counts: Counts of this process; summed over processes in place.

    Returns:
        ``max(sum over processes, 1) / number of processes``.
    """
    all_reduce(counts, "sum")
    return counts.clamp(min=1) / get_world_size()


@MODELS.register_module()
class YOLOXPoseDecoupledHead(BaseModule):
    """YOLOX head for pose (all classes have keypoints), detection (no class does) or both.

    The path of a training step is ``forward`` -> ``priors_for`` -> ``loss``, that of inference ``forward`` -> ``priors``
    -> ``predict``. Instances of classes without keypoints count as people without labeled keypoints: they do not train
    the pose branch. Their detections have keypoint scores of 0.

    Args:
        num_classes: C.
        skeleton: Name or description of the keypoints (see :func:`yolox_pose.structures.skeleton.get_skeleton`); None
            builds a detector without pose branch.
        keypoint_classes: Labels of the classes that have keypoints; None for all (with a skeleton).
        head_module: Further arguments of :class:`~yolox_pose.models.head_module.YOLOXHeadModule`.
        strides: Pixels per cell of each level.
        assigner: Fields of :class:`yolox_pose.ops.SimOTASettings` that differ from its defaults.
        loss_weights: Fields of :class:`yolox_pose.ops.LossWeights` that differ from its defaults.
        class_target_power: The class target is the overlap to this power. Defaults to 0.5 for classes with keypoints and
            1 for others.
        hidden_is_visible: Whether visibility code 1 trains as visible.
        unlabelled: Treatment of visibility code 0 in the visibility loss, ``'negative'`` or ``'ignore'``.
        init_cfg: Config of the initialization.

    Attributes:
        phase: Training phase; its owner is the training-phase hook.

    Raises:
        ValueError: If a setting is unknown.
    """

    CONFIG_GROUPS = {"assigner": SimOTASettings, "head_module": YOLOXHeadModule, "loss_weights": LossWeights}

    def __init__(
        self,
        num_classes: int = 1,
        skeleton: str | Mapping[str, Any] | Skeleton | None = "coco",
        keypoint_classes: Sequence[int] | None = None,
        head_module: Mapping[str, Any] | None = None,
        strides: Sequence[int] = (8, 16, 32),
        assigner: Mapping[str, Any] | None = None,
        loss_weights: Mapping[str, float] | None = None,
        class_target_power: float | None = None,
        hidden_is_visible: bool = True,
        unlabelled: str = "negative",
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.skeleton = None if skeleton is None else get_skeleton(skeleton)
        self.num_classes, self.strides = num_classes, tuple(strides)
        self.num_keypoints = self.skeleton.num_keypoints if self.skeleton else 0
        self.keypoint_classes = _keypoint_classes(keypoint_classes, num_classes, self.num_keypoints)
        self.head_module = YOLOXHeadModule(
            num_classes, self.num_keypoints, num_levels=len(self.strides), **(head_module or {})
        )

        # Settings of assignment and losses
        self.assigner = _build_settings(SimOTASettings, assigner, "assigner")
        if self.skeleton is None:
            self.assigner = self.assigner._replace(dynamic_k="iou")
        self.loss_weights = _build_settings(LossWeights, loss_weights, "loss_weights")
        self.hidden_is_visible, self.unlabelled = hidden_is_visible, unlabelled
        self.phase = TrainingPhase()

        # Constants that move to the device with the weights but are not stored with them
        sigmas = torch.tensor(self.skeleton.sigmas if self.skeleton else ())
        has_keypoints = torch.tensor([label in self.keypoint_classes for label in range(num_classes)])
        if class_target_power is None:
            power = 1.0 - 0.5 * has_keypoints
        else:
            power = torch.full((num_classes,), class_target_power)
        self.register_buffer("sigmas", sigmas, persistent=False)
        self.register_buffer("has_keypoints", has_keypoints, persistent=False)
        self.register_buffer("class_target_power", power, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> HeadOutputs:
        """Compute the raw outputs of all levels; see :class:`~yolox_pose.models.head_module.YOLOXHeadModule`."""
        return self.head_module(features)

    def priors(self, features: Sequence[Tensor]) -> Tensor:
        """Return the grid points of feature maps, (N, 3) float32."""
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
        return grid_priors(sizes, self.strides, features[0].device)

    def priors_for(self, inputs: Tensor) -> Tensor:
        """Return the grid points for (B, 3, height, width) images, (N, 3) float32."""
        height, width = inputs.shape[-2:]
        sizes = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in self.strides]
        return grid_priors(sizes, self.strides, inputs.device)

    def loss(self, outputs: HeadOutputs, priors: Tensor, data_samples: Sequence[PoseDataSample]) -> dict[str, Tensor]:
        """Compute the losses of a batch; see :func:`yolox_pose.ops.yolox_losses`.

        Args:
            outputs: Raw outputs of the head.
            priors: Grid points of shape (N, 3).
            data_samples: Samples with ``gt_instance_labels``.

        Returns:
            Loss terms and statistics by name.

        Raises:
            DataError: If a label or the number of keypoints does not match the head.
        """
        check_labels(data_samples, self.num_classes)
        targets = collect_targets(data_samples, priors, self.num_keypoints, self.has_keypoints)
        with torch.autocast(device_type=priors.device.type, enabled=False):
            return yolox_losses(
                outputs,
                targets,
                self.assign(outputs, priors, targets),
                priors,
                sigmas=self.sigmas,
                weights=self.loss_weights,
                class_target_power=self.class_target_power,
                use_l1=self.phase.use_l1,
                hidden_is_visible=self.hidden_is_visible,
                unlabelled=self.unlabelled,
                reduce=mean_counts,
            )

    def distillation_losses(
        self, outputs: HeadOutputs, teacher_outputs: HeadOutputs, priors: Tensor, weights: DistillationWeights
    ) -> dict[str, Tensor]:
        """Compute the distance to a teacher's detections; see :func:`yolox_pose.ops.distillation_losses`.

        Args:
            outputs: Raw outputs of the head.
            teacher_outputs: Raw outputs of the teacher for the same images.
            priors: Grid points of shape (N, 3).
            weights: Weights of the terms.
        """
        with torch.autocast(device_type=priors.device.type, enabled=False):
            return distillation_losses(outputs, teacher_outputs, priors, weights, reduce=mean_counts)

    @torch.no_grad()
    def assign(self, outputs: HeadOutputs, priors: Tensor, targets: Targets) -> Assignment:
        """Assign the priors to the instances of the batch; see :func:`yolox_pose.ops.simota`."""
        decoded = DecodedOutputs.decode(outputs, priors)
        return simota(decoded, targets, priors, sigmas=self.sigmas, settings=self.assigner)

    def predict(
        self, outputs: HeadOutputs, priors: Tensor, test_cfg: Mapping[str, Any] | None = None
    ) -> list[InstanceData]:
        """Return the detections of each image in pixels of the network's input, sorted by score.

        Args:
            outputs: Raw outputs of the head.
            priors: Grid points of shape (N, 3).
            test_cfg: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings`.
        """
        settings = as_postprocess_settings(test_cfg)
        detections = detect(outputs, priors, settings, self.has_keypoints, self.sigmas)
        return [to_instances(image_detections) for image_detections in detections]


def _keypoint_classes(labels: Sequence[int] | None, num_classes: int, num_keypoints: int) -> tuple[int, ...]:
    """Return the labels of the classes that have keypoints, ascending.

    Raises:
        ValueError: If an entry is no label, or there are labels without a skeleton.
    """
    if labels is None:
        return tuple(range(num_classes)) if num_keypoints else ()
    wrong = [label for label in labels if isinstance(label, bool) or label not in range(num_classes)]
    if wrong:
        raise ValueError(f"keypoint_classes: {wrong[0]!r} is not a label of a head with {num_classes} class(es)")
    if labels and not num_keypoints:
        raise ValueError("the head has keypoint_classes but no skeleton")
    return tuple(sorted(set(labels)))


def _build_settings(kind: type[Settings], values: Mapping[str, Any] | None, name: str) -> Settings:
    """Build a NamedTuple of settings from a config.

    Raises:
        ValueError: If a field is unknown; names the known fields.
    """
    values = {key: value for key, value in (values or {}).items() if key != "type"}
    unknown = sorted(set(values) - set(kind._fields))
    if unknown:
        raise ValueError(f"{name}: unknown settings {unknown}; known: {', '.join(kind._fields)}")
    return kind(**values)


def as_postprocess_settings(test_cfg: Mapping[str, Any] | None) -> PostprocessSettings:
    """Return the settings in a model's ``test_cfg``.

    Raises:
        UsageError: If a field is unknown or its value is out of range.
    """
    ignored = ("type", *FOREIGN_TEST_SETTINGS)
    values = {key: value for key, value in (test_cfg or {}).items() if key not in ignored}
    return PostprocessSettings.from_dict(values, "test_cfg")


def to_instances(detections: DetectionTensors) -> InstanceData:
    """Convert detections to ``InstanceData`` with the field names of MMPose and MMDetection.

    ``bbox_scores`` is a numpy array, because MMPose's inferencer writes its elements into JSON.
    """
    fields: dict[str, Any] = {
        "bboxes": detections.boxes,
        "scores": detections.scores,
        "labels": detections.labels,
        "bbox_scores": detections.scores.detach().cpu().numpy(),
    }
    if detections.keypoints is not None:
        fields |= {
            "keypoints": detections.keypoints,
            "keypoint_scores": detections.keypoint_scores,
            "keypoints_visible": detections.keypoint_scores,
        }
    return InstanceData(**fields)
