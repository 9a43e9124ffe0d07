"""OpenVINO's IR and ONNX models in OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from yolox_pose.errors import DataError
from yolox_pose.inference.exported.backends import check_input
from yolox_pose.inference.exported.description import ModelDescription


class OpenVINOBackend:
    """Backend that runs a model in OpenVINO on the CPU.

    It computes in float32. OpenVINO's default, bfloat16 where the processor has it, moves boxes by pixels.
    """

    def __init__(
        self, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
    ) -> None:
        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model = core.read_model(str(path))
            if description.dynamic:
                model.reshape([description.batch or -1, 3, *size])
            self._model = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise DataError(f"OpenVINO cannot load {path}: {str(error).strip().splitlines()[-1]}") from None
        if len(self._model.outputs) != len(description.outputs):
            raise DataError(
                f"{path} has {len(self._model.outputs)} outputs, but its description has {len(description.outputs)}"
            )
        lengths = [axis.get_length() if axis.is_static else None for axis in self._model.input(0).partial_shape]
        check_input(path, lengths, description.batch, size)
        self._names = description.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs by name."""
        return dict(zip(self._names, self._model([images]).values()))
