"""Muon for the matrices of the hidden convolutions, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from yolox_pose.registry import OPTIMIZERS

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial ``a x + b x^3 + c x^5``, which takes every singular value from (0, 1] to about 1 in few iterations."""
ITERATIONS = 5


def orthogonalize(matrices: Tensor) -> Tensor:
    """The nearest matrices whose singular values are all about 1 (0.7 to 1.2), by Newton-Schulz iterations.

    Args:
        matrices: (n, rows, columns) of a float type.

    Returns:
        (n, rows, columns) of the same type; a matrix of zeros stays one.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024).
    """
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


@OPTIMIZERS.register_module()
class MuonAdamW(torch.optim.Optimizer):
    """Groups of parameters with ``matrix=True`` are stepped by Muon, the others by ``torch.optim.AdamW``.

    Muon replaces the momentum of a weight, seen as a matrix of (output channels, everything else), by the nearest orthogonal
    one: all directions of the matrix learn at the same speed. ``YOLOXPoseOptimConstructor`` makes the groups: what is a
    matrix are the weights of convolutions that are neither depthwise nor predict.

    Args:
        params: Parameters or groups.
        lr: Rate of AdamW, and of Muon after ``matrix_lr_mult``.
        betas: Of AdamW.
        eps: Of AdamW.
        weight_decay: Decoupled, of both: a step takes ``lr * weight_decay`` of a weight away.
        momentum: Of Muon, in Nesterov's form.
        matrix_lr_mult: An orthogonal step is this much longer than ``lr`` (times ``sqrt(rows / columns)`` for tall ones).
        fused: Whether AdamW's part is one kernel.

    Source: Jordan et al., Muon (2024); the split as there: hidden matrices to Muon, the rest to AdamW.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        momentum: float = 0.95,
        matrix_lr_mult: float = 10.0,
        fused: bool | None = None,
    ) -> None:
        self._adamw = torch.optim.AdamW([torch.zeros(1)], lr, betas, eps, weight_decay, fused=fused)
        own = {"matrix": False, "momentum": momentum, "matrix_lr_mult": matrix_lr_mult}
        super().__init__(params, self._adamw.defaults | own)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``found_inf``, a scalar tensor that is not 0, makes it one that changes nothing.

        Args:
            closure: Computes the loss again; called once, if given.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        self._adamw.param_groups = [group for group in self.param_groups if not group["matrix"]]
        self._adamw.state = self.state
        self._adamw.found_inf = found_inf
        self._adamw.step()
        for group in self.param_groups:
            if group["matrix"]:
                self._step_matrices(group, found_inf)
        return loss

    def _step_matrices(self, group: dict, found_inf: Tensor | None) -> None:
        shapes: dict[tuple[int, int], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
        for (rows, columns), parameters in shapes.items():
            gradients = torch.stack([parameter.grad.reshape(rows, columns) for parameter in parameters]).float()
            states = [self.state[parameter] for parameter in parameters]
            for state, gradient in zip(states, gradients):
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
            momentum = torch.stack([state["momentum_buffer"] for state in states])
            keep: Tensor | float = 1.0
            if found_inf is not None:
                keep = 1 - found_inf.sign()
                gradients = gradients.nan_to_num(0.0, 0.0, 0.0)
            momentum = momentum + (gradients - momentum) * ((1 - group["momentum"]) * keep)
            update = orthogonalize(gradients.lerp(momentum, group["momentum"]))
            rate = group["lr"] * group["matrix_lr_mult"] * max(1.0, rows / columns) ** 0.5
            for parameter, state, buffer, change in zip(parameters, states, momentum, update):
                state["momentum_buffer"].copy_(buffer)
                parameter.mul_(1 - group["lr"] * group["weight_decay"] * keep)
                parameter.sub_(change.reshape(parameter.shape) * (rate * keep))
