"""ONNX models in ``cv2.dnn``, which needs no other package. It runs the layouts ``raw`` and ``decode``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.inference.exported.description import ModelDescription


class OpenCVBackend:
    """Backend that runs an ONNX model in ``cv2.dnn``."""

    def __init__(
        self, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
    ) -> None:
        if description.layout == "nms":
            raise UsageError(f"{path} holds NMS, which OpenCV cannot run; export it with --decode or --raw")
        if description.dynamic:
            raise UsageError(f"{path} has a dynamic size, which OpenCV cannot run; export it with --size H W")
        if threads is not None:
            cv2.setNumThreads(threads)
        try:
            self._network = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise DataError(f"OpenCV {cv2.__version__} cannot load {path}: {error.err}") from None
        self._names = description.outputs

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs by name."""
        self._network.setInput(images)
        return dict(zip(self._names, self._network.forward(self._names)))
