"""Weights of one layout to another, with a report of what was taken; ONNX files to weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from yolox_pose.checkpoints.averaging import average_weights, halve, move_toward, read_provenance
from yolox_pose.checkpoints.calibration import calibrate_norms, measure_norms
from yolox_pose.checkpoints.files import SAFETENSORS, Checkpoint, read_checkpoint, write_checkpoint
from yolox_pose.checkpoints.layouts import HEAD, LAYOUTS, OWN, Layout, from_own
from yolox_pose.checkpoints.matching import (
    SIZES_BY_STEM,
    WeightMatch,
    check_start,
    fit_table,
    match_weights,
    model_size,
)
from yolox_pose.checkpoints.model_info import find_classes, find_preprocessing
from yolox_pose.checkpoints.onnx_import import OnnxModel, graph_size, read_onnx, unfold
from yolox_pose.checkpoints.preprocessing import (
    adopt_normalization,
    describe_preprocessing,
    number_of_classes,
    stored_preprocessing,
)
from yolox_pose.config import load_config
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import Preprocessing, fit_image
from yolox_pose.io.sources import Source, list_sources
from yolox_pose.registry import MODELS, SCOPE
from yolox_pose.utils.progress import track
from yolox_pose.version import __version__
from yolox_pose.weights import find_weights

from mmengine.registry import init_default_scope  # isort: skip  (after the registry, which fills gaps of the stack)

logger = logging.getLogger(__name__)

SUFFIXES = (".pth", ".pt", SAFETENSORS)
ONNX = ".onnx"
DETECTOR = "yolox_{}_8xb8-300e_coco"
"""Config of the detector of a size."""
MEASURED_TOGETHER = 32
"""Images of a batch that norms are measured on."""


class Conversion(NamedTuple):
    """What :func:`convert` did.

    Attributes:
        source: The weights that were read.
        layout: What was written.
        fit: What was taken of them.
        own: What the table of ``fit`` counts as wanted.
        meta: What was written beside the weights.
        measured: Images that batch norms were measured on; None if they were not.
        moved: The detector that weights were moved toward, and how far; None if they were not.
    """

    source: Checkpoint
    layout: Layout
    fit: WeightMatch
    own: dict[str, Tensor]
    meta: dict[str, Any]
    measured: int | None = None
    moved: tuple[str, float] | None = None

    def report(self) -> str:
        """The conversion in a few lines."""
        meta, table = self.meta["dataset_meta"], fit_table(self.fit, self.own)
        lines = [f"{self.source.name}: {self.source.layout.title}, {describe_weights(self.source.weights)}", table]
        if self.measured is not None:
            lines.append(f"batch norms measured on {self.measured} images")
        files = len(self.meta["origin"]["files"]) - (self.moved is not None)
        if files > 1:
            lines.append(f"mean of {files} files")
        if self.moved is not None:
            lines.append(f"moved by {self.moved[1]:g} of the way to {self.moved[0]}")
        facts = [*preprocessing_in_words(meta.get("preprocessing") or {})]
        if "score_thr" in meta:
            facts.append(f"score threshold {meta['score_thr']}")
        if facts:
            lines.append(f"assumes: {', '.join(facts)}")
        return "\n".join(lines)


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    config: str | None = None,
    to: str = OWN.name,
    legacy: bool = False,
    images: str | os.PathLike[str] | None = None,
    average: Sequence[str | os.PathLike[str]] = (),
    toward: str | os.PathLike[str] | None = None,
    share: float | None = None,
    half: bool = False,
    notes: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write weights of any known layout in another one. Beside them goes where they come from: file names and digests, and
    what MMEngine noted of the training. Optimizer and training state stay behind.

    Args:
        source: ``.pth``, ``.safetensors``, or ``.onnx`` of a YOLOX detector.
        target: ``.pth``, ``.pt`` or ``.safetensors``.
        config: Only what fits this config's model is written, the class output in the order of its classes.
        to: A key of :data:`yolox_pose.checkpoints.layouts.LAYOUTS`.
        legacy: Whether these are Megvii's weights before version 0.1.1.
        images: Folder of images that batch-norm statistics are measured on: for ONNX, and for ``average`` and ``toward``, which
            need ``config`` then.
        average: Further checkpoints of the same model; the mean of all is written
            (:func:`yolox_pose.checkpoints.averaging.average_weights`).
        toward: The detector that the source was fine-tuned from; weights between theirs are written
            (:func:`yolox_pose.checkpoints.averaging.move_toward`).
        share: How far, from 0 to 1; None: half the way.
        half: Whether weights are written in float16 (:func:`yolox_pose.checkpoints.averaging.halve`).
        notes: What else is to be known of the weights, written beside them.
        overwrite: Whether an existing target is replaced.

    Raises:
        UsageError: If a file is missing, in the way, or an option does not go with the source.
        DataError: If the source cannot be used, or has no names in the layout.
    """
    source, *average = (find_weights(path) for path in (source, *average))
    toward = None if toward is None else find_weights(toward)
    if share is not None and toward is None:
        raise UsageError("--share says how far --toward goes: add --toward W")
    share = 0.5 if share is None else share
    _check_paths(source, Path(target), overwrite)
    from_onnx, measured = source.suffix == ONNX, None
    if from_onnx:
        checkpoint, measured = import_onnx(source, images, legacy=legacy)
    else:
        _check_calibration(images, config, mixed=bool(average) or toward is not None)
        checkpoint = read_checkpoint(source, legacy=legacy)
    checkpoint = _mix(checkpoint, average, toward, share, legacy)
    meta = dict(checkpoint.dataset_meta)
    if config is None:
        own = checkpoint.weights
        fit = WeightMatch(own, (), {}, checkpoint.constants)
    else:
        model, fit, meta["classes"] = _fit_config(checkpoint, config)
        own = model.state_dict()
        if images is not None and not from_onnx:
            model.load_state_dict(fit.weights, strict=False)
            preprocessing = find_preprocessing(model.cfg, meta)
            measured = _measure(measure_norms, model, list_sources(images), preprocessing, MEASURED_TOGETHER)
            fit = fit._replace(weights={key: model.state_dict()[key] for key in fit.weights})
    layout = choose_layout(to, fit.weights, str(source))
    written, own, fit = _name(own, fit, layout)
    files = [read_provenance(path) for path in (source, *average, *filter(None, [toward]))]
    content = {
        "dataset_meta": meta,
        "origin": {"layout": checkpoint.layout.name, "file": source.name, "files": files},
        "notes": dict(notes or {}),
        "yolox_pose": __version__,
    }
    if half:
        written = halve(written, str(source))
    write_checkpoint(target, written, content, layout.key)
    moved = None if toward is None else (toward.name, share)
    return Conversion(checkpoint, layout, fit, own, content, measured, moved)


def _name(
    own: dict[str, Tensor], fit: WeightMatch, layout: Layout
) -> tuple[dict[str, Tensor], dict[str, Tensor], WeightMatch]:
    """Weights under the names of a layout, and what was wanted and taken without what has no name there."""
    names = {key: from_own(key, layout) for key in fit.weights}
    unnamed = tuple(key for key, name in names.items() if name is None)
    written = {name: fit.weights[key] for key, name in names.items() if name is not None}
    own = {key: value for key, value in own.items() if key not in unnamed}
    kept = {key: value for key, value in fit.weights.items() if key not in unnamed}
    return written, own, fit._replace(weights=kept, unused=(*fit.unused, *unnamed))


def _check_paths(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target}: the name of weights ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if target.exists() and target.resolve() == source.resolve():
        raise UsageError(f"{target} is the source and is not written to; choose another name")
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists already; choose another name or add --overwrite")
    if not target.parent.is_dir():
        raise UsageError(f"folder {target.parent} does not exist")


def _mix(
    checkpoint: Checkpoint, average: Sequence[Path], toward: Path | None, share: float, legacy: bool
) -> Checkpoint:
    """The mean of checkpoints, moved toward a detector, both where they are asked for."""
    if average:
        others = [read_checkpoint(path, legacy=legacy) for path in average]
        checkpoint = checkpoint._replace(weights=average_weights([checkpoint, *others]))
    if toward is not None:
        if not 0 < share <= 1:
            raise UsageError(f"--share must be above 0 and at most 1, not {share:g}")
        detector = read_checkpoint(toward, legacy=legacy)
        checkpoint = checkpoint._replace(weights=move_toward(checkpoint, detector, share))
    return checkpoint


def _check_calibration(images: Any, config: str | None, mixed: bool) -> None:
    """Refuse to measure batch norms where there is no reason to, or no model to do it with."""
    if images is not None and not mixed:
        raise UsageError(
            "--calibrate measures the batch norms of an ONNX file, or of weights that --average or --toward mix; other "
            "files have their own statistics"
        )
    if images is not None and config is None:
        raise UsageError("--calibrate needs --config C: the model whose batch norms are measured")


def _fit_config(checkpoint: Checkpoint, name: str) -> tuple[Any, WeightMatch, list[str]]:
    """A config's model, what it takes of a checkpoint, and its classes."""
    config = load_config(name)
    if "model" not in config:
        raise UsageError(f"config {name} has no 'model'")
    adopt_normalization(config.model.setdefault("data_preprocessor", {}), stored_preprocessing(checkpoint.dataset_meta))
    init_default_scope(config.get("default_scope", SCOPE))
    model: Any = MODELS.build(config.model)
    model.cfg, model.dataset_meta = config, {}
    own, classes = model.state_dict(), find_classes(model)
    fit = match_weights(
        checkpoint.weights, own, source_classes=checkpoint.dataset_meta.get("classes"), target_classes=classes
    )
    check_start(fit, own, checkpoint.weights, checkpoint.name)
    return model, fit._replace(unused=(*fit.unused, *checkpoint.constants)), list(classes)


def choose_layout(name: str, weights: dict[str, Tensor], source: str) -> Layout:
    """The layout to write, where it has the network of these weights.

    Raises:
        DataError: If it has not.
    """
    darknet = model_size(weights) == "darknet53"
    if darknet and name == "megvii":
        return LAYOUTS["megvii-darknet53"]
    if darknet and name != OWN.name:
        raise DataError(f"{source}: {LAYOUTS[name].title} has no model with Darknet-53")
    if name == "mmyolo" and any(".blocks.0.conv2.depthwise_conv." in key for key in weights):
        raise DataError(f"{source}: MMYOLO's CSP blocks have no depthwise convolutions, its nano is another network")
    return LAYOUTS[name]


def describe_weights(weights: dict[str, Tensor]) -> str:
    """Size, classes and keypoints in words."""
    size, classes, points = model_size(weights), number_of_classes(weights), weights.get(f"{HEAD}out_kpt_vis.0.weight")
    words = [f"size {size}" if size else "a size of its own"]
    words.append("no classes" if classes is None else f"{classes} class{'es' if classes > 1 else ''}")
    words.append("no keypoints" if points is None else f"{len(points)} keypoints")
    return ", ".join(words)


def preprocessing_in_words(stored: dict[str, Any]) -> Iterator[str]:
    """What weights assume of their input, in words."""
    if "centered" in stored:
        yield f"padding {'centred' if stored['centered'] else 'right and bottom'}"
    if "channel_order" in stored:
        yield f"{stored['channel_order'].upper()}, 0 to 255"
    if stored.get("mean") is not None:
        yield f"minus {stored['mean']}, by {stored.get('std')}"


def import_onnx(
    path: str | os.PathLike[str], images: str | os.PathLike[str] | None = None, *, legacy: bool = False
) -> tuple[Checkpoint, int | None]:
    """Read the weights of a YOLOX detector from an ONNX file whose batch norms are folded.

    Args:
        path: The file.
        images: Folder of images on which batch-norm statistics are measured; None leaves some that no training can
            start from, with a warning.
        legacy: Whether it takes RGB images with ImageNet's normalisation.

    Returns:
        The weights, and the number of images.

    Raises:
        UsageError: If the onnx package or the folder is missing.
        DataError: If the file is of another network, or no image can be read.
    """
    name = os.fspath(path)
    sources = None if images is None else list_sources(images)
    graph = read_onnx(name)
    model = _detector(graph, name)
    weights = unfold(model.state_dict(), graph, name)
    layout = LAYOUTS["megvii"]._replace(title="an ONNX graph of YOLOX")
    meta = describe_preprocessing(layout, weights, {}, legacy)
    measured = None
    if sources is None:
        logger.warning("%s: without --calibrate DIR the weights can predict, but no training can start from them", name)
    else:
        model.load_state_dict(weights)
        stored = meta["preprocessing"]
        model.data_preprocessor.set_normalization(stored["channel_order"] == "rgb", stored["mean"], stored["std"])
        preprocessing = Preprocessing(graph.size, stored["centered"], stored["pad_value"])
        measured = _measure(calibrate_norms, model, sources, preprocessing)
        weights = dict(model.state_dict())
    return Checkpoint(name, weights, layout, meta), measured


def _detector(graph: OnnxModel, name: str) -> nn.Module:
    """The detector that an ONNX graph holds, in evaluation mode.

    Raises:
        DataError: If there is no such size.
    """
    channels, depthwise, classes = graph_size(graph)
    size = SIZES_BY_STEM.get(channels)
    if size is None or depthwise != (size == "nano") or classes is None:
        raise DataError(
            f"{name}: it is not the graph of a YOLOX detector of a published size (stem of {channels} channels, "
            f"{len(graph.convs)} convolutions)"
        )
    config = load_config(DETECTOR.format(size), {"model.head.num_classes": classes})
    init_default_scope(config.get("default_scope", SCOPE))
    return MODELS.build(config.model).eval()


def _measure(
    how: Callable[[nn.Module, Iterable[Tensor]], int],
    model: Any,
    sources: Sequence[Source],
    preprocessing: Preprocessing,
    together: int = 1,
) -> int:
    """Measure the norms of a model on images; those that cannot be read are skipped with a warning.

    Raises:
        DataError: If none can be read.
    """

    def canvases() -> Iterator[Tensor]:
        for source in track(sources, "calibrate"):
            try:
                img = source.read()
            except DataError as error:
                logger.warning("skipped: %s", error)
                continue
            canvas = fit_image(img, preprocessing).canvas
            yield torch.from_numpy(np.ascontiguousarray(canvas.transpose(2, 0, 1)))

    read = canvases()
    batches = iter(lambda: list(islice(read, together)), [])

    class Network(nn.Module):
        """Backbone, neck and head without the batch of samples that the estimator wants."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: Tensor) -> Any:
            return self.model.head(self.model.extract_feat(inputs))

    try:
        return how(Network(), (model.data_preprocessor({"inputs": batch})["inputs"] for batch in batches))
    except ValueError:
        raise DataError(f"none of the {len(sources)} images to calibrate on could be read") from None
