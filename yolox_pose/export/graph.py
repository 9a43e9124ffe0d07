"""The network as it is exported (shape letters: see :mod:`yolox_pose.ops`).

Batch norms are folded into convolutions, and the normalisation of the data preprocessor is part of the graph: the input is
always BGR, 0 to 255, float32.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.backbones.csp_darknet import Focus
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from yolox_pose.ops import Predictions, decode_boxes, decode_keypoints

FOCUS_PATCHES = ((0, 0), (1, 0), (0, 1), (1, 1))
"""(row, column) of the pixel of each 2x2 block in the order in which mmdet's ``Focus`` stacks them."""


def fold_norms(model: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution in front of it, in place. The model must be in evaluation mode.

    Those that are folded already (MMCV leaves an identity) stay so.
    """
    for module in model.modules():
        if isinstance(module, ConvModule) and module.with_norm and not isinstance(module.norm, nn.Identity):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            delattr(module, module.norm_name)
            module.with_norm = False
    return model


def fold_focus(model: nn.Module) -> nn.Module:
    """Replace slicing and 3x3 convolution of the stem by the 6x6 convolution of stride 2 that they are, in place.

    The norms must be folded. The sums have the same terms, so that results differ by rounding alone.
    """
    for parent in model.modules():
        for name, module in parent.named_children():
            if isinstance(module, Focus):
                setattr(parent, name, _strided_stem(module))
    return model


def _strided_stem(focus: Focus) -> nn.Module:
    old = focus.conv.conv
    channels = old.in_channels // len(FOCUS_PATCHES)
    new = nn.Conv2d(channels, old.out_channels, 6, stride=2, padding=2)
    with torch.no_grad():
        for patch, (row, column) in enumerate(FOCUS_PATCHES):
            new.weight[:, :, row::2, column::2] = old.weight[:, patch * channels : (patch + 1) * channels]
        new.bias.copy_(old.bias)
    focus.conv.conv = new
    return focus.conv


class _Whole(nn.Module):
    """Float32 from here on."""

    def forward(self, values: Tensor) -> Tensor:
        """The same values in float32."""
        return values.float()


def _halve(network: nn.ModuleList) -> nn.ModuleList:
    """Float16 up to the features of the head, in place.

    Its last layers stay in float32: the logarithm of a width has steps of 0.002 in float16, half a pixel of a large box.
    """
    network.half()
    for name, layers in network[-1].head_module.named_children():
        if name.startswith("out_"):
            for level, layer in enumerate(layers):
                layers[level] = nn.Sequential(_Whole(), layer.float())
    return network


class RawGraph(nn.Module):
    """Images in, raw outputs out.

    Args:
        model: A :class:`yolox_pose.models.YOLOXPoseEstimator`; it is copied.
        half: Whether the network computes in float16; inputs, the last layers and decoding stay in float32.
        focus: Whether the slices of the stem stay as they are.
    """

    def __init__(self, model: Any, *, half: bool = False, focus: bool = False) -> None:
        super().__init__()
        preprocessor = model.data_preprocessor
        # the runner's attributes of a model (config, data set) are no part of the network
        network = copy.deepcopy(nn.ModuleList([model.backbone, model.neck, model.head])).cpu().eval()
        network = fold_norms(network.to(memory_format=torch.contiguous_format))
        if not focus:
            network = fold_focus(network)
        self.backbone, self.neck, self.head = _halve(network) if half else network
        self.half_precision = half
        self.normalizes, self.flips = preprocessor.normalizes, preprocessor.bgr_to_rgb
        self.register_buffer("mean", preprocessor.mean.cpu().clone())
        self.register_buffer("std", preprocessor.std.cpu().clone())
        self.eval().requires_grad_(False)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what :meth:`forward` returns."""
        names = Predictions._fields
        return names if self.head.num_keypoints else names[:3]

    def predict(self, images: Tensor) -> tuple[Predictions, Tensor]:
        """Raw outputs in float32 and (N, 3) priors."""
        if self.flips:
            images = images.flip(1)
        if self.normalizes:
            images = (images - self.mean) / self.std
        features = self.neck(self.backbone(images.half() if self.half_precision else images))
        return self.head(features).float(), self.head.priors(features)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw outputs of (B, 3, H, W) images: the fields of :class:`yolox_pose.ops.Predictions` that there are."""
        predictions, _ = self.predict(images)
        return tuple(values for values in predictions if values is not None)


class DecodedGraph(RawGraph):
    """Images in; boxes (B, N, 4), scores (B, N, C), keypoints (B, N, K, 2) and keypoint scores (B, N, K) out, in pixels."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what :meth:`forward` returns."""
        names = ("boxes", "scores", "keypoints", "keypoint_scores")
        return names if self.head.num_keypoints else names[:2]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Decoded outputs."""
        raw, priors = self.predict(images)
        scores = raw.classes.sigmoid() * raw.objectness.sigmoid()[..., None]
        found = (decode_boxes(raw.boxes, priors), scores)
        if raw.keypoints is None or raw.visibility is None:
            return found
        return (*found, decode_keypoints(raw.keypoints, priors), raw.visibility.sigmoid())
