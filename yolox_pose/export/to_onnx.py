"""ONNX by ``torch.onnx.export(dynamo=True)``.

For nano at 416 px it gives 467 nodes where the exporter by tracing gives 782 (shape arithmetic, constants and identities
make the difference), with equal outputs. Nothing is left for a simplifier to do.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.export.nms_graph import append_nms, nms_graph, with_plugin
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.structures.constants import SIZE_DIVISOR

OPSET = 18
"""Newest version that OpenCV, OpenVINO, onnxruntime and TensorRT of 2023 and later all read; the exporter's lowest."""

INPUT = "images"
_MOST = 1024
"""Largest batch, and largest side in units of 32 px, of a graph with dynamic shapes."""


def write(network: RawGraph, description: ModelDescription, path: Path) -> None:
    """Write a network to an ONNX file and check the file.

    Args:
        network: Raw or decoded, as the layout says (decoded for ``nms``).
        description: Size, batch, thresholds.
        path: ``.onnx``.
    """
    model = to_onnx(network, description)
    if description.precision == "fp16":
        store_half(model.graph)
    if description.layout == "nms":
        settings = description.postprocess
        tail = nms_graph(
            len(description.classes),
            description.num_keypoints,
            description.keypoint_classes,
            settings,
            opset=OPSET,
            ir_version=model.ir_version,
        )
        model = append_nms(model, tail)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def write_plugin_form(path: Path, description: ModelDescription) -> None:
    """Write beside a model that holds NMS the one that uses TensorRT's plugin, as ``<name>-efficientnms.onnx``."""
    model = with_plugin(onnx.load(str(path)), description.postprocess)
    onnx.checker.check_model(model)
    onnx.save(model, str(path.with_stem(f"{path.stem}-efficientnms")))


def to_onnx(network: RawGraph, description: ModelDescription) -> onnx.ModelProto:
    """The graph of a network, without NMS."""
    height, width = description.size
    # the exporter takes a dimension of 1 for a constant
    example = torch.zeros(description.batch or 2, 3, height, width)
    with _quiet():
        program: Any = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(network.output_names),
            opset_version=OPSET,
            dynamic_shapes={INPUT: _dynamic_axes(description)},
            external_data=False,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto
    return model


def store_half(graph: onnx.GraphProto) -> None:
    """Store as float16 the weights of convolutions that lose nothing by it, in place, with a Cast behind each.

    Runtimes carry out the casts when they load the file; arithmetic stays in float32. Which weights were rounded is decided
    in :func:`yolox_pose.export.graph.round_weights`.
    """
    convolved = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in convolved or not is_half(values):
            continue
        name, stored = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _dynamic_axes(description: ModelDescription) -> dict[int, Any]:
    """Axes of the input that may change."""
    axes: dict[int, Any] = {}
    if description.batch is None:
        axes[0] = torch.export.Dim("batch", min=1, max=_MOST)
    if description.dynamic:
        for axis, name in ((2, "rows"), (3, "columns")):
            axes[axis] = SIZE_DIVISOR * torch.export.Dim(name, min=1, max=_MOST)
    return axes


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and advice to its developers from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
