"""The decoupled YOLOX head with an optional keypoint branch (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModule, bias_init_with_prob
from mmengine.structures import InstanceData
from torch import Tensor, nn

from yolox_pose.errors import DataError
from yolox_pose.models.postprocess import detect
from yolox_pose.models.targets import collect_targets
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
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.structures.skeleton import Skeleton, get_skeleton

SCORE_PRIOR = 0.01
"""Initial class probability and objectness of every prior, so that background does not drown the first steps (Lin et al.,
Focal Loss, ICCV 2017, section 3.3)."""

FOREIGN_TEST_SETTINGS = ("output_heatmaps",)
"""What MMPose's own inferencer writes into the ``test_cfg`` of any model; there are no heatmaps here."""


class YOLOXHeadModule(BaseModule):
    """Convolutions of the head: three branches a level, the third only if there are keypoints.

    Parameter names are those of mmpose's ``YOLOXPoseHeadModule``, so that its weights fit as they are.

    Args:
        num_classes: C.
        num_keypoints: K; 0 builds no keypoint branch.
        in_channels: Channels of each level before ``widen_factor``.
        feat_channels: Channels inside the branches before ``widen_factor``.
        widen_factor: Width of the model size.
        stacked_convs: Convolutions of the class and box branches.
        pose_stacked_convs: Convolutions of the keypoint branch.
        num_levels: Feature maps.
        use_depthwise: Depthwise separable convolutions throughout (nano).
        pose_depthwise: The same for the keypoint branch alone; None as ``use_depthwise``. Plain convolutions learn poses
            from fewer images, at more parameters.
        norm_cfg: Normalisation layer.
        act_cfg: Activation.
    """

    def __init__(
        self,
        num_classes: int,
        num_keypoints: int,
        in_channels: int = 256,
        feat_channels: int = 256,
        widen_factor: float = 1.0,
        stacked_convs: int = 2,
        pose_stacked_convs: int = 4,
        num_levels: int = 3,
        use_depthwise: bool = False,
        pose_depthwise: bool | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_keypoints = num_keypoints
        width_in, width = int(in_channels * widen_factor), int(feat_channels * widen_factor)
        shared = {
            "norm_cfg": dict(norm_cfg or {"type": "BN", "momentum": 0.03, "eps": 0.001}),
            "act_cfg": dict(act_cfg or {"type": "SiLU", "inplace": True}),
        }

        def branch(depth: int, depthwise: bool = use_depthwise) -> nn.ModuleList:
            layer = DepthwiseSeparableConvModule if depthwise else ConvModule
            return nn.ModuleList(
                nn.Sequential(*(layer(width if i else width_in, width, 3, padding=1, **shared) for i in range(depth)))
                for _ in range(num_levels)
            )

        def output(channels: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(width, channels, 1) for _ in range(num_levels))

        self.conv_cls, self.conv_reg = branch(stacked_convs), branch(stacked_convs)
        self.out_cls, self.out_bbox, self.out_obj = output(num_classes), output(4), output(1)
        if num_keypoints:
            self.conv_pose = branch(pose_stacked_convs, use_depthwise if pose_depthwise is None else pose_depthwise)
            self.out_kpt, self.out_kpt_vis = output(2 * num_keypoints), output(num_keypoints)

    def init_weights(self) -> None:
        """Initialise as configured, then set the score biases to :data:`SCORE_PRIOR`."""
        super().init_weights()
        for layer in (*self.out_cls, *self.out_obj):
            nn.init.constant_(layer.bias, bias_init_with_prob(SCORE_PRIOR))

    def forward(self, features: Sequence[Tensor]) -> HeadOutputs:
        """Raw outputs of all levels.

        Args:
            features: One (B, channels, height, width) map a level.

        Returns:
            Flattened predictions, levels one after the other, each row by row.
        """
        levels = [self._level(index, feature) for index, feature in enumerate(features)]
        flat = HeadOutputs(*(None if parts[0] is None else _flatten(parts) for parts in zip(*levels)))
        return flat._replace(objectness=flat.objectness[..., 0])

    def _level(self, index: int, feature: Tensor) -> tuple[Tensor | None, ...]:
        box_feature = self.conv_reg[index](feature)
        outputs = (
            self.out_cls[index](self.conv_cls[index](feature)),
            self.out_obj[index](box_feature),
            self.out_bbox[index](box_feature),
        )
        if not self.num_keypoints:
            return (*outputs, None, None)
        pose_feature = self.conv_pose[index](feature)
        return (*outputs, self.out_kpt[index](pose_feature), self.out_kpt_vis[index](pose_feature))


def _flatten(levels: Sequence[Tensor]) -> Tensor:
    """(B, channels, height, width) per level to (B, N, channels)."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], dim=1)


def mean_counts(counts: Tensor) -> Tensor:
    """Normalisers so that DDP's averaged gradients equal those of one process with the whole batch.

    Args:
        counts: Counts of this process.

    Returns:
        ``max(sum over processes, 1) / processes``.
    """
    all_reduce(counts, "sum")
    return counts.clamp(min=1) / get_world_size()


@MODELS.register_module()
class YOLOXPoseDecoupledHead(BaseModule):
    """YOLOX head for pose (all classes have keypoints), detection (none has) or both.

    Instances of classes without keypoints train the keypoint branch as little as people without labelled keypoints do,
    and their detections have keypoint scores of 0.

    Args:
        num_classes: C.
        skeleton: Name or description of the keypoints (see :func:`yolox_pose.structures.skeleton.get_skeleton`); None builds no
            keypoint branch: plain detection.
        keypoint_classes: Labels of the classes that have keypoints; None for all (with a skeleton).
        head_module: Further arguments of :class:`YOLOXHeadModule`.
        strides: Pixels per cell of each level.
        assigner: Fields of :class:`yolox_pose.ops.SimOTASettings` that differ from its defaults.
        loss_weights: Fields of :class:`yolox_pose.ops.LossWeights` that differ from its defaults.
        class_target_power: The class target is the overlap to this power. Defaults to 0.5 for classes with keypoints, 1
            for others.
        hidden_is_visible: Whether visibility code 1 trains as visible.
        unlabelled: ``'negative'`` or ``'ignore'``: what code 0 is for the visibility loss.

    Raises:
        ValueError: If a setting is not known.
    """

    CONFIG_GROUPS = {"assigner": SimOTASettings, "head_module": YOLOXHeadModule, "loss_weights": LossWeights}

    def __init__(
        self,
        num_classes: int = 1,
        skeleton: str | Mapping | Skeleton | None = "coco",
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
        self.assigner = _settings(SimOTASettings, assigner, "assigner")
        if self.skeleton is None:
            self.assigner = self.assigner._replace(dynamic_k="iou")
        self.loss_weights = _settings(LossWeights, loss_weights, "loss_weights")
        self.hidden_is_visible, self.unlabelled = hidden_is_visible, unlabelled
        self.late = False  # the L1 loss of the last epochs; set by the training-phase hook
        sigmas = torch.tensor(self.skeleton.sigmas if self.skeleton else ())
        self.register_buffer("sigmas", sigmas, persistent=False)
        posed = torch.tensor([label in self.keypoint_classes for label in range(num_classes)])
        self.register_buffer("has_keypoints", posed, persistent=False)
        power = 1.0 - 0.5 * posed if class_target_power is None else torch.full((num_classes,), class_target_power)
        self.register_buffer("class_target_power", power, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> HeadOutputs:
        """Raw flattened outputs."""
        return self.head_module(features)

    def priors(self, features: Sequence[Tensor]) -> Tensor:
        """(N, 3) float32 grid points of the feature maps."""
        sizes = [tuple(feature.shape[-2:]) for feature in features]
        return grid_priors(sizes, self.strides, features[0].device)

    def loss(self, features: Sequence[Tensor], data_samples: Sequence, train_cfg: Mapping | None = None) -> dict:
        """Losses of a batch; see :func:`yolox_pose.ops.yolox_losses`.

        Args:
            features: Feature maps.
            data_samples: Samples with ``gt_instance_labels``.
            train_cfg: Not used; MMPose's estimators pass it.

        Raises:
            DataError: If a label or the number of keypoints does not fit the head.
        """
        return self._losses(self.forward(features), self.priors(features), data_samples)

    def loss_of(self, predictions: HeadOutputs, size: tuple[int, int], data_samples: Sequence) -> dict:
        """As :meth:`loss`, from raw outputs for images of ``size`` (height, width)."""
        return self._losses(predictions, self._priors_of(predictions, size), data_samples)

    def distillation_losses(
        self, predictions: HeadOutputs, wanted: HeadOutputs, size: tuple[int, int], weights: DistillationWeights
    ) -> dict[str, Tensor]:
        """How far raw outputs for images of ``size`` are from those of a detector: :func:`yolox_pose.ops.distillation_losses`."""
        priors = self._priors_of(predictions, size)
        with torch.autocast(device_type=priors.device.type, enabled=False):
            return distillation_losses(predictions, wanted, priors, weights, reduce=mean_counts)

    def _priors_of(self, predictions: HeadOutputs, size: tuple[int, int]) -> Tensor:
        grids = [tuple(math.ceil(side / stride) for side in size) for stride in self.strides]
        return grid_priors(grids, self.strides, predictions.boxes.device)

    def _losses(self, predictions: HeadOutputs, priors: Tensor, data_samples: Sequence) -> dict:
        self._check(data_samples)
        targets = collect_targets(data_samples, priors, self.num_keypoints, self.has_keypoints)
        with torch.autocast(device_type=priors.device.type, enabled=False):
            assignment = self.assign(predictions, priors, targets)
            return yolox_losses(
                predictions,
                targets,
                assignment,
                priors,
                sigmas=self.sigmas,
                weights=self.loss_weights,
                class_target_power=self.class_target_power,
                use_l1=self.late,
                hidden_is_visible=self.hidden_is_visible,
                unlabelled=self.unlabelled,
                reduce=mean_counts,
            )

    @torch.no_grad()
    def assign(self, predictions: HeadOutputs, priors: Tensor, targets: Targets) -> Assignment:
        """Assignment of the priors to the instances of the batch (:func:`yolox_pose.ops.simota`)."""
        decoded = DecodedOutputs.decode(predictions, priors)
        return simota(decoded, targets, priors, sigmas=self.sigmas, settings=self.assigner)

    def predict(self, features: Sequence[Tensor], data_samples: Sequence, test_cfg: Mapping | None = None) -> list:
        """Detections of each image in pixels of the network's input.

        Args:
            features: Feature maps.
            data_samples: Not used; MMPose's estimators pass it.
            test_cfg: Fields of :class:`yolox_pose.structures.settings.PostprocessSettings`.

        Returns:
            One ``InstanceData`` an image, sorted by score.
        """
        settings = as_postprocess_settings(test_cfg)
        detections = detect(self.forward(features), self.priors(features), settings, self.has_keypoints, self.sigmas)
        return [to_instances(found) for found in detections]

    def _check(self, data_samples: Sequence) -> None:
        """Refuse labels that match no class (where they are on the host: no synchronisation with a GPU)."""
        labels = [sample.gt_instance_labels.labels for sample in data_samples]
        if any(one.is_cuda for one in labels):
            return
        together = torch.cat(labels)
        bad = (together < 0) | (together >= self.num_classes)
        if bad.any():
            wrong = int(bad.nonzero()[0])
            ends = torch.tensor([len(one) for one in labels]).cumsum(0)
            image = int(torch.searchsorted(ends, wrong, right=True))
            raise DataError(
                f"image {data_samples[image].metainfo.get('img_path')}: label {int(together[wrong])} does not fit a model "
                f"of {self.num_classes} class(es); check 'classes' of the data set and 'num_classes' of the head"
            )


def _keypoint_classes(labels: Sequence[int] | None, num_classes: int, num_keypoints: int) -> tuple[int, ...]:
    """Labels of the classes that have keypoints, ascending.

    Raises:
        ValueError: If one is no label, or there are no keypoints at all.
    """
    if labels is None:
        return tuple(range(num_classes)) if num_keypoints else ()
    wrong = [label for label in labels if isinstance(label, bool) or label not in range(num_classes)]
    if wrong:
        raise ValueError(f"keypoint_classes: {wrong[0]!r} is not a label of a head of {num_classes} class(es)")
    if labels and not num_keypoints:
        raise ValueError("keypoint_classes are given, but the head has no skeleton")
    return tuple(sorted(set(labels)))


def _settings(kind: type, values: Mapping | None, name: str) -> Any:
    """Build a NamedTuple of settings; an unknown field is named together with the known ones."""
    values = dict(values or {})
    values.pop("type", None)
    unknown = sorted(set(values) - set(kind._fields))
    if unknown:
        raise ValueError(f"{name}: unknown settings {unknown}; known: {', '.join(kind._fields)}")
    return kind(**values)


def as_postprocess_settings(test_cfg: Mapping | None) -> PostprocessSettings:
    """Settings from a model's ``test_cfg``.

    Raises:
        UsageError: If a field is unknown or its value is out of range.
    """
    ignored = ("type", *FOREIGN_TEST_SETTINGS)
    values = {key: value for key, value in (test_cfg or {}).items() if key not in ignored}
    return PostprocessSettings.from_dict(values, "test_cfg")


def to_instances(found: DetectionTensors) -> InstanceData:
    """``InstanceData`` under the field names that MMPose and MMDetection use.

    ``bbox_scores`` is an array, as MMPose's inferencer writes single ones of it into JSON.
    """
    fields = {"bboxes": found.boxes, "scores": found.scores, "labels": found.labels}
    fields["bbox_scores"] = found.scores.detach().cpu().numpy()
    if found.keypoints is not None:
        fields |= {
            "keypoints": found.keypoints,
            "keypoint_scores": found.keypoint_scores,
            "keypoints_visible": found.keypoint_scores,
        }
    return InstanceData(**fields)
