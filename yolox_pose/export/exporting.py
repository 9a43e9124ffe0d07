"""Export a model from a config and a checkpoint, and check it against PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError, UsageError, YOLOXPoseError
from yolox_pose.export import build_engine
from yolox_pose.export.check import check_export, check_pictures
from yolox_pose.export.graph import DecodedGraph, RawGraph
from yolox_pose.export.options import FORMATS, ExportOptions, check_options
from yolox_pose.geometry.letterbox import Preprocessing, fit_image
from yolox_pose.inference.exported.backends import choose_backend, open_backend
from yolox_pose.inference.exported.description import (
    FILE_NAME,
    ModelDescription,
    file_digest,
    write_description,
)
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.inference.torch_network import TorchNetwork
from yolox_pose.io.sources import list_sources
from yolox_pose.models.head import as_postprocess_settings
from yolox_pose.structures.constants import SIZE_DIVISOR
from yolox_pose.utils.text import counted
from yolox_pose.version import __version__

logger = logging.getLogger(__name__)

MAX_CALIBRATION = 300
"""Maximum number of images to measure activations on, NNCF's default."""

_VERSIONS = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf", "ncnn", "pnnx", "numpy")


class Exported(NamedTuple):
    """Result of :func:`export_model`.

    Attributes:
        model: File of the model.
        files: All files, with ``model.json``.
        description: Content of ``model.json``.
    """

    model: Path
    files: tuple[Path, ...]
    description: ModelDescription

    def report(self) -> str:
        """Describe the model, the result of the check and the files in a few lines."""
        check, description = self.description.check, self.description

        # Describe the model
        size = "x".join(map(str, description.size))
        sides = ", any multiple of 32" if description.dynamic else ""
        batch = "any" if description.batch is None else description.batch
        lines = [
            f"model:    {description.target}, {description.layout}, {description.precision}, {size} px (height x width)"
            f"{sides}, batch {batch}"
        ]

        # Describe the check
        if description.precision == "int8":
            lines.append(
                f"check:    {check['recovered']} of {check['high_score_detections']} high-score detections of torch recovered "
                f"on {counted(check['pictures'], 'images')}; measure AP before you rely on it"
            )
        else:
            lines.append(
                f"check:    {check['matched']} of {counted(check['detections'], 'detections')} of torch on "
                f"{counted(check['pictures'], 'images')}, at most {check['pixels']:.4f} px and {check['score']:.6f} of score apart"
            )
        return "\n".join([*lines, *(f"written:  {file}" for file in self.files)])


def export_model(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: ExportOptions,
    *,
    pictures: Any = None,
    overwrite: bool = False,
) -> Exported:
    """Export a model and compare its detections with those of the model in PyTorch.

    Files are written only if the detections agree.

    Args:
        config: File, or name of a config of this package.
        checkpoint: Weights of the config's model.
        out: Folder for the files.
        options: Format, layout, size and precision.
        pictures: Images for the comparison, in any form of :func:`yolox_pose.io.sources.list_sources`; None draws some.
        overwrite: Whether the files of an earlier export are replaced.

    Raises:
        UsageError: If options do not fit together, a file does not exist, or an earlier export exists.
        DataError: If the checkpoint does not fit the config, or the detections differ.
        MissingDependencyError: If the format needs a package that is not installed.
    """
    # Check the options, and read the images before the model
    options = check_options(options)
    folder, name = Path(out), FORMATS[options.format].file
    _check_folder(folder, name, overwrite)
    images = check_pictures() if pictures is None else [source.read() for source in list_sources(pictures)]
    calibration = None if options.calibration is None else list_sources(options.calibration)

    # Build the network with the outputs of the layout
    reference = TorchNetwork(config, checkpoint, "cpu")
    description = describe(reference, options)
    graph = _graph(reference.model, options)
    preprocessing = Preprocessing(description.size[::-1], description.centered, description.pad_value)

    # Write to a temporary folder, compare with torch, then move the files
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        path = Path(temporary) / name
        arguments = [] if calibration is None else [_inputs(calibration, preprocessing)]
        _write(options, graph, description, path, *arguments)
        files = sorted(file for file in Path(temporary).iterdir() if file.is_file())
        description = replace(description, files={file.name: file_digest(file) for file in files})
        metrics = check_export(reference, _load(path, description, options), preprocessing, images)
        description = replace(description, check=metrics)
        files.append(write_description(Path(temporary), description))
        if options.format == "tensorrt":
            files.append(Path(shutil.copy(str(build_engine.__file__), temporary)))
        written = tuple(file.replace(folder / file.name) for file in files)
    return Exported(folder / name, written, description)


def describe(reference: TorchNetwork, options: ExportOptions) -> ModelDescription:
    """Describe a model to be exported, as ``model.json`` does, without files and check.

    Raises:
        UsageError: If the input size is not a multiple of the network's largest stride.
    """
    model, preprocessing = reference.model, reference.preprocessing
    size = options.size or preprocessing.size[::-1]
    if any(side % SIZE_DIVISOR for side in size):
        raise UsageError(
            f"the config's input of {size[0]}x{size[1]} px (height x width) is not a multiple of {SIZE_DIVISOR}; pass --size H W"
        )
    head, settings = model.head, as_postprocess_settings(reference.test_cfg)
    if options.layout == "nms" and (settings.nms_type, settings.soft_nms) != ("box", "none"):
        raise UsageError(
            f"the graph can hold NMS by boxes only, not nms_type '{settings.nms_type}' with soft_nms "
            f"'{settings.soft_nms}' of the config; export it with --decode or --raw"
        )
    return ModelDescription(
        target="onnx" if options.format == "tensorrt" else options.format,
        layout=str(options.layout),
        size=size,
        outputs=_output_names(str(options.layout), bool(head.num_keypoints)),
        classes=reference.classes,
        batch=options.batch,
        dynamic=options.dynamic,
        precision=options.precision,
        strides=head.strides,
        centered=preprocessing.centered,
        pad_value=preprocessing.pad_value,
        keypoint_classes=head.keypoint_classes,
        skeleton=reference.skeleton,
        postprocess=settings._replace(classes=None),
        versions={"yolox_pose": __version__, **_versions()},
    )


def _output_names(layout: str, has_keypoints: bool) -> tuple[str, ...]:
    if layout == "raw":
        return ("classes", "objectness", "boxes", *(("keypoints", "visibility") if has_keypoints else ()))
    dense = ("boxes", "scores", *(("labels", "batch_index") if layout == "nms" else ()))
    return (*dense, *(("keypoints", "keypoint_scores") if has_keypoints else ()))


def _versions() -> dict[str, str]:
    """Return the versions of the installed packages that an export may use."""
    versions = {}
    for package in _VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _graph(model: Any, options: ExportOptions) -> RawGraph:
    """Build the network with the outputs of a layout."""
    kind = RawGraph if options.layout == "raw" else DecodedGraph
    return kind(model, half=options.half, focus=options.focus)


def _write(options: ExportOptions, graph: RawGraph, description: ModelDescription, path: Path, *arguments: Any) -> None:
    """Write the files of a format.

    Raises:
        YOLOXPoseError: If the converter fails, such as on an unknown operator; one line with its message.
    """
    module = importlib.import_module(f"yolox_pose.export.to_{description.target}")
    try:
        module.write(graph, description, path, *arguments)
        if options.format == "tensorrt" and description.layout == "nms":
            module.write_plugin_form(path, description)
    except YOLOXPoseError:
        raise
    except Exception as error:  # every converter has classes of its own
        line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise YOLOXPoseError(
            f"{options.format} cannot hold this model: {type(error).__name__}: {line.strip()}"
        ) from error


def _inputs(sources: Sequence[Any], preprocessing: Preprocessing) -> list[np.ndarray]:
    """Return network inputs, (3, H, W) float32, from evenly spaced calibration images; unreadable ones are skipped.

    Raises:
        DataError: If no image can be read.
    """
    inputs = []
    for source in sources[:: -(-len(sources) // MAX_CALIBRATION)]:
        try:
            picture = source.read()
        except DataError as error:
            logger.warning("skipped: %s", error)
            continue
        inputs.append(fit_image(picture, preprocessing).canvas.transpose(2, 0, 1).astype(np.float32))
    if not inputs:
        raise DataError(f"none of the {counted(len(sources), 'images')} to calibrate on could be read")
    return inputs


def _load(path: Path, description: ModelDescription, options: ExportOptions) -> ExportedNetwork:
    """Load the exported model as users run it."""
    if options.format == "torchscript":
        from yolox_pose.export.to_torchscript import TorchScriptBackend

        return ExportedNetwork(description, TorchScriptBackend(path, description))
    backend = open_backend(choose_backend(path), path, description, description.size)
    return ExportedNetwork(description, backend)


def _check_folder(folder: Path, name: str, overwrite: bool) -> None:
    """Refuse to replace an earlier export without ``overwrite``.

    Raises:
        UsageError: If the folder holds an export, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is not a folder")
    existing = [file for file in (folder / name, folder / FILE_NAME) if file.exists()]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]} exists already; choose another --out, or add --overwrite")
