"""The neck of the Darknet-53 YOLOX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.backbones.csp_darknet import SPPBottleneck
from mmengine.model import BaseModule
from torch import Tensor, nn

from yolox_pose.registry import MODELS


@MODELS.register_module()
class YOLOXDarknetNeck(BaseModule):
    """Spatial pyramid pooling, YOLOv3's top-down path, and one 1x1 convolution a level to the width of the head.

    The neck follows ``mmdet.Darknet``. Each level below the pooled top level concatenates the map of the backbone with the
    reduced and upsampled level above and passes it through five convolutions.

    Megvii's files (``yolo_fpn.py``, ``darknet.py``) divide the network elsewhere. Weight names, ``d`` = 2 to 5:

    ==================================  =============================================
    Megvii                              here
    ==================================  =============================================
    ``backbone.backbone.stem.0``        ``backbone.conv1``
    ``backbone.backbone.stem.1``        ``backbone.conv_res_block1.conv``
    ``backbone.backbone.stem.2``        ``backbone.conv_res_block1.res0``
    ``backbone.backbone.dark{d}.0``     ``backbone.conv_res_block{d}.conv``
    ``backbone.backbone.dark{d}.{i}``   ``backbone.conv_res_block{d}.res{i-1}`` (dark5: i < 5)
    ``….layer1``, ``….layer2``          ``….conv1``, ``….conv2`` (in the residual blocks)
    ``backbone.backbone.dark5.{i}``     ``neck.spp.{i-5}`` (i from 5 to 9)
    ``backbone.out1_cbl``, ``out2_cbl`` ``neck.reduce_layers.0``, ``neck.reduce_layers.1``
    ``backbone.out1``, ``out2``         ``neck.top_down_blocks.0``, ``neck.top_down_blocks.1``
    ``head.stems.{level}``              ``neck.out_convs.{level}``
    ==================================  =============================================

    Args:
        in_channels: Channels of the levels of the backbone, finest first.
        out_channels: Channels of each output.
        norm_cfg: Config of the normalization layers.
        act_cfg: Config of the activations.
        init_cfg: Config of the initialization; None for that of the model.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 1024),
        out_channels: int = 256,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        shared = {
            "norm_cfg": dict(norm_cfg or {"type": "BN", "momentum": 0.03, "eps": 0.001}),
            "act_cfg": dict(act_cfg or {"type": "LeakyReLU", "negative_slope": 0.1, "inplace": True}),
        }

        def conv(channels: int, width: int, kernel: int) -> ConvModule:
            return ConvModule(channels, width, kernel, padding=kernel // 2, **shared)

        *below, top = in_channels
        self.spp = nn.Sequential(
            conv(top, top // 2, 1),
            conv(top // 2, top, 3),
            SPPBottleneck(top, top // 2, **shared),
            conv(top // 2, top, 3),
            conv(top, top // 2, 1),
        )
        self.reduce_layers, self.top_down_blocks = nn.ModuleList(), nn.ModuleList()
        for channels in reversed(below):
            half = channels // 2
            self.reduce_layers.append(conv(channels, half, 1))
            self.top_down_blocks.append(
                nn.Sequential(
                    conv(channels + half, half, 1),
                    conv(half, channels, 3),
                    conv(channels, half, 1),
                    conv(half, channels, 3),
                    conv(channels, half, 1),
                )
            )
        self.out_convs = nn.ModuleList(conv(channels // 2, out_channels, 1) for channels in in_channels)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the feature maps of the head.

        Args:
            features: Maps of the backbone, finest first; each level has half the height and width of the level before.

        Returns:
            Map with ``out_channels`` channels and the same size for each level.
        """
        *below, top = features
        levels = [self.spp(top)]
        for feature, reduce, block in zip(reversed(below), self.reduce_layers, self.top_down_blocks):
            above = F.interpolate(reduce(levels[0]), scale_factor=2, mode="nearest")
            levels.insert(0, block(torch.cat([above, feature], 1)))
        return tuple(conv(level) for conv, level in zip(self.out_convs, levels))
