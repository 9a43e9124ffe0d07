"""ncnn models, one image at a time: ncnn's tensors have no batch axis."""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.inference.exported.description import ModelDescription


class NcnnBackend:
    """Backend that runs an ncnn network. pnnx names its input ``in0`` and its outputs ``out0``, ``out1`` and so on."""

    def __init__(
        self, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
    ) -> None:
        self._network = ncnn.Net()
        if threads is not None:
            self._network.opt.num_threads = threads
        for kind in ("fp16_storage", "fp16_packed", "fp16_arithmetic", "bf16_storage"):
            setattr(self._network.opt, f"use_{kind}", False)  # for values between layers; weights may be float16
        weights = path.with_suffix(".bin")
        if not weights.is_file():
            raise DataError(f"{weights} is missing; it belongs to {path}")
        if self._network.load_param(str(path)) or self._network.load_model(str(weights)):
            raise DataError(f"ncnn cannot load {path}")
        self._names = description.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs by name."""
        results = [self._run(image) for image in images]
        return {name: np.stack(values) for name, values in zip(self._names, zip(*results))}

    def _run(self, image: np.ndarray) -> list[np.ndarray]:
        """Compute the outputs of one image (3, H, W), in order."""
        with self._network.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(image))
            return [np.array(extractor.extract(f"out{i}")[1]) for i in range(len(self._names))]
