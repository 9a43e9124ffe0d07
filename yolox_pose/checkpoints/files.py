"""Read weights of any known layout and write them, as ``.pth`` or ``.safetensors``."""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from yolox_pose.checkpoints.layouts import Layout, find_layout, import_name
from yolox_pose.checkpoints.preprocessing import describe_preprocessing
from yolox_pose.compat.torch_load import load
from yolox_pose.errors import DataError, UsageError
from yolox_pose.weights.table import LEGACY_PREPROCESSING, find_by_file

SAFETENSORS = ".safetensors"
METADATA_KEY = "yolox_pose.meta"
"""Entry of a safetensors file's metadata, which holds text only, for ``meta`` as JSON."""
WEIGHT_KEYS = ("state_dict", "model")
"""Keys of the weights in OpenMMLab's and Megvii's files. Both hold the EMA weights there if a run has them: MMEngine's hook
swaps the two sets before it saves (``ema_state_dict`` is then the raw set), Megvii's trainer saves the EMA weights."""


TRACKER_PREFIX = "detector."
"""Prefix of a detector's tensors in the files of trackers."""


class Checkpoint(NamedTuple):
    """Weights under the names of this package.

    Attributes:
        name: Path of the file, for messages.
        weights: Tensors by name.
        layout: Layout of the file.
        dataset_meta: Classes, skeleton and preprocessing (:mod:`yolox_pose.checkpoints.preprocessing`).
        constants: Keys of the file that are not weights of the network and were left out.
        config: Text of the config that the training wrote into the file; empty if there is none.
    """

    name: str
    weights: dict[str, Tensor]
    layout: Layout
    dataset_meta: dict[str, Any]
    constants: tuple[str, ...] = ()
    config: str = ""


def read_checkpoint(path: str | os.PathLike[str], *, legacy: bool = False) -> Checkpoint:
    """Read a file of any known layout. It is loaded as data: no code in it runs.

    Args:
        path: A ``.safetensors`` file, or a file that PyTorch reads.
        legacy: Whether these are Megvii's weights before version 0.1.1.

    Raises:
        UsageError: If the safetensors package is missing.
        DataError: If the file holds no weights, or weights of an unknown layout.
    """
    name = os.fspath(path)
    return parse_checkpoint(read_content(name), name, legacy=legacy)


def read_content(name: str) -> Any:
    """Return the content of a file of weights; a safetensors file becomes ``{'meta', 'state_dict'}``."""
    if name.endswith(".onnx"):
        raise UsageError(
            f"{name} is an ONNX graph: 'yolox-pose convert {name} weights.pth' turns a detector's into weights"
        )
    return _read_safetensors(name) if name.endswith(SAFETENSORS) else load(name)


def parse_checkpoint(content: Any, name: str, *, legacy: bool = False, backbone_only: bool = False) -> Checkpoint:
    """Find weights, layout and metadata in the content of a file.

    Args:
        content: Content of the file.
        name: Path of the file. Megvii's weights before version 0.1.1 are recognized by their published file name.
        legacy: Whether these are Megvii's weights before version 0.1.1.
        backbone_only: Whether only the backbone is used, so that weights of RTMO are accepted.

    Raises:
        DataError: If the file holds no weights, or weights of an unknown layout.
    """
    tensors = _find_weights(content)
    if not tensors:
        raise DataError(f"checkpoint {name} holds no weights (a 'state_dict' of tensors)")
    tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    tensors, others = _detector_of_tracker(tensors)
    published = find_by_file(name)
    legacy = legacy or (published is not None and published.preprocessing == LEGACY_PREPROCESSING)
    try:
        layout = find_layout(tensors, backbone_only=backbone_only)
    except DataError as error:
        raise DataError(f"checkpoint {name}: {error}") from None
    names = {key: import_name(key, layout) for key in tensors}
    weights = {renamed: tensors[key] for key, renamed in names.items() if renamed is not None}
    constants = (*(key for key, renamed in names.items() if renamed is None), *others)
    meta = content.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    config = meta.get("cfg")
    dataset_meta = describe_preprocessing(layout, weights, meta, legacy)
    return Checkpoint(name, weights, layout, dataset_meta, constants, config if isinstance(config, str) else "")


def _detector_of_tracker(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the detector of a tracker's file (ByteTrack, StrongSORT in MMTracking), and the names of the other tensors."""
    detector = {key[len(TRACKER_PREFIX) :]: value for key, value in tensors.items() if key.startswith(TRACKER_PREFIX)}
    if not detector:
        return tensors, ()
    return detector, tuple(key for key in tensors if not key.startswith(TRACKER_PREFIX))


def _find_weights(content: Any) -> dict[str, Tensor] | None:
    if not isinstance(content, Mapping):
        return None
    tensors = next((content[key] for key in WEIGHT_KEYS if isinstance(content.get(key), Mapping)), content)
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tensors.items()):
        return None
    return dict(tensors)


def write_checkpoint(
    path: str | os.PathLike[str], weights: Mapping[str, Tensor], meta: Mapping[str, Any], key: str = "state_dict"
) -> None:
    """Write weights and metadata atomically.

    Args:
        path: Path of the file; ``.safetensors`` chooses this format.
        weights: Tensors by name.
        meta: Metadata of dicts, lists, strings and numbers.
        key: Key of the weights in a ``.pth`` file.

    Raises:
        UsageError: If the file cannot be written, or the safetensors package is missing.
    """
    target = Path(path)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    if target.suffix == SAFETENSORS:
        data = _safetensors().save(tensors, metadata={METADATA_KEY: json.dumps(meta)})
    else:
        buffer = io.BytesIO()
        torch.save({"meta": dict(meta), key: tensors}, buffer)
        data = buffer.getvalue()
    try:
        write_atomically(target, data)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from None


def write_atomically(target: Path, data: bytes) -> None:
    """Write a temporary file, flush it to disk and rename it, so that a killed process leaves the old file whole."""
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _read_safetensors(name: str) -> dict[str, Any]:
    library = _safetensors()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(name, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY, "{}")
        meta = json.loads(text)
        if isinstance(meta, dict):
            _restore_integer_keys(meta.get("dataset_meta"))
        return {"meta": meta, "state_dict": library.load_file(name)}
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{name}: not loaded, it is not a complete safetensors file ({error})") from None


def _restore_integer_keys(dataset_meta: Any) -> None:
    """Turn keypoint ids back into numbers: JSON makes the keys of a dict text."""
    names = dataset_meta.get("keypoint_id2name") if isinstance(dataset_meta, dict) else None
    if isinstance(names, dict):
        dataset_meta["keypoint_id2name"] = {int(key): value for key, value in names.items()}


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise UsageError(f"{SAFETENSORS} files need the safetensors package: pip install safetensors") from None
    return safetensors.torch
