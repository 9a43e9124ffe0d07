"""Combine weights: the mean of checkpoints, interpolation between two models, half precision, and their provenance."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from yolox_pose.checkpoints.files import Checkpoint, read_content
from yolox_pose.checkpoints.matching import check_start, match_weights
from yolox_pose.checkpoints.preprocessing import plain
from yolox_pose.errors import DataError

HISTORY = ("epoch", "iter", "seed", "experiment_name", "time", "mmengine_version")
"""Entries of MMEngine's ``meta`` that are kept. The config is dropped: it contains paths of the machine."""
ONNX_SUFFIX = ".onnx"
NORMALIZATION = ("channel_order", "mean", "std")
"""Entries of the preprocessing that must agree before weights are interpolated."""


def average_weights(checkpoints: Sequence[Checkpoint]) -> dict[str, Tensor]:
    """Compute the mean of each tensor over checkpoints of one model, in float64; counters are those of the first.

    Raises:
        DataError: If the checkpoints differ in names, shapes, classes or preprocessing.
    """
    first = checkpoints[0]
    shapes = {key: value.shape for key, value in first.weights.items()}
    for other in checkpoints[1:]:
        if {key: value.shape for key, value in other.weights.items()} != shapes:
            raise DataError(
                f"{other.name} holds another model than {first.name}; only weights of one model can be averaged"
            )
        for key in ("classes", "preprocessing"):
            if other.dataset_meta.get(key) != first.dataset_meta.get(key):
                raise DataError(f"{other.name} and {first.name} differ in '{key}' and cannot be averaged")
    return {
        key: torch.stack([checkpoint.weights[key].double() for checkpoint in checkpoints]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in first.weights.items()
    }


def interpolate_weights(checkpoint: Checkpoint, detector: Checkpoint, weight: float) -> dict[str, Tensor]:
    """Interpolate linearly between a fine-tuned model and the detector that it was fine-tuned from.

    A model that is fine-tuned on few images improves on similar images and loses accuracy on others. Interpolated weights
    are nearly as good on the former and better on the latter (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR
    2022). Tensors that the detector lacks, such as the keypoint branch, stay the model's. Batch-norm statistics are
    interpolated like weights; :func:`yolox_pose.checkpoints.calibration.measure_norms` computes the exact ones.

    Args:
        checkpoint: Checkpoint of the fine-tuned model.
        detector: Checkpoint of the detector; rows of its class output are matched by class name.
        weight: Weight of the detector from 0 to 1: 0 gives the model, 1 the detector with the model's keypoint branch.

    Raises:
        DataError: If the detector does not fit the model, or expects images that are normalized differently.
    """
    model_state = {
        key: value.float() if value.is_floating_point() else value for key, value in checkpoint.weights.items()
    }

    # Match the detector's tensors to the model's
    match = match_weights(
        detector.weights,
        model_state,
        source_classes=detector.dataset_meta.get("classes"),
        target_classes=checkpoint.dataset_meta.get("classes"),
    )
    check_start(match, model_state, detector.weights, detector.name)

    # Compare the preprocessing where both files state it
    first, second = (file.dataset_meta.get("preprocessing") or {} for file in (detector, checkpoint))
    if any(first[key] != second[key] for key in NORMALIZATION if key in first and key in second):
        raise DataError(f"{detector.name} and {checkpoint.name} expect images that are normalized differently")

    return {
        key: value.lerp(match.weights[key].float(), weight)
        if key in match.weights and value.is_floating_point()
        else value
        for key, value in model_state.items()
    }


def halve(weights: Mapping[str, Tensor], name: str = "weights") -> dict[str, Tensor]:
    """Convert weights to float16, which takes half the space; a float32 model loads them as they are.

    Tensors with one dimension (biases, batch norms with their statistics) stay float32: they are few, and small or large
    variances do not fit into float16.

    Args:
        weights: Tensors by name.
        name: Name of the file, for messages.

    Raises:
        DataError: If a weight exceeds the range of float16.
    """
    result = {}
    for key, value in weights.items():
        if value.is_floating_point() and value.dim() > 1:
            half = value.half()
            if not half.isfinite().all():
                raise DataError(f"{name}: '{key}' holds {value.abs().max():.3g}, more than float16 can hold (65504)")
            value = half
        result[key] = value
    return result


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return name and SHA-256 digest of a file of weights, and the entries about its training."""
    file = Path(path)
    provenance: dict[str, Any] = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    if file.suffix == ONNX_SUFFIX:
        return provenance
    content = read_content(os.fspath(path))
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if isinstance(meta, Mapping):
        provenance |= {key: plain(meta[key]) for key in HISTORY if key in meta}
        provenance |= {key: plain(meta[key]) for key in ("notes", "origin") if meta.get(key)}
    return provenance
