"""ONNX models with onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from yolox_pose.errors import DataError
from yolox_pose.inference.exported.backends import check_input
from yolox_pose.inference.exported.description import ModelDescription


class OnnxRuntimeBackend:
    """Backend that runs an ONNX model in onnxruntime, on the GPU if onnxruntime-gpu finds one."""

    def __init__(
        self, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        available = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own classes share no public base
            raise DataError(f"onnxruntime cannot load {path}: {str(error).strip().splitlines()[0]}") from None
        self.on_gpu = self._session.get_providers()[0] != "CPUExecutionProvider"
        outputs = tuple(output.name for output in self._session.get_outputs())
        if outputs != description.outputs:
            raise DataError(f"{path} has the outputs {outputs}, but its description says {description.outputs}")
        images = self._session.get_inputs()[0]
        check_input(path, images.shape, description.batch, size)
        self._input, self._outputs = images.name, outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs by name."""
        return dict(zip(self._outputs, self._session.run(self._outputs, {self._input: images})))
