"""Parameter groups by weight decay and learning rate, few enough for fused optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import Tensor, nn

from yolox_pose.checkpoints.layouts import KEYPOINT_LAYERS
from yolox_pose.engine.optim.muon import MuonAdamW
from yolox_pose.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS, SCOPE

POSE_LAYERS = tuple(f"{name}." for name in KEYPOINT_LAYERS)
"""Name parts of the parameters of the pose branch."""

OUTPUT_LAYERS = ("out_",)
"""Name prefixes of the output layers."""

FUSED_OPTIMIZERS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, MuonAdamW)
"""Optimizers with fused kernels on CPU and CUDA since torch 2.4 (of Muon, the AdamW part)."""

NORM_INTERVAL = 10
"""Steps between two reads of the gradient norm for the log; each read waits for the device."""


class ClipWithoutWaiting:
    """Gradient clipping that returns the norm only at an interval, because MMEngine reads and logs each returned norm.

    Args:
        clip: Clipping function such as ``torch.nn.utils.clip_grad_norm_``.
        interval: Number of calls between two that return the norm.
    """

    def __init__(self, clip: Callable[..., Tensor | None], interval: int = NORM_INTERVAL) -> None:
        self.clip, self.interval, self.calls = clip, interval, 0

    def __call__(self, parameters: list[Tensor], **kwargs: Any) -> Tensor | None:
        """Clip gradients in place."""
        norm = self.clip(parameters, **kwargs)
        self.calls += 1
        return norm if self.calls % self.interval == 0 else None


class SkipNonFinite:
    """Step pre-hook of an optimizer that skips and counts steps with NaN or Inf gradients.

    Fused optimizers of torch read ``found_inf``, a tensor, so the CPU does not wait for the GPU. For other optimizers the
    gradients are checked and dropped.

    Args:
        fused: Whether the optimizer reads ``found_inf``.

    Attributes:
        skipped: Number of skipped steps, a scalar tensor on the device; None before the first step.
    """

    def __init__(self, fused: bool) -> None:
        self.fused = fused
        self.skipped: Tensor | None = None

    def __call__(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check the gradients before a step."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        norms = torch._foreach_norm([p.grad for p in parameters])
        bad = (~torch.isfinite(torch.stack(norms))).any().float()
        self.skipped = bad.clone() if self.skipped is None else self.skipped + bad
        if self.fused:
            optimizer.found_inf = bad
        elif bad:
            for parameter in parameters:
                parameter.grad = None


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOXPoseOptimConstructor(DefaultOptimWrapperConstructor):
    """Constructor that groups parameters with equal settings, so that torch updates them together.

    The optimizer uses fused kernels if it has them; ``optimizer.fused=False`` in the config switches them off. Steps with
    NaN or Inf gradients are skipped (:class:`SkipNonFinite`). For :class:`yolox_pose.engine.optim.MuonAdamW` the weights of
    hidden convolutions form separate groups.

    ``paramwise_cfg`` takes ``norm_decay_mult`` and ``bias_decay_mult`` (factors of the weight decay of normalization layers
    and biases, 1 by default) and ``pose_lr_mult`` (factor of the learning rate of the pose branch, 1 by default; a larger
    factor suits a new branch on a trained detector).

    Raises:
        ValueError: If ``paramwise_cfg`` has another key.
    """

    KEYS = ("norm_decay_mult", "bias_decay_mult", "pose_lr_mult")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper."""
        # Use fused kernels
        devices = {parameter.device.type for parameter in model.parameters()}
        kind = self._optimizer_class()
        if kind in FUSED_OPTIMIZERS and devices <= {"cpu", "cuda"} and _has_fused_kernels():
            self.optimizer_cfg.setdefault("fused", True)

        # Build optimizer and wrapper; without a key in paramwise_cfg MMEngine would make a single group
        self._splits = kind is MuonAdamW
        if self._splits:
            self.paramwise_cfg: dict[str, Any] = {"pose_lr_mult": 1.0, **self.paramwise_cfg}
        wrapper = super().__call__(model)

        # Skip steps with NaN or Inf gradients, and clip without waiting for the norm
        wrapper.optimizer.skip = SkipNonFinite(bool(self.optimizer_cfg.get("fused")))
        wrapper.optimizer.register_step_pre_hook(wrapper.optimizer.skip)
        if wrapper.clip_grad_kwargs:
            wrapper.clip_func = ClipWithoutWaiting(wrapper.clip_func)
        return wrapper

    def _optimizer_class(self) -> type | None:
        """Return the class that the config names; MMEngine finds classes of this package only in their scope."""
        kind = self.optimizer_cfg.get("type")
        if isinstance(kind, str) and kind.startswith(f"{SCOPE}."):
            self.optimizer_cfg["type"] = kind = OPTIMIZERS.get(kind.removeprefix(f"{SCOPE}."))
        return OPTIMIZERS.get(kind) if isinstance(kind, str) else kind

    def add_params(self, params: list[dict[str, Any]], module: nn.Module, prefix: str = "", **kwargs: Any) -> None:
        """Add the parameters of ``module`` to ``params``, one group for each learning rate and weight decay."""
        unknown = sorted(set(self.paramwise_cfg) - set(self.KEYS))
        if unknown:
            raise ValueError(f"paramwise_cfg: unknown keys {unknown}; known: {', '.join(self.KEYS)}")
        norm_decay, bias_decay, pose_rate = (self.paramwise_cfg.get(key, 1.0) for key in self.KEYS)

        # Group the parameters
        groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
        for layer_name, layer in module.named_modules():
            is_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm)
            for name, parameter in layer.named_parameters(recurse=False):
                if not parameter.requires_grad:
                    continue
                decay = norm_decay if is_norm else bias_decay if name == "bias" else 1.0
                rate = pose_rate if any(part in f"{layer_name}." for part in POSE_LAYERS) else 1.0
                matrix = self._splits and name == "weight" and is_matrix(layer, layer_name)
                groups.setdefault((rate, decay, matrix), []).append(parameter)

        # Turn factors into learning rates and weight decays
        for (rate, decay, matrix), parameters in groups.items():
            group = {"params": parameters, "lr": self.base_lr * rate}
            if self._splits:
                group["matrix"] = matrix
            if self.base_wd is not None:
                group["weight_decay"] = self.base_wd * decay
            params.append(group)


def is_matrix(layer: nn.Module, name: str) -> bool:
    """Return whether the weight of a layer is a matrix between hidden channels."""
    hidden = not any(part.startswith(OUTPUT_LAYERS) for part in name.split("."))
    return hidden and isinstance(layer, nn.Conv2d) and layer.in_channels > layer.groups


def _has_fused_kernels() -> bool:
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 4)
