"""Moving average of the weights, updated all together and without asking the device for the number of the step."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmpose.engine.hooks.ema_hook import ExpMomentumEMA
from torch import Tensor, nn

from yolox_pose.registry import MODELS


@MODELS.register_module()
class BatchedExpMomentumEMA(ExpMomentumEMA):
    """MMPose's ``ExpMomentumEMA``, with the same values and the same checkpoints, in a few kernels a step.

    MMPose's reads the step counter from the device once for every tensor of the model, so that a GPU is waited for some
    hundred times a step. Here the host counts too; it reads the counter once at the start and after weights are loaded.
    """

    _count: int | None = None

    def update_parameters(self, model: nn.Module) -> None:
        """Take a step of the average towards the weights, and with ``update_buffers`` the buffers, of ``model``."""
        count = self._count = int(self.steps) if self._count is None else self._count
        sources = model.state_dict() if self.update_buffers else dict(model.named_parameters())
        pairs = [(own.data, sources[name].data) for name, own in self.avg_parameters.items()]
        if count == 0:
            _copy(pairs)
        elif count % self.interval == 0:
            self._average([pair for pair in pairs if pair[0].dtype.is_floating_point], count)
        if not self.update_buffers:
            _copy([(own.data, other.data) for own, other in zip(self.module.buffers(), model.buffers())])
        self.steps += 1
        self._count = count + 1

    def _average(self, pairs: list[tuple[Tensor, Tensor]], count: int) -> None:
        momentum = (1 - self.momentum) * math.exp(-float(1 + count) / self.gamma) + self.momentum
        own, others = [pair[0] for pair in pairs], [pair[1].to(pair[0].device) for pair in pairs]
        torch._foreach_mul_(own, 1 - momentum)
        torch._foreach_add_(own, others, alpha=momentum)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._count = None  # the loaded counter is another one
        super()._load_from_state_dict(*args, **kwargs)


def _copy(pairs: list[tuple[Tensor, Tensor]]) -> None:
    for own, other in pairs:
        own.copy_(other)
