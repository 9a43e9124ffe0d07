"""Reading weights of any layout, and writing them: ``.pth`` and ``.safetensors``."""

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

from yolox_pose.checkpoints.layouts import Layout, find_layout, to_own
from yolox_pose.checkpoints.preprocessing import describe_preprocessing
from yolox_pose.compat.torch_load import load
from yolox_pose.errors import DataError, UsageError
from yolox_pose.weights.table import LEGACY_PREPROCESSING, find_by_file

SAFETENSORS = ".safetensors"
METADATA_KEY = "yolox_pose.meta"
"""Entry of a safetensors file's metadata, which is text alone, that holds our ``meta`` as JSON."""
WEIGHT_KEYS = ("state_dict", "model")
"""Where files keep the weights: OpenMMLab's, Megvii's. Both hold the averaged (EMA) weights there if there are two sets:
MMEngine's hook exchanges them before it saves (``ema_state_dict`` then is the raw set), Megvii's trainer saves the average."""


TRACKER_PREFIX = "detector."
"""Prefix of a detector's tensors in the files of trackers."""


class Checkpoint(NamedTuple):
    """Weights under our names.

    Attributes:
        name: The file, for messages.
        weights: The tensors.
        layout: How they were named in the file.
        dataset_meta: Classes, skeleton, preprocessing (:mod:`yolox_pose.checkpoints.preprocessing`).
        constants: Keys of the file that are no weights of the network and were left out.
        config: Text of the config that the training wrote into the file; empty if there is none.
    """

    name: str
    weights: dict[str, Tensor]
    layout: Layout
    dataset_meta: dict[str, Any]
    constants: tuple[str, ...] = ()
    config: str = ""


def read_checkpoint(path: str | os.PathLike[str], *, legacy: bool = False) -> Checkpoint:
    """Read a file of any known layout, as data: nothing in it runs.

    Args:
        path: A ``.safetensors`` file, or one that PyTorch reads.
        legacy: Whether these are Megvii's weights before version 0.1.1.

    Raises:
        UsageError: If the safetensors package is missing.
        DataError: If the file holds no weights, or those of something else.
    """
    name = os.fspath(path)
    return parse_checkpoint(read_content(name), name, legacy=legacy)


def read_content(name: str) -> Any:
    """Content of a file of weights; a safetensors file becomes ``{'meta', 'state_dict'}``."""
    return _read_safetensors(name) if name.endswith(SAFETENSORS) else load(name)


def parse_checkpoint(content: Any, name: str, *, legacy: bool = False, backbone_only: bool = False) -> Checkpoint:
    """Find weights, layout and origin in the content of a file.

    Args:
        content: Content of the file.
        name: Its path. Megvii's weights before version 0.1.1 are known by the name that ``yolox-pose weights`` gives them.
        legacy: Whether these are Megvii's weights before version 0.1.1.
        backbone_only: Whether only the backbone is used, so that weights of RTMO will do.

    Raises:
        DataError: If the file holds no weights, or those of something else.
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
    names = {key: to_own(key, layout) for key in tensors}
    weights = {own: tensors[key] for key, own in names.items() if own is not None}
    constants = (*(key for key, own in names.items() if own is None), *others)
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
    weights = next((content[key] for key in WEIGHT_KEYS if isinstance(content.get(key), Mapping)), content)
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()):
        return None
    return dict(weights)


def write_checkpoint(
    path: str | os.PathLike[str], weights: Mapping[str, Tensor], meta: Mapping[str, Any], key: str = "state_dict"
) -> None:
    """Write weights and plain ``meta``, whole or not at all.

    Args:
        path: The ending ``.safetensors`` chooses that format.
        weights: The tensors, under whatever names.
        meta: Dicts, lists, strings and numbers.
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
    """Write a temporary file, make sure that it is on the disk, and rename it, so that a kill leaves the old file whole."""
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
        raise DataError(f"{name}: not loaded, it is no whole safetensors file ({error})") from None


def _restore_integer_keys(dataset_meta: Any) -> None:
    """Keypoint ids are numbers again, which JSON turns to text as keys of a dict."""
    names = dataset_meta.get("keypoint_id2name") if isinstance(dataset_meta, dict) else None
    if isinstance(names, dict):
        dataset_meta["keypoint_id2name"] = {int(key): value for key, value in names.items()}


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise UsageError(
            f"{SAFETENSORS} files need the safetensors package: pip install 'yolox-pose[safetensors]'"
        ) from None
    return safetensors.torch
