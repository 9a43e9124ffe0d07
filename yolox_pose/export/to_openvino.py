"""Export to OpenVINO's IR through the ONNX graph, with optional float16 or int8 weights."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as opset

from yolox_pose.export import to_onnx
from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.export.quiet import quiet
from yolox_pose.inference.exported.description import ModelDescription


def write(network: RawGraph, description: ModelDescription, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Write ``.xml`` and ``.bin``.

    Args:
        network: Network with raw or decoded outputs.
        description: Layout, size and precision.
        path: Path of the ``.xml`` file.
        calibration: Network inputs of shape (3, H, W), float32, for int8.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        to_onnx.write(network, description, graph)
        model = openvino.convert_model(str(graph))
        if description.precision == "int8":
            model = _quantize(model, description, calibration)
        if description.precision == "fp16":
            store_half(model)
        openvino.save_model(model, str(path), compress_to_fp16=False)


def store_half(model: Any) -> None:
    """Store the convolution weights that float16 holds exactly as float16, in place.

    OpenVINO's own ``compress_to_fp16`` rounds all weights.
    """
    for node in model.get_ops():
        if node.get_type_name() not in ("Convolution", "GroupConvolution"):
            continue
        weights = node.input_value(1)
        constant = weights.get_node()
        if constant.get_type_name() == "Constant" and is_half(constant.data):
            stored = opset.constant(constant.data.astype(np.float16))
            weights.replace(opset.convert(stored, "f32").output(0))


def _quantize(model: Any, description: ModelDescription, calibration: Sequence[np.ndarray]) -> Any:
    """Quantize weights and activations to int8, with activation ranges measured on images.

    The last layers of the head, decoding and NMS stay in float32: 8 bits cannot represent boxes to the pixel.
    """
    with quiet("nncf"):
        import nncf

        batch = description.batch or 1
        inputs = [
            np.stack([calibration[(i + j) % len(calibration)] for j in range(batch)]) for i in range(len(calibration))
        ]
        return nncf.quantize(
            model,
            nncf.Dataset(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(names=_last_convolutions(model), types=_GEOMETRY, validate=False),
        )


def _last_convolutions(model: Any) -> list[str]:
    """Return the names of the convolutions that reach an output without passing another convolution."""
    names: set[str] = set()
    visited, queue = set(), list(model.get_results())
    while queue:
        node = queue.pop()
        name = node.get_friendly_name()
        if name in visited:
            continue
        visited.add(name)
        if node.get_type_name() in ("Convolution", "GroupConvolution"):
            names.add(name)
        else:
            queue += [value.get_node() for value in node.input_values()]
    return sorted(names)


_GEOMETRY = ["Multiply", "Add", "Subtract", "Divide", "Exp", "Sigmoid", "Power"]
"""Operators of decoding that are not quantized."""
