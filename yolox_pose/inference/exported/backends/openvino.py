"""OpenVINO's IR, or ONNX, with OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino

from yolox_pose.errors import DataError
from yolox_pose.inference.exported.backends import check_input
from yolox_pose.inference.exported.description import ModelDescription


class OpenVINOBackend:
    """A compiled model; see :class:`yolox_pose.inference.exported.backends.Backend`.

    Computes in float32 on CPU: by itself OpenVINO takes bfloat16 where the processor has it, whose boxes are off by pixels.
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
                f"{path} has {len(self._model.outputs)} outputs, its description {len(description.outputs)}"
            )
        lengths = [axis.get_length() if axis.is_static else None for axis in self._model.input(0).partial_shape]
        check_input(path, lengths, description.batch, size)
        self._names = description.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name."""
        return dict(zip(self._names, self._model([images]).values()))
