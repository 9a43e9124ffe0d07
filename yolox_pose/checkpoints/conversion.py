"""Convert weights between layouts, with a report of the tensors that were matched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from yolox_pose.checkpoints.averaging import (
    ONNX_SUFFIX,
    average_weights,
    halve,
    interpolate_weights,
    read_provenance,
)
from yolox_pose.checkpoints.calibration import calibrate_on_images, measure_norms
from yolox_pose.checkpoints.files import SAFETENSORS, Checkpoint, read_checkpoint, write_checkpoint
from yolox_pose.checkpoints.layouts import HEAD, LAYOUTS, NATIVE, Layout, export_name
from yolox_pose.checkpoints.matching import WeightMatch, check_start, match_table, match_weights, model_size
from yolox_pose.checkpoints.model_info import find_classes, find_preprocessing
from yolox_pose.checkpoints.onnx_detector import import_onnx
from yolox_pose.checkpoints.preprocessing import adopt_normalization, number_of_classes, stored_preprocessing
from yolox_pose.config import load_config
from yolox_pose.errors import DataError, UsageError
from yolox_pose.io.sources import list_sources
from yolox_pose.registry import MODELS, SCOPE
from yolox_pose.utils.text import counted
from yolox_pose.version import __version__
from yolox_pose.weights import find_weights, resolve_checkpoint

from mmengine.registry import init_default_scope  # isort: skip  (after the registry, which fills gaps of the stack)

PathLike = str | os.PathLike[str]

SUFFIXES = (".pth", ".pt", SAFETENSORS)
DEFAULT_WEIGHT = 0.5
"""Weight of the other detector when weights are interpolated."""
CALIBRATION_BATCH = 32
"""Batch size for measuring the batch norms of averaged or interpolated weights."""


class Conversion(NamedTuple):
    """Result of :func:`convert`.

    Attributes:
        source: The weights that were read, averaged and interpolated.
        layout: The layout that was written.
        match: The tensors that were written, under the names of this package.
        model_state: The tensors that the report counts as wanted.
        meta: Entries written beside the weights.
        calibrated: Number of images that batch norms were measured on; None if they were not measured.
        interpolated: Name and weight of the other detector; None without interpolation.
    """

    source: Checkpoint
    layout: Layout
    match: WeightMatch
    model_state: Mapping[str, Tensor]
    meta: dict[str, Any]
    calibrated: int | None = None
    interpolated: tuple[str, float] | None = None

    def report(self) -> str:
        """Describe the conversion in a few lines."""
        dataset_meta = self.meta["dataset_meta"]
        lines = [
            f"{self.source.name}: {self.source.layout.title}, {describe_weights(self.source.weights)}",
            match_table(self.match, self.model_state),
        ]
        if self.calibrated is not None:
            lines.append(f"batch norms measured on {counted(self.calibrated, 'images')}")
        averaged = len(self.meta["origin"]["files"]) - (self.interpolated is not None)
        if averaged > 1:
            lines.append(f"mean of {averaged} files")
        if self.interpolated is not None:
            lines.append(f"interpolated with {self.interpolated[0]}, weight {self.interpolated[1]:g}")
        facts = [*preprocessing_in_words(dataset_meta.get("preprocessing") or {})]
        if "score_thr" in dataset_meta:
            facts.append(f"score threshold {dataset_meta['score_thr']}")
        if facts:
            lines.append(f"assumes: {', '.join(facts)}")
        return "\n".join(lines)


def convert(
    source: PathLike,
    target: PathLike,
    *,
    config: str | None = None,
    to: str = NATIVE.name,
    legacy: bool = False,
    images: PathLike | None = None,
    average: Sequence[PathLike] = (),
    interpolate: PathLike | None = None,
    weight: float | None = None,
    half: bool = False,
    notes: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write weights of any known layout in another layout, with their provenance: file names, digests and training notes.

    Optimizer and training state are left out.

    Args:
        source: ``.pth`` or ``.safetensors`` file, or ``.onnx`` file of a YOLOX detector.
        target: ``.pth``, ``.pt`` or ``.safetensors`` file to write.
        config: Config whose model selects the tensors; rows of the class output follow its classes.
        to: A key of :data:`yolox_pose.checkpoints.layouts.LAYOUTS`.
        legacy: Whether these are Megvii's weights before version 0.1.1.
        images: Folder of images to measure batch-norm statistics on. It applies to ONNX files, and with ``config`` to
            ``average`` and ``interpolate``.
        average: Further checkpoints of the same model to average with the source
            (:func:`yolox_pose.checkpoints.averaging.average_weights`).
        interpolate: Detector that the source was fine-tuned from, to interpolate with
            (:func:`yolox_pose.checkpoints.averaging.interpolate_weights`).
        weight: Weight of that detector from 0 to 1; None means :data:`DEFAULT_WEIGHT`.
        half: Whether weights are written in float16 (:func:`yolox_pose.checkpoints.averaging.halve`).
        notes: Further entries about the weights to store in the file.
        overwrite: Whether an existing target is replaced.

    Raises:
        UsageError: If a file does not exist, the target exists, or options do not fit together.
        DataError: If the source cannot be used, or the layout cannot hold it.
    """
    # Check files and options
    (source, implied_config, _), target = resolve_checkpoint(source), Path(target)
    others = [find_weights(path) for path in average]
    detector = None if interpolate is None else find_weights(interpolate)
    weight = _check_weight(weight, detector)
    is_onnx = source.suffix == ONNX_SUFFIX
    _check_paths(source, target, overwrite)
    if images is not None and not is_onnx:
        _check_calibration(config, combined=bool(others) or detector is not None)

    # Read the source and combine it with the other weights
    if is_onnx:
        checkpoint, calibrated = import_onnx(source, images, legacy=legacy)
    else:
        checkpoint, calibrated = read_checkpoint(source, legacy=legacy), None
    checkpoint = _combine(checkpoint, others, detector, weight, legacy)

    # Select the tensors of the config's model
    dataset_meta, model_state = dict(checkpoint.dataset_meta), checkpoint.weights
    match = WeightMatch(model_state, (), {}, checkpoint.constants)
    config_text = load_config(implied_config).pretty_text if implied_config else checkpoint.config
    if config is not None:
        model, match, dataset_meta["classes"] = _match_config(checkpoint, config)
        if images is not None and not is_onnx:
            match, calibrated = _calibrate(model, match, dataset_meta, images)
        model_state = model.state_dict()
        config_text = "" if match.missing or match.misshapen else model.cfg.pretty_text

    # Rename the tensors and write them
    layout = choose_layout(to, match.weights, str(source))
    weights, unnamed = _rename(match.weights, layout)
    model_state = {key: value for key, value in model_state.items() if key not in unnamed}
    matched = {key: value for key, value in match.weights.items() if key not in unnamed}
    match = match._replace(weights=matched, unused=(*match.unused, *unnamed))
    files = [read_provenance(path) for path in (source, *others, *filter(None, [detector]))]
    meta = {
        "dataset_meta": dataset_meta,
        "origin": {"layout": checkpoint.layout.name, "file": source.name, "files": files},
        "notes": dict(notes or {}),
        "yolox_pose": __version__,
    }
    if config_text and layout is NATIVE:
        meta["cfg"] = config_text  # The file is a model on its own
    write_checkpoint(target, halve(weights, str(source)) if half else weights, meta, layout.key)
    interpolated = None if detector is None else (detector.name, weight)
    return Conversion(checkpoint, layout, match, model_state, meta, calibrated, interpolated)


def _check_weight(weight: float | None, detector: Path | None) -> float:
    """Return the weight of the interpolation.

    Raises:
        UsageError: If it is outside of (0, 1], or there is no detector to interpolate with.
    """
    if weight is not None and detector is None:
        raise UsageError("--weight is the weight of --interpolate: add --interpolate W")
    if weight is not None and not 0 < weight <= 1:
        raise UsageError(f"--weight must be above 0 and at most 1, not {weight:g}")
    return DEFAULT_WEIGHT if weight is None else weight


def _check_paths(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target}: the name of weights must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if target.exists() and target.resolve() == source.resolve():
        raise UsageError(f"{target} is the source and is not written to; choose another name")
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists already; choose another name or add --overwrite")
    if not target.parent.is_dir():
        raise UsageError(f"folder {target.parent} does not exist")


def _check_calibration(config: str | None, combined: bool) -> None:
    """Refuse to measure batch norms without need, or without a model."""
    if not combined:
        raise UsageError(
            "--calibrate measures the batch norms of an ONNX file, or of averaged or interpolated weights; other files have "
            "their own statistics"
        )
    if config is None:
        raise UsageError("--calibrate needs --config C: the model whose batch norms are measured")


def _combine(
    checkpoint: Checkpoint, others: Sequence[Path], detector: Path | None, weight: float, legacy: bool
) -> Checkpoint:
    """Average a checkpoint with others, then interpolate it with a detector, both where requested."""
    if others:
        checkpoints = [checkpoint, *(read_checkpoint(path, legacy=legacy) for path in others)]
        checkpoint = checkpoint._replace(weights=average_weights(checkpoints))
    if detector is not None:
        weights = interpolate_weights(checkpoint, read_checkpoint(detector, legacy=legacy), weight)
        checkpoint = checkpoint._replace(weights=weights)
    return checkpoint


def _match_config(checkpoint: Checkpoint, name: str) -> tuple[Any, WeightMatch, list[str]]:
    """Return a config's model, its match with a checkpoint, and its classes."""
    config = load_config(name)
    if "model" not in config:
        raise UsageError(f"config {name} has no 'model'")
    adopt_normalization(config.model.setdefault("data_preprocessor", {}), stored_preprocessing(checkpoint.dataset_meta))
    init_default_scope(config.get("default_scope", SCOPE))
    model: Any = MODELS.build(config.model)
    model.cfg, model.dataset_meta = config, {}
    model_state, classes = model.state_dict(), find_classes(model)
    match = match_weights(
        checkpoint.weights,
        model_state,
        source_classes=checkpoint.dataset_meta.get("classes"),
        target_classes=classes,
    )
    check_start(match, model_state, checkpoint.weights, checkpoint.name)
    return model, match._replace(unused=(*match.unused, *checkpoint.constants)), list(classes)


def _calibrate(
    model: Any, match: WeightMatch, dataset_meta: Mapping[str, Any], images: PathLike
) -> tuple[WeightMatch, int]:
    """Measure the batch norms of matched weights on images; return the new weights and the number of images."""
    model.load_state_dict(match.weights, strict=False)
    preprocessing = find_preprocessing(model.cfg, dataset_meta)
    count = calibrate_on_images(measure_norms, model, list_sources(images), preprocessing, CALIBRATION_BATCH)
    model_state = model.state_dict()
    return match._replace(weights={key: model_state[key] for key in match.weights}), count


def _rename(weights: Mapping[str, Tensor], layout: Layout) -> tuple[dict[str, Tensor], list[str]]:
    """Return weights under the names of a layout, and the keys that have no name there."""
    names = {key: export_name(key, layout) for key in weights}
    renamed = {name: weights[key] for key, name in names.items() if name is not None}
    return renamed, [key for key, name in names.items() if name is None]


def choose_layout(name: str, weights: Mapping[str, Tensor], source: str) -> Layout:
    """Return the layout to write.

    Raises:
        DataError: If the layout cannot hold these weights.
    """
    darknet = model_size(weights) == "darknet53"
    if darknet and name == "megvii":
        return LAYOUTS["megvii-darknet53"]
    if darknet and name != NATIVE.name:
        raise DataError(f"{source}: {LAYOUTS[name].title} has no model with Darknet-53")
    if name == "mmyolo" and any(".blocks.0.conv2.depthwise_conv." in key for key in weights):
        raise DataError(f"{source}: MMYOLO's CSP blocks have no depthwise convolutions, its nano is another network")
    return LAYOUTS[name]


def describe_weights(weights: Mapping[str, Tensor]) -> str:
    """Describe model size, classes and keypoints in words."""
    size, classes, points = model_size(weights), number_of_classes(weights), weights.get(f"{HEAD}out_kpt_vis.0.weight")
    words = [f"size {size}" if size else "unknown size"]
    words.append("no classes" if classes is None else f"{classes} class{'es' if classes > 1 else ''}")
    words.append("no keypoints" if points is None else f"{len(points)} keypoints")
    return ", ".join(words)


def preprocessing_in_words(stored: Mapping[str, Any]) -> Iterator[str]:
    """Yield the preprocessing that weights assume, in words."""
    if "centered" in stored:
        yield f"padding {'centered' if stored['centered'] else 'right and bottom'}"
    if "channel_order" in stored:
        yield f"{stored['channel_order'].upper()}, 0 to 255"
    if stored.get("mean") is not None:
        yield f"minus {stored['mean']}, by {stored.get('std')}"
