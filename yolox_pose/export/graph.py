"""The network of an export (shape letters: see :mod:`yolox_pose.ops`).

Batch norms are folded into convolutions, and the normalization of the data preprocessor is part of the graph: the input is
always BGR, 0 to 255, float32.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from yolox_pose import registry  # noqa: F401  (fills the gaps of the stack first)
from yolox_pose.ops import HeadOutputs, decode_boxes, decode_keypoints

from mmcv.cnn import ConvModule  # isort: skip  (after the registry)
from mmdet.models.backbones.csp_darknet import Focus  # isort: skip

Model = TypeVar("Model", bound=nn.Module)

FOCUS_PATCHES = ((0, 0), (1, 0), (0, 1), (1, 1))
"""(row, column) of the pixel of each 2x2 block in the order in which mmdet's ``Focus`` stacks them."""


def fold_norms(model: Model) -> Model:
    """Fold each batch norm into the convolution in front of it, in place. The model must be in evaluation mode.

    Norms that MMCV has folded already are identities and are skipped.
    """
    for module in model.modules():
        if isinstance(module, ConvModule) and module.with_norm and not isinstance(module.norm, nn.Identity):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            delattr(module, module.norm_name)
            module.with_norm = False
    return model


def fold_focus(model: Model) -> Model:
    """Replace the slices and the 3x3 convolution of the stem by the equivalent 6x6 convolution of stride 2, in place.

    The norms must be folded. The sums have the same terms, so that results differ only by rounding.
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
        assert new.bias is not None
        new.bias.copy_(old.bias)
    focus.conv.conv = new
    return focus.conv


def round_weights(network: nn.ModuleList) -> nn.ModuleList:
    """Round the weights of convolutions to float16 values, in place; they stay float32 tensors.

    Biases are not rounded, nor are the layers up to the first features of the neck: their rounding errors would pass through
    the whole network (docs/export.md).

    Args:
        network: Backbone, neck and head with folded norms.
    """
    first = _first_layers(network[0])
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module not in first:
            rounded = module.weight.data.half().float()
            if rounded.isfinite().all():
                module.weight.data.copy_(rounded)
    return network


def _first_layers(backbone: Any) -> set[nn.Module]:
    """Return the modules of mmdet's ``CSPDarknet`` or ``Darknet`` up to their first output."""
    names = backbone.layers if hasattr(backbone, "layers") else backbone.cr_blocks
    return {module for name in names[: min(backbone.out_indices) + 1] for module in getattr(backbone, name).modules()}


def is_half(values: np.ndarray) -> bool:
    """Tell whether float16 holds every value of a float32 array exactly."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float16).astype(np.float32) == values).all())


class RawGraph(nn.Module):
    """Network from images to raw outputs.

    Args:
        model: A :class:`yolox_pose.models.YOLOXPoseEstimator`; it is copied.
        half: Whether weights are rounded to float16 (:func:`round_weights`). Inputs and arithmetic stay in float32.
        focus: Whether the slices of the stem are kept.
    """

    backbone: nn.Module
    neck: nn.Module
    head: Any
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, *, half: bool = False, focus: bool = False) -> None:
        super().__init__()

        # Copy the network without the attributes that the runner gives a model (config, data set)
        network = copy.deepcopy(nn.ModuleList([model.backbone, model.neck, model.head])).cpu().eval()
        network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

        # Fold norms and stem, and round the weights
        fold_norms(network)
        if not focus:
            fold_focus(network)
        if half:
            round_weights(network)
        self.backbone, self.neck, self.head = network

        # Copy the normalization
        preprocessor = model.data_preprocessor
        self.normalizes, self.flips = preprocessor.normalizes, preprocessor.bgr_to_rgb
        self.register_buffer("mean", preprocessor.mean.cpu().clone())
        self.register_buffer("std", preprocessor.std.cpu().clone())
        self.eval().requires_grad_(False)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs of :meth:`forward`."""
        names = HeadOutputs._fields
        return names if self.head.num_keypoints else names[:3]

    def predict(self, images: Tensor) -> tuple[HeadOutputs, Tensor]:
        """Return the raw outputs and the priors, (N, 3)."""
        if self.flips:
            images = images.flip(1)
        if self.normalizes:
            images = (images - self.mean) / self.std
        features = self.neck(self.backbone(images))
        return self.head(features), self.head.priors(features)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the raw outputs of (B, 3, H, W) images: the fields of :class:`yolox_pose.ops.HeadOutputs` that are not None."""
        predictions, _ = self.predict(images)
        return tuple(values for values in predictions if values is not None)


class DecodedGraph(RawGraph):
    """Network from images to boxes (B, N, 4), scores (B, N, C), keypoints (B, N, K, 2) and keypoint scores (B, N, K)."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs of :meth:`forward`."""
        names = ("boxes", "scores", "keypoints", "keypoint_scores")
        return names if self.head.num_keypoints else names[:2]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the decoded outputs of (B, 3, H, W) images."""
        raw, priors = self.predict(images)
        scores = raw.classes.sigmoid() * raw.objectness.sigmoid()[..., None]
        detections = (decode_boxes(raw.boxes, priors), scores)
        if raw.keypoints is None or raw.visibility is None:
            return detections
        return (*detections, decode_keypoints(raw.keypoints, priors), raw.visibility.sigmoid())
