"""Export to ONNX with ``torch.onnx.export(dynamo=True)``.

The exporter gives 467 nodes for nano at 416 px; the tracing exporter gives 782, with more shape arithmetic, constants and
identities, and equal outputs. A simplifier finds nothing to remove.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.export.nms_graph import append_nms, nms_graph, with_plugin
from yolox_pose.export.quiet import quiet
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.structures.constants import SIZE_DIVISOR

OPSET = 18
"""Newest opset that OpenCV, OpenVINO, onnxruntime and TensorRT of 2023 and later read, and the exporter's lowest."""

INPUT = "images"
_MAX_DIM = 1024
"""Largest batch size, and largest side in units of 32 px, of a graph with dynamic shapes."""


def write(network: RawGraph, description: ModelDescription, path: Path) -> None:
    """Write a network to an ONNX file and check the file.

    Args:
        network: Network with raw outputs for the layout ``raw``, else with decoded outputs.
        description: Layout, size, batch, precision and thresholds.
        path: Path of the ``.onnx`` file.
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
    """Write the variant of a model with NMS that uses TensorRT's plugin, as ``<name>-efficientnms.onnx`` beside it."""
    model = with_plugin(onnx.load(str(path)), description.postprocess)
    onnx.checker.check_model(model)
    onnx.save(model, str(path.with_stem(f"{path.stem}-efficientnms")))


def to_onnx(network: RawGraph, description: ModelDescription) -> onnx.ModelProto:
    """Export the graph of a network, without NMS."""
    height, width = description.size
    # The exporter treats a dimension of 1 as a constant
    example = torch.zeros(description.batch or 2, 3, height, width)
    with quiet("torch.onnx"):
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
    drop_debug_information(model)
    return model


def drop_debug_information(model: onnx.ModelProto) -> None:
    """Remove the stack traces that the exporter stores, in place: they name folders of the machine that exported.

    Args:
        model: Exported model.
    """
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        for part in (function, *function.node):
            del part.metadata_props[:]
            part.doc_string = ""


def store_half(graph: onnx.GraphProto) -> None:
    """Store the convolution weights that float16 holds exactly as float16, in place, with a Cast behind each.

    Runtimes run the casts when they load the file; arithmetic stays in float32. :func:`yolox_pose.export.graph.round_weights`
    decides which weights are rounded.
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
    """Return the dynamic axes of the input."""
    axes: dict[int, Any] = {}
    if description.batch is None:
        axes[0] = torch.export.Dim("batch", min=1, max=_MAX_DIM)
    if description.dynamic:
        for axis, name in ((2, "rows"), (3, "columns")):
            axes[axis] = SIZE_DIVISOR * torch.export.Dim(name, min=1, max=_MAX_DIM)
    return axes
