"""Parameters and multiply-accumulate operations of a model, part by part, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yolox_pose.errors import UsageError
from yolox_pose.registry import MODELS, SCOPE
from yolox_pose.structures.constants import SIZE_DIVISOR

from mmengine.registry import init_default_scope  # isort: skip  (after the registry, which fills gaps of the stack)

BRANCHES = {
    "conv_cls": "class branch",
    "out_cls": "class branch",
    "conv_reg": "box and objectness branch",
    "out_bbox": "box and objectness branch",
    "out_obj": "box and objectness branch",
    "conv_pose": "keypoint branch",
    "out_kpt": "keypoint branch",
    "out_kpt_vis": "keypoint branch",
}
"""Layers of :class:`~yolox_pose.models.YOLOXHeadModule` and of mmpose's head, and the branch that they are part of."""


class Part(NamedTuple):
    """What a part of a model costs.

    Attributes:
        name: Its name.
        parameters: Number of trained values.
        macs: Multiply-accumulate operations of its convolutions and matrix products for one image. Activations, pooling
            and batch norm, which is folded away when a model is deployed, are not counted (MMEngine counts batch norm:
            about 0.5 %, in the depthwise nano 3 %).
    """

    name: str
    parameters: int
    macs: int


def measure(model_config: Mapping[str, Any], size: tuple[int, int], scope: str = SCOPE) -> list[Part]:
    """Cost of a model's parts, from a model without storage: fast and small for any size.

    Args:
        model_config: The ``model`` of a config.
        size: Height and width of the network's input in pixels.
        scope: Registry scope of the config.

    Returns:
        Backbone, neck, and the head's branches, or what else the model has on top.

    Raises:
        UsageError: If a side is not a positive multiple of :data:`SIZE_DIVISOR`.
    """
    if any(side < SIZE_DIVISOR or side % SIZE_DIVISOR for side in size):
        raise UsageError(f"the input size must be of positive multiples of {SIZE_DIVISOR}, not {size[0]} x {size[1]}")
    init_default_scope(scope)
    with torch.device("meta"):
        model = MODELS.build(model_config).eval()
        image = torch.zeros(1, 3, *size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image, None, mode="tensor")
    root = type(model).__name__
    macs = {key.removeprefix(f"{root}."): sum(found.values()) // 2 for key, found in counter.get_flop_counts().items()}
    parts: dict[str, Part] = {}
    for name, path, module in _parts(model):
        before = parts.get(name, Part(name, 0, 0))
        parameters = sum(parameter.numel() for parameter in module.parameters())
        parts[name] = Part(name, before.parameters + parameters, before.macs + _macs(macs, path, module))
    return [part for part in parts.values() if part.parameters]


def total(parts: list[Part]) -> Part:
    """Sum of the parts."""
    return Part("total", sum(part.parameters for part in parts), sum(part.macs for part in parts))


def _parts(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Name of the part, path and module; the layers of the head's module one by one."""
    for name, module in model.named_children():
        layers = getattr(module, "head_module", None)
        if layers is None:
            yield name, name, module
            continue
        for child, layer in layers.named_children():
            yield f"{name}: {BRANCHES.get(child, child)}", f"{name}.head_module.{child}", layer


def _macs(counted: Mapping[str, int], path: str, module: nn.Module) -> int:
    """Operations of a module; those of a list, which is never called itself, are the sum of its items."""
    if path in counted:
        return counted[path]
    return sum(_macs(counted, f"{path}.{name}", child) for name, child in module.named_children())
