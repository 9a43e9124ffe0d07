"""Muon for the matrices of the hidden convolutions, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from yolox_pose.registry import OPTIMIZERS

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the polynomial ``a x + b x^3 + c x^5``, which maps singular values in (0, 1] to about 1."""

ITERATIONS = 5
"""Iterations of the polynomial."""


def orthogonalize(matrices: Tensor) -> Tensor:
    """Return the nearest matrices with singular values of about 1 (0.7 to 1.2), by Newton-Schulz iterations.

    Args:
        matrices: Matrices of shape (n, rows, columns) in a float type.

    Returns:
        Matrices of the same shape and type; zeros stay zeros.

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
    """Optimizer that steps groups with ``matrix=True`` by Muon and the others by ``torch.optim.AdamW``.

    Muon reshapes the momentum of a weight to a matrix (output channels, all other dimensions) and replaces it with the
    nearest orthogonal matrix, so that all directions learn at the same speed. ``YOLOXPoseOptimConstructor`` makes the
    groups; matrices are the weights of convolutions that are neither depthwise nor output layers.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate of AdamW; Muon multiplies it by ``matrix_lr_mult``.
        betas: Betas of AdamW.
        eps: Epsilon of AdamW.
        weight_decay: Decoupled weight decay: a step reduces a weight by the fraction ``lr * weight_decay``.
        momentum: Nesterov momentum of Muon.
        matrix_lr_mult: Factor of the learning rate of Muon (times ``sqrt(rows / columns)`` for tall matrices).
        fused: Whether AdamW runs as one kernel.

    Source: Jordan et al., Muon (2024), including the split between Muon and AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        momentum: float = 0.95,
        matrix_lr_mult: float = 10.0,
        fused: bool | None = None,
    ) -> None:
        self._adamw: Any = torch.optim.AdamW([torch.zeros(1)], lr, betas, eps, weight_decay, fused=fused)
        matrix_defaults = {"matrix": False, "momentum": momentum, "matrix_lr_mult": matrix_lr_mult}
        super().__init__(params, self._adamw.defaults | matrix_defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; if the attribute ``found_inf``, a scalar tensor, is not 0, nothing changes.

        Args:
            closure: Function that computes the loss again; called once.
        """
        # Compute the loss again
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()

        # AdamW steps its groups on the state of this optimizer
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        self._adamw.param_groups = [group for group in self.param_groups if not group["matrix"]]
        self._adamw.state = self.state
        self._adamw.found_inf = found_inf
        self._adamw.step()

        # Muon steps the matrices
        for group in self.param_groups:
            if group["matrix"]:
                self._step_matrices(group, found_inf)
        return loss

    def _step_matrices(self, group: dict[str, Any], found_inf: Tensor | None) -> None:
        """Step the matrices of a group, those of one shape together."""
        shapes: dict[tuple[int, int], list[Tensor]] = {}
        for parameter in group["params"]:
            if parameter.grad is not None:
                shapes.setdefault((len(parameter), parameter[0].numel()), []).append(parameter)
        for (rows, columns), parameters in shapes.items():
            # Stack gradients and momenta
            gradients = torch.stack([p.grad.reshape(rows, columns) for p in parameters if p.grad is not None]).float()
            states = [self.state[parameter] for parameter in parameters]
            for state, gradient in zip(states, gradients):
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
            momentum = torch.stack([state["momentum_buffer"] for state in states])

            # A step with NaN or Inf gradients has the factor 0
            factor: Tensor | float = 1.0
            if found_inf is not None:
                factor = 1 - found_inf.sign()
                gradients = gradients.nan_to_num(0.0, 0.0, 0.0)

            # Nesterov momentum, orthogonalized
            momentum = momentum + (gradients - momentum) * ((1 - group["momentum"]) * factor)
            update = orthogonalize(gradients.lerp(momentum, group["momentum"]))

            # Weight decay and update
            rate = group["lr"] * group["matrix_lr_mult"] * max(1.0, rows / columns) ** 0.5
            for parameter, state, buffer, change in zip(parameters, states, momentum, update):
                state["momentum_buffer"].copy_(buffer)
                parameter.mul_(1 - group["lr"] * group["weight_decay"] * factor)
                parameter.sub_(change.reshape(parameter.shape) * (rate * factor))
