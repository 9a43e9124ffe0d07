"""Load checkpoints as data with ``weights_only=True``, including MMEngine's own; no code in them runs.

PyTorch 2.6 made this the default, and MMEngine 0.10.7 cannot read its own files with it: they hold numpy arrays and a
``HistoryBuffer`` whose pickle calls ``builtins.getattr``. This file allows numpy's plain arrays and the buffer, and replaces
``getattr`` by a stub that returns only the buffer's statistics. Remove it when MMEngine saves plain data.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from yolox_pose.errors import DataError

TRUST_VARIABLE = "YOLOX_POSE_TRUST_CHECKPOINTS"
"""Environment variable that allows checkpoints to run code if it is 1."""


def fill() -> str:
    """Patch MMEngine to load checkpoints as data, and return a description."""
    from mmengine.logging.history_buffer import HistoryBuffer
    from mmengine.runner.checkpoint import CheckpointLoader

    torch.serialization.add_safe_globals([HistoryBuffer, (_statistic, "builtins.getattr"), *_numpy_globals()])
    load = CheckpointLoader.load_checkpoint.__func__

    @functools.wraps(load)
    def load_checkpoint(cls: type, filename: str, *args: Any, **kwargs: Any) -> Any:
        with safe_loading(filename):
            return load(cls, filename, *args, **kwargs)

    CheckpointLoader.load_checkpoint = classmethod(load_checkpoint)
    return "MMEngine's checkpoints load with weights_only=True"


@contextlib.contextmanager
def safe_loading(filename: str, trusted: bool | None = None) -> Iterator[None]:
    """Restrict ``torch.load`` to data within a block, independent of PyTorch's default.

    Args:
        filename: Name of the file, for messages.
        trusted: Whether the file may run code; None reads the environment variable :data:`TRUST_VARIABLE`.

    Raises:
        DataError: If the file is not a checkpoint, or asks to run code.
    """
    if trusted is None:
        trusted = os.environ.get(TRUST_VARIABLE, "") == "1"
    variable, other = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    if trusted:
        variable, other = other, variable
    saved = {name: os.environ.pop(name, None) for name in (variable, other)}
    os.environ[variable] = "1"
    try:
        yield
    except (pickle.UnpicklingError, EOFError, LookupError) as error:
        raise DataError(f"{filename}: not loaded, {_reason(error)}") from None
    except RuntimeError as error:
        if "PytorchStreamReader" not in str(error):
            raise
        raise DataError(f"{filename}: not loaded, it is damaged or cut short") from None
    finally:
        for key, value in saved.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def load(filename: str | os.PathLike[str], map_location: Any = "cpu", trusted: bool | None = None) -> Any:
    """Return the content of a checkpoint file; see :func:`safe_loading` for arguments and errors."""
    with safe_loading(os.fspath(filename), trusted):
        return torch.load(filename, map_location=map_location)


def _reason(error: Exception) -> str:
    name = re.search(r"(?:GLOBAL|global|class|function) [`']?([\w.]+)", str(error))
    if name is None or not isinstance(error, pickle.UnpicklingError):
        return "it is not a PyTorch checkpoint"
    return (
        f"because a checkpoint may hold data only and it asks for '{name.group(1)}'; "
        f"if you trust its source, set {TRUST_VARIABLE}=1"
    )


def _statistic(owner: Any, name: str) -> Any:
    """Stand in for ``getattr`` in a pickle: return a statistic of ``HistoryBuffer``, refuse anything else."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in ("min", "max", "current", "mean"):
        raise pickle.UnpicklingError("Unsupported GLOBAL builtins.getattr")
    return vars(HistoryBuffer)[name]


def _numpy_globals() -> list[Any]:
    """Return the globals in pickles of arrays and numbers, under the module names of numpy 1 and numpy 2."""
    multiarray: tuple[Any, Any] = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    names = [(f, f"{core}.multiarray.{f.__name__}") for f in multiarray for core in ("numpy.core", "numpy._core")]
    types = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdUS"}
    return [np.ndarray, np.dtype, *names, *sorted(types, key=lambda t: t.__name__)]
