"""Count the parameters and multiply-accumulate operations of every part of a model, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from yolox_pose.checkpoints.model_info import find_preprocessing
from yolox_pose.errors import UsageError
from yolox_pose.registry import MODELS, SCOPE

from mmengine.registry import init_default_scope  # isort: skip  (after the registry, which fills gaps of the stack)

SIZE_DIVISOR = 32
"""Height and width of the network's input are multiples of its largest stride."""
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
"""Layers of :class:`~yolox_pose.models.YOLOXHeadModule` and of mmpose's head, and their branches."""


class Part(NamedTuple):
    """Cost of a part of a model.

    Attributes:
        name: Name of the part.
        parameters: Number of trained values.
        macs: Multiply-accumulate operations of its convolutions and matrix products for one image. Activations, pooling
            and batch norm, which is folded at deployment, are not counted. (MMEngine counts batch norm: about 0.5 %, and 3 %
            in the depthwise nano.)
    """

    name: str
    parameters: int
    macs: int


class Complexity(NamedTuple):
    """Cost of a model.

    Attributes:
        size: (H, W) of the input in pixels.
        parts: Backbone, neck, and the branches of the head, or the children of another head.
    """

    size: tuple[int, int]
    parts: list[Part]

    @property
    def total(self) -> Part:
        """Sum of the parts."""
        return Part("total", sum(part.parameters for part in self.parts), sum(part.macs for part in self.parts))

    def table(self) -> str:
        """Format the parts and their shares of the total as a table."""
        total = self.total
        rows = [*self.parts, total]
        width = max(len(part.name) for part in rows)
        lines = [f"{'part':<{width}}  {'parameters (M)':>22}  {'GMACs':>20}  {'GFLOPs':>9}"]
        for part in rows:
            parameter_share = 100 * part.parameters / max(total.parameters, 1)
            mac_share = 100 * part.macs / max(total.macs, 1)
            lines.append(
                f"{part.name:<{width}}  {part.parameters / 1e6:12.3f}  {parameter_share:6.1f} %  {part.macs / 1e9:10.3f}  "
                f"{mac_share:6.1f} %  {2 * part.macs / 1e9:9.3f}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        return {
            "input": list(self.size),
            "parameters": self.total.parameters,
            "macs": self.total.macs,
            "flops": 2 * self.total.macs,
            "parts": [part._asdict() for part in self.parts],
        }


def measure_config(config: Mapping[str, Any], size: Sequence[int] | None = None) -> Complexity:
    """Count parameters and operations of a config's model.

    Args:
        config: Whole config.
        size: Height and width of the input in pixels; None means that of the config's test data.

    Raises:
        UsageError: If the config has no model or no input size, or the size does not fit.
    """
    if not config.get("model"):
        raise UsageError(f"config {getattr(config, 'filename', None) or ''} has no 'model'")
    if size is None:
        try:
            size = find_preprocessing(config, {}).size[::-1]
        except UsageError as error:
            raise UsageError(f"{error}; give it as --size H W") from None
    height, width = size
    return Complexity(
        (height, width), measure(config["model"], (height, width), config.get("default_scope", "yolox_pose"))
    )


def measure(model_config: Mapping[str, Any], size: tuple[int, int], scope: str = SCOPE) -> list[Part]:
    """Count parameters and operations of a model without storage, which is fast for any size.

    Args:
        model_config: The ``model`` of a config.
        size: Height and width of the input in pixels.
        scope: Registry scope of the config.

    Raises:
        UsageError: If a side is not a positive multiple of :data:`SIZE_DIVISOR`.
    """
    if any(side < SIZE_DIVISOR or side % SIZE_DIVISOR for side in size):
        raise UsageError(f"the input size must be of positive multiples of {SIZE_DIVISOR}, not {size[0]} x {size[1]}")

    # Count the operations of every module in a forward pass
    init_default_scope(scope)
    with torch.device("meta"):
        model = MODELS.build(model_config).eval()
        image = torch.zeros(1, 3, *size)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(image, None, mode="tensor")
    root = type(model).__name__
    macs = {
        path.removeprefix(f"{root}."): sum(operations.values()) // 2
        for path, operations in counter.get_flop_counts().items()
    }

    # Sum the modules of each part
    parts: dict[str, Part] = {}
    for name, path, module in _parts(model):
        previous = parts.get(name, Part(name, 0, 0))
        parameters = sum(parameter.numel() for parameter in module.parameters())
        parts[name] = Part(name, previous.parameters + parameters, previous.macs + _macs(macs, path, module))
    return [part for part in parts.values() if part.parameters]


def _parts(model: nn.Module) -> Iterator[tuple[str, str, nn.Module]]:
    """Yield the name of the part, path and module of each child, and of each layer of the head's module."""
    for name, module in model.named_children():
        layers = getattr(module, "head_module", None)
        if layers is None:
            yield name, name, module
            continue
        for child, layer in layers.named_children():
            yield f"{name}: {BRANCHES.get(child, child)}", f"{name}.head_module.{child}", layer


def _macs(counted: Mapping[str, int], path: str, module: nn.Module) -> int:
    """Return the operations of a module. A list is never called itself: its operations are the sum of its items'."""
    if path in counted:
        return counted[path]
    return sum(_macs(counted, f"{path}.{name}", child) for name, child in module.named_children())
