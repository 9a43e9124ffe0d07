"""The convolutions of the head (shape letters: see :mod:`yolox_pose.ops`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from yolox_pose.ops import HeadOutputs

SCORE_PRIOR = 0.01
"""Initial class probability and objectness of every prior, so that the background does not dominate the first steps (Lin
et al., Focal Loss, ICCV 2017, section 3.3)."""


class YOLOXHeadModule(BaseModule):
    """Convolutions of the head: a class, a box and, with keypoints, a pose branch at each level.

    Parameter names are those of MMPose's ``YOLOXPoseHeadModule``, so its weights load without renaming.

    Args:
        num_classes: C.
        num_keypoints: K; 0 builds no pose branch.
        in_channels: Channels of each level before ``widen_factor``.
        feat_channels: Channels inside the branches before ``widen_factor``.
        widen_factor: Width multiplier of the model size.
        stacked_convs: Convolutions of the class and box branches.
        pose_stacked_convs: Convolutions of the pose branch.
        num_levels: Number of feature maps.
        use_depthwise: Whether the branches use depthwise separable convolutions (nano).
        pose_depthwise: Whether the pose branch does; None for the value of ``use_depthwise``. Plain convolutions learn
            poses from fewer images with more parameters.
        norm_cfg: Config of the normalization layers.
        act_cfg: Config of the activations.
        init_cfg: Config of the initialization.
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
        layer_cfg = {
            "norm_cfg": dict(norm_cfg or {"type": "BN", "momentum": 0.03, "eps": 0.001}),
            "act_cfg": dict(act_cfg or {"type": "SiLU", "inplace": True}),
        }

        def branch(depth: int, depthwise: bool = use_depthwise) -> nn.ModuleList:
            layer = DepthwiseSeparableConvModule if depthwise else ConvModule
            return nn.ModuleList(
                nn.Sequential(
                    *(layer(width if i else width_in, width, 3, padding=1, **layer_cfg) for i in range(depth))
                )
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
        """Initialize as configured, then set the score biases to :data:`SCORE_PRIOR`."""
        super().init_weights()
        for layer in (*self.out_cls, *self.out_obj):
            nn.init.constant_(layer.bias, bias_init_with_prob(SCORE_PRIOR))

    def forward(self, features: Sequence[Tensor]) -> HeadOutputs:
        """Compute the raw outputs of all levels.

        Args:
            features: Feature map of shape (B, channels, height, width) of each level.

        Returns:
            Outputs flattened over levels, level after level, each row by row.
        """
        levels = [self._level(index, feature) for index, feature in enumerate(features)]
        outputs = HeadOutputs._make(None if maps[0] is None else _flatten(maps) for maps in zip(*levels))
        return outputs._replace(objectness=outputs.objectness[..., 0])

    def _level(self, index: int, feature: Tensor) -> HeadOutputs:
        """Return the output maps of one level, (B, channels, height, width) each."""
        box_feature = self.conv_reg[index](feature)
        outputs = HeadOutputs(
            classes=self.out_cls[index](self.conv_cls[index](feature)),
            objectness=self.out_obj[index](box_feature),
            boxes=self.out_bbox[index](box_feature),
        )
        if not self.num_keypoints:
            return outputs
        pose_feature = self.conv_pose[index](feature)
        return outputs._replace(
            keypoints=self.out_kpt[index](pose_feature), visibility=self.out_kpt_vis[index](pose_feature)
        )


def _flatten(maps: Sequence[Tensor]) -> Tensor:
    """Flatten the maps of all levels, (B, channels, height, width) each, to (B, N, channels)."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in maps], dim=1)
