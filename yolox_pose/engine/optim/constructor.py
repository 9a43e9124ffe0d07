"""Parameter groups: few of them, without weight decay on norms and biases, with a rate of its own for the pose branch."""

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
"""Parts of the names of the keypoint branch's parameters."""

OUTPUT_LAYERS = ("out_",)
"""Beginnings of the names of layers that predict."""
FUSED_OPTIMIZERS = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, MuonAdamW)
"""Optimizers that can update all parameters in one kernel on CPU and CUDA (torch 2.4 and later; Muon's own part aside)."""
NORM_INTERVAL = 10
"""Steps between two readings of the gradient norm for the log; each waits for the device."""


class ClipWithoutWaiting:
    """Clips gradients and tells their norm at an interval only: MMEngine reads and logs what it is told.

    Args:
        clip: ``torch.nn.utils.clip_grad_norm_`` or the like.
        interval: Calls between two that return the norm.
    """

    def __init__(self, clip: Callable[..., Tensor | None], interval: int = NORM_INTERVAL) -> None:
        self.clip, self.interval, self.calls = clip, interval, 0

    def __call__(self, parameters: list[Tensor], **kwargs: Any) -> Tensor | None:
        """Clip in place."""
        norm = self.clip(parameters, **kwargs)
        self.calls += 1
        return norm if self.calls % self.interval == 0 else None


class SkipNonFinite:
    """Step pre-hook of an optimizer: a step with a gradient that is no number changes nothing, and is counted.

    Fused optimizers of torch are told by ``found_inf``, a tensor, so that a GPU is not waited for; for others the
    gradients are looked at and dropped.

    Attributes:
        skipped: How many steps, a scalar tensor on the device; None before the first step.
    """

    def __init__(self, fused: bool) -> None:
        self.fused = fused
        self.skipped: Tensor | None = None

    def __call__(self, optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        """Look at the gradients before a step."""
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
    """Parameters with equal settings share a group, which lets torch update them together, in one kernel where it can.

    ``optimizer.fused=False`` in the config switches the kernel off. Steps with gradients that are no numbers are skipped
    (:class:`SkipNonFinite`). For :class:`yolox_pose.engine.MuonAdamW` the weights of hidden convolutions form groups of
    their own.

    ``paramwise_cfg`` takes ``norm_decay_mult``, ``bias_decay_mult`` (factors of the weight decay of normalisation layers
    and of biases, 1 by default) and ``pose_lr_mult`` (factor of the rate of the keypoint branch, 1 by default: a new
    branch on a trained detector learns faster with more).

    Raises:
        ValueError: If ``paramwise_cfg`` has another key.
    """

    KEYS = ("norm_decay_mult", "bias_decay_mult", "pose_lr_mult")

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer and its wrapper."""
        devices = {parameter.device.type for parameter in model.parameters()}
        kind = self._optimizer_class()
        if kind in FUSED_OPTIMIZERS and devices <= {"cpu", "cuda"} and _has_fused_kernels():
            self.optimizer_cfg.setdefault("fused", True)
        self._splits = kind is MuonAdamW
        if self._splits:
            self.paramwise_cfg = {"pose_lr_mult": 1.0, **self.paramwise_cfg}  # without a key MMEngine makes one group
        wrapper = super().__call__(model)
        wrapper.optimizer.skip = SkipNonFinite(bool(self.optimizer_cfg.get("fused")))
        wrapper.optimizer.register_step_pre_hook(wrapper.optimizer.skip)
        if wrapper.clip_grad_kwargs:
            wrapper.clip_func = ClipWithoutWaiting(wrapper.clip_func)
        return wrapper

    def _optimizer_class(self) -> type | None:
        """The class that the config names; MMEngine's own registry knows those of this package in its scope alone."""
        kind = self.optimizer_cfg.get("type")
        if isinstance(kind, str) and kind.startswith(f"{SCOPE}."):
            self.optimizer_cfg["type"] = kind = OPTIMIZERS.get(kind.removeprefix(f"{SCOPE}."))
        return OPTIMIZERS.get(kind) if isinstance(kind, str) else kind

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs) -> None:
        """Collect the parameters of ``module`` into ``params``, one group for each pair of rate and decay."""
        unknown = sorted(set(self.paramwise_cfg) - set(self.KEYS))
        if unknown:
            raise ValueError(f"paramwise_cfg: unknown keys {unknown}; known: {', '.join(self.KEYS)}")
        norm_decay, bias_decay, pose_rate = (self.paramwise_cfg.get(key, 1.0) for key in self.KEYS)
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
        for (rate, decay, matrix), parameters in groups.items():
            group = {"params": parameters, "lr": self.base_lr * rate}
            if self._splits:
                group["matrix"] = matrix
            if self.base_wd is not None:
                group["weight_decay"] = self.base_wd * decay
            params.append(group)


def is_matrix(layer: nn.Module, name: str) -> bool:
    """Whether the weight of a layer turns a vector of channels into another one that is not a prediction."""
    hidden = not any(part.startswith(OUTPUT_LAYERS) for part in name.split("."))
    return hidden and isinstance(layer, nn.Conv2d) and layer.in_channels > layer.groups


def _has_fused_kernels() -> bool:
    return tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 4)
