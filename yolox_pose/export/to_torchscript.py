"""Export to TorchScript, for programs that link libtorch. Tracing fixes the size and the batch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from yolox_pose.export.graph import RawGraph
from yolox_pose.inference.exported.description import ModelDescription


def write(network: RawGraph, description: ModelDescription, path: Path) -> None:
    """Write a ``.torchscript`` file for ``torch.jit.load``."""
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # deprecation of torch.jit, and sizes traced as constants
        traced = torch.jit.trace(network, torch.zeros(description.batch or 1, 3, *description.size))
        torch.jit.save(torch.jit.freeze(traced), str(path))


class TorchScriptBackend:
    """Loaded TorchScript file; see :class:`yolox_pose.inference.exported.backends.Backend`."""

    def __init__(self, path: Path, description: ModelDescription) -> None:
        self._network, self._names = torch.jit.load(str(path)), description.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs by name."""
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(images))
        return {name: values.numpy() for name, values in zip(self._names, outputs)}
