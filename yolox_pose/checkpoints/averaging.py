"""One small file out of several: the mean of a training's checkpoints, weights between those of a fine-tuned model and those of
the detector that it comes from, in half precision, with where they come from.
"""

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
"""What is kept of the ``meta`` that MMEngine writes. Not the config: it holds paths of the machine."""
ONNX_SUFFIX = ".onnx"
NORMALIZATION = ("channel_order", "mean", "std")
"""What models have to have in common of their preprocessing for weights between theirs to mean anything."""


def average_weights(checkpoints: Sequence[Checkpoint]) -> dict[str, Tensor]:
    """Mean of each tensor over checkpoints of one model, summed in float64; counters are those of the first.

    Raises:
        DataError: If they are not of one model: other names, shapes, classes or preprocessing.
    """
    first = checkpoints[0]
    shapes = {key: value.shape for key, value in first.weights.items()}
    for other in checkpoints[1:]:
        if {key: value.shape for key, value in other.weights.items()} != shapes:
            raise DataError(f"{other.name} is of another model than {first.name}, there is no mean of them")
        for key in ("classes", "preprocessing"):
            if other.dataset_meta.get(key) != first.dataset_meta.get(key):
                raise DataError(f"{other.name} and {first.name} differ in '{key}', there is no mean of them")
    return {
        key: torch.stack([one.weights[key].double() for one in checkpoints]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for key, value in first.weights.items()
    }


def move_toward(checkpoint: Checkpoint, detector: Checkpoint, share: float) -> dict[str, Tensor]:
    """Weights on the straight line from a model to the detector that it was fine-tuned from.

    A model that was fine-tuned on few images is good at such images and has got worse at others; in between there are models
    that are nearly as good at the ones and better at the others (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR
    2022). What the detector does not have, the keypoint branch above all, stays the model's. Statistics of batch norms are
    mixed like weights, which is not what the mixed network would measure: :func:`yolox_pose.checkpoints.calibration.measure_norms`.

    Args:
        checkpoint: Of the fine-tuned model.
        detector: Of the detector; rows of its class output are found by name.
        share: 0 is the model, 1 the detector with the model's keypoint branch.

    Raises:
        DataError: If the detector does not fit the model, or takes images that are normalised otherwise.
    """
    names = detector.dataset_meta.get("classes"), checkpoint.dataset_meta.get("classes")
    own = {key: value.float() if value.is_floating_point() else value for key, value in checkpoint.weights.items()}
    fit = match_weights(detector.weights, own, source_classes=names[0], target_classes=names[1])
    check_start(fit, own, detector.weights, detector.name)
    wants, has = (one.dataset_meta.get("preprocessing") or {} for one in (detector, checkpoint))
    if any(wants[key] != has[key] for key in NORMALIZATION if key in wants and key in has):
        raise DataError(f"{detector.name} and {checkpoint.name} want their images normalised differently")
    return {
        key: value.lerp(fit.weights[key].float(), share) if key in fit.weights and value.is_floating_point() else value
        for key, value in own.items()
    }


def halve(weights: Mapping[str, Tensor], name: str = "weights") -> dict[str, Tensor]:
    """Weights in float16, which take up half the space; a float32 model loads them exactly as they are here.

    Tensors of one dimension (norms with their statistics, biases) stay float32: they are few, and variances near 0 or
    large ones would leave float16's range.

    Args:
        weights: Tensors by name.
        name: Where they come from, for messages.

    Raises:
        DataError: If a weight is beyond float16's range.
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
    """Name and SHA-256 of a file of weights, and what it says of the training that it comes from."""
    file = Path(path)
    history: dict[str, Any] = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    if file.suffix == ONNX_SUFFIX:
        return history
    content = read_content(os.fspath(path))
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if isinstance(meta, Mapping):
        history |= {key: plain(meta[key]) for key in HISTORY if key in meta}
        history |= {key: plain(meta[key]) for key in ("notes", "origin") if meta.get(key)}
    return history
