"""Moving average of the weights, updated with a few kernels and without waiting for the device."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmpose.engine.hooks.ema_hook import ExpMomentumEMA
from torch import Tensor, nn

from yolox_pose.registry import MODELS

TensorPair = tuple[Tensor, Tensor]
"""A tensor of the average and the tensor of the model that it follows."""


@MODELS.register_module()
class BatchedExpMomentumEMA(ExpMomentumEMA):
    """MMPose's ``ExpMomentumEMA`` with the same values and checkpoints, updated with a few kernels per step.

    MMPose reads the step counter from the device once for every tensor of the model, so the CPU waits for the GPU hundreds
    of times per step. This class also counts on the CPU. It reads the counter at the start and after weights are loaded.
    """

    _count: int | None = None

    def update_parameters(self, model: nn.Module) -> None:
        """Move the average toward the weights of ``model``, and with ``update_buffers`` toward its buffers."""
        count = int(self.steps) if self._count is None else self._count
        sources = model.state_dict() if self.update_buffers else dict(model.named_parameters())
        pairs = [(average.data, sources[name].data) for name, average in self.avg_parameters.items()]
        if count == 0:
            _copy(pairs)
        elif count % self.interval == 0:
            self._interpolate([pair for pair in pairs if pair[0].dtype.is_floating_point], count)
        if not self.update_buffers:
            buffers = zip(self.module.buffers(), model.buffers())
            _copy([(average.data, source.data) for average, source in buffers])
        self.steps += 1
        self._count = count + 1

    def _interpolate(self, pairs: list[TensorPair], count: int) -> None:
        """Interpolate between average and model with the momentum of a step."""
        momentum = (1 - self.momentum) * math.exp(-float(1 + count) / self.gamma) + self.momentum
        averages, sources = [pair[0] for pair in pairs], [pair[1].to(pair[0].device) for pair in pairs]
        torch._foreach_mul_(averages, 1 - momentum)
        torch._foreach_add_(averages, sources, alpha=momentum)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._count = None  # read the loaded counter at the next step
        super()._load_from_state_dict(*args, **kwargs)


def _copy(pairs: list[TensorPair]) -> None:
    for average, source in pairs:
        average.copy_(source)
