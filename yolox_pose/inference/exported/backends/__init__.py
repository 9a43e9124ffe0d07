"""What runs an exported network: one module a runtime, each imported when a model is loaded with it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.utils.dependencies import MissingDependencyError


class Backend(Protocol):
    """A loaded network."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name, for a (B, 3, H, W) float32 batch of a size that the model takes."""


class _Entry(NamedTuple):
    """A backend: module and class, the package that it imports, the extra that brings it, the files it reads."""

    module: str
    loader: str
    package: str
    extra: str
    suffixes: tuple[str, ...]


BACKENDS = {
    "onnxruntime": _Entry("onnxruntime", "OnnxRuntimeBackend", "onnxruntime", "runtime", (".onnx",)),
    "openvino": _Entry("openvino", "OpenVINOBackend", "openvino", "openvino", (".xml", ".onnx")),
    "ncnn": _Entry("ncnn", "NcnnBackend", "ncnn", "ncnn", (".param",)),
    "opencv": _Entry("opencv", "OpenCVBackend", "cv2", "runtime", (".onnx",)),
}
"""By the name that ``load(..., backend=)`` takes; the first that reads a file is its default."""

MODEL_SUFFIXES = tuple(dict.fromkeys(suffix for entry in BACKENDS.values() for suffix in entry.suffixes))
"""Endings of the files that the runtime reads."""


def choose_backend(path: Path, name: str | None = None) -> str:
    """The backend of a model's file.

    Raises:
        UsageError: If there is no such backend, or it does not read this kind of file.
    """
    if name is None:
        name = next((known for known, entry in BACKENDS.items() if path.suffix in entry.suffixes), None)
        if name is None:
            raise UsageError(f"{path}: exported models end in {', '.join(MODEL_SUFFIXES)}, not '{path.suffix}'")
    if name not in BACKENDS:
        raise UsageError(f"unknown backend '{name}'; there are: {', '.join(BACKENDS)}")
    suffixes = BACKENDS[name].suffixes
    if path.suffix not in suffixes:
        raise UsageError(f"{name} reads {', '.join(suffixes)} files, not {path}")
    return name


def check_input(path: Path, shape: Sequence[object], batch: int | None, size: tuple[int, int]) -> None:
    """Check that a network takes what its description says.

    Args:
        path: The model's file, for the message.
        shape: Of its input; what is no whole number may be anything.
        batch: Images at a time; None for any number.
        size: (H, W) of the images that it will be given.

    Raises:
        DataError: If it does not.
    """
    expected = (batch, 3, *size)
    differs = (isinstance(own, int) and own != wanted for own, wanted in zip(shape, expected))
    if len(shape) != len(expected) or any(differs):
        raise DataError(f"{path} takes images of shape {tuple(shape)}, its description says {expected}")


def open_backend(
    name: str, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
) -> Backend:
    """Load a network.

    Args:
        name: A key of :data:`BACKENDS`.
        path: The model's file.
        description: Of the model.
        size: (H, W) of the images that it will be given.
        threads: Threads of a call; None leaves it to the runtime.

    Raises:
        MissingDependencyError: If the runtime is not installed; says which command installs it.
        DataError: If the runtime cannot load the file.
    """
    entry = BACKENDS[name]
    try:
        module = importlib.import_module(f"{__name__}.{entry.module}")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != entry.package:
            raise
        raise MissingDependencyError(
            f"{name} is missing, which runs {path.name}; install it with: pip install yolox-pose[{entry.extra}]"
        ) from None
    backend: Backend = getattr(module, entry.loader)(path, description, size, threads)
    return backend
