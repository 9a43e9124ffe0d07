"""Batches larger than memory: the network sees parts of them, the losses the whole.

Activations of a part are not kept but computed again when its gradient is due (Chen et al., Training Deep Nets with Sublinear
Memory Cost, 2016). Unlike accumulated gradients of separate losses this needs no division afterwards: the numbers of positives
and of poses, by which the losses are divided, are those of the whole batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_parts(
    network: Callable[[Tensor], tuple[Tensor | None, ...]],
    inputs: Tensor,
    size: int,
    contexts: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> tuple[Tensor | None, ...]:
    """Outputs of a network for (B, ...) inputs, computed ``size`` images at a time.

    Args:
        network: Gives tensors with the images in the first dimension.
        inputs: The batch.
        size: Images of a part; the last one may have fewer.
        contexts: Makes the context of the second computation.
    """
    parts = [
        checkpoint(network, part, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), contexts()))
        for part in inputs.split(size)
    ]
    return tuple(None if values[0] is None else torch.cat(values) for values in zip(*parts))


@contextlib.contextmanager
def keep_statistics(model: nn.Module) -> Iterator[None]:
    """Running statistics of batch norm stay as they are; the second computation must not count a batch twice."""
    norms = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
