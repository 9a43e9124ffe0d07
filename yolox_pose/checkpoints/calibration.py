"""Batch-norm statistics measured on images: of weights whose own were folded away, or do not go with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn


@torch.no_grad()
def calibrate_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure mean and variance of what enters each batch norm, and set weight and bias so that nothing else changes.

    In evaluation the norm computes ``(x - mean) / sqrt(var + eps) * weight + bias``, a scale and a shift of each channel.
    These two stay, so outputs do; in training, batches that look like the images are normalised to the same values, so
    training can go on from there.

    Args:
        model: In evaluation mode; its norms are changed.
        batches: (B, 3, H, W) inputs of the network.

    Returns:
        Number of images.

    Raises:
        ValueError: If there are no images.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def collect(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        total = torch.full_like(x[0, :, 0, 0], x.numel() / x.shape[1])
        sums[norm] += torch.stack([total, x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]).cpu()

    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    images = 0
    try:
        for batch in batches:
            model(batch)
            images += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not images:
        raise ValueError("no images to measure on")
    for norm in norms:
        count, total, squares = sums[norm]
        if count.all():
            _set_statistics(norm, total / count, (squares / count - (total / count).square()).clamp(min=0))
    return images


def measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure mean and variance of what enters each batch norm, as training on such batches would have them.

    For weights that are a mean of others, whose statistics are not the mean of theirs (Izmailov et al., Averaging Weights
    Leads to Wider Optima, UAI 2018, section 3.2). Each batch counts alike.

    Args:
        model: Its norms are changed, and all of it is in evaluation mode afterwards.
        batches: (B, 3, H, W) inputs of the network.

    Returns:
        Number of images.

    Raises:
        ValueError: If there are no images.
    """
    images = 0

    def counted() -> Iterator[Tensor]:
        nonlocal images
        for batch in batches:
            images += len(batch)
            yield batch

    update_bn(counted(), _Unfrozen(model))
    if not images:
        raise ValueError("no images to measure on")
    return images


class _Unfrozen(nn.Module):
    """A model in evaluation mode that goes into training as a whole, also layers that would stay as they are."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, inputs: Tensor) -> Any:
        """The model's output."""
        return self.model(inputs)

    def train(self, mode: bool = True) -> _Unfrozen:
        """Switch all layers, past their own ``train``."""
        for module in self.modules():
            module.training = mode
        return self


def _set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Exchange the statistics of a norm, keeping its scale and shift of each channel."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    mean, variance = mean.to(scale.device), variance.to(scale.device)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(shift + norm.running_mean.double() * scale)
