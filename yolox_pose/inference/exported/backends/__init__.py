"""Runtimes of exported networks, one module each, imported when a model is loaded with it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.inference.exported.governed import GovernedBackend
from yolox_pose.utils.dependencies import MissingDependencyError, pip_install


class Backend(Protocol):
    """A loaded network."""

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs by name for images (B, 3, H, W), float32, BGR from 0 to 255."""


class _Entry(NamedTuple):
    """A backend.

    Attributes:
        module: Name of its module in this package.
        loader: Name of its class.
        package: Package that it imports.
        suffixes: Endings of the files that it reads.
    """

    module: str
    loader: str
    package: str
    suffixes: tuple[str, ...]


BACKENDS = {
    "onnxruntime": _Entry("onnxruntime", "OnnxRuntimeBackend", "onnxruntime", (".onnx",)),
    "openvino": _Entry("openvino", "OpenVINOBackend", "openvino", (".xml", ".onnx")),
    "ncnn": _Entry("ncnn", "NcnnBackend", "ncnn", (".param",)),
    "opencv": _Entry("opencv", "OpenCVBackend", "cv2", (".onnx",)),
}
"""Backends by name; the first that reads a file is the default."""

GOVERNED = ("onnxruntime", "openvino", "ncnn")
"""Backends whose number of threads follows the load of the machine, where the user names none."""

MODEL_SUFFIXES = tuple(dict.fromkeys(suffix for entry in BACKENDS.values() for suffix in entry.suffixes))
"""Endings of the files that the backends read."""


def choose_backend(path: Path, name: str | None = None) -> str:
    """Return the name of the backend for a model file.

    Args:
        path: Model file.
        name: Key of :data:`BACKENDS`; None chooses by the file ending.

    Raises:
        UsageError: If the backend is unknown or does not read the file.
    """
    if name is None:
        name = next((key for key, entry in BACKENDS.items() if path.suffix in entry.suffixes), None)
        if name is None:
            raise UsageError(f"{path}: exported models end in {', '.join(MODEL_SUFFIXES)}, not '{path.suffix}'")
    if name not in BACKENDS:
        raise UsageError(f"unknown backend '{name}'; known: {', '.join(BACKENDS)}")
    suffixes = BACKENDS[name].suffixes
    if path.suffix not in suffixes:
        raise UsageError(f"{name} reads {', '.join(suffixes)} files, not {path}")
    return name


def check_input(path: Path, shape: Sequence[object], batch: int | None, size: tuple[int, int]) -> None:
    """Check the input shape of a network against its description.

    Args:
        path: Model file, for the message.
        shape: Shape of the input; entries that are not integers match any size.
        batch: Number of images at a time; None for any number.
        size: Height and width of the images.

    Raises:
        DataError: If the shapes differ.
    """
    expected = (batch, 3, *size)
    differs = (isinstance(side, int) and side != expected_side for side, expected_side in zip(shape, expected))
    if len(shape) != len(expected) or any(differs):
        raise DataError(f"{path} takes images of shape {tuple(shape)}, but its description says {expected}")


def open_backend(
    name: str, path: Path, description: ModelDescription, size: tuple[int, int], threads: int | None = None
) -> Backend:
    """Load a network.

    Args:
        name: Key of :data:`BACKENDS`.
        path: Model file.
        description: Description of the model.
        size: Height and width of the images.
        threads: Number of threads; None takes the runtime's number, and fewer while other processes
            use the cores.

    Raises:
        MissingDependencyError: If the runtime is not installed.
        DataError: If the runtime cannot load the file.
    """
    entry = BACKENDS[name]
    try:
        module = importlib.import_module(f"{__name__}.{entry.module}")
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != entry.package:
            raise
        raise MissingDependencyError(
            f"{path.name} needs {name}, which is missing; install it with: {pip_install(entry.package)}"
        ) from None
    open_with: Callable[[int | None], Backend] = partial(getattr(module, entry.loader), path, description, size)
    if threads is None and name in GOVERNED:
        return GovernedBackend(open_with)
    return open_with(threads)
