"""Batches larger than memory: the network processes parts, the losses the whole batch.

Activations of a part are not stored but computed again for its gradient (Chen et al., Training Deep Nets with Sublinear
Memory Cost, 2016). Accumulated gradients of separate losses would be normalized by the positives of each part; here the
losses are normalized by those of the whole batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from yolox_pose.ops import HeadOutputs


def forward_in_parts(
    model: nn.Module, network: Callable[[Tensor], HeadOutputs], inputs: Tensor, size: int
) -> HeadOutputs:
    """Compute the outputs of a network for (B, ...) inputs, ``size`` images at a time.

    Args:
        model: Module whose batch norms the network uses; each part counts once in their running statistics.
        network: Function from images to outputs.
        inputs: The batch.
        size: Images of a part; the last part may have fewer.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
        return contextlib.nullcontext(), frozen_statistics(model)

    parts = [checkpoint(network, part, use_reentrant=False, context_fn=contexts) for part in inputs.split(size)]
    return HeadOutputs._make(None if values[0] is None else torch.cat(values) for values in zip(*parts))


@contextlib.contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Freeze the running statistics of batch norm, so that a second forward pass does not count a batch twice."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
