"""OpenVINO's IR from the ONNX graph, with float16 or int8 weights where asked for."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as opset

from yolox_pose.export import to_onnx
from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.inference.exported.description import ModelDescription


def write(network: RawGraph, description: ModelDescription, path: Path, calibration: Sequence[np.ndarray] = ()) -> None:
    """Write ``.xml`` and ``.bin``.

    Args:
        network: Raw or decoded.
        description: Layout, size and precision.
        path: ``.xml``.
        calibration: For int8: (3, H, W) float32 inputs.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        to_onnx.write(network, description, graph)
        model = openvino.convert_model(str(graph))
        if description.precision == "int8":
            model = _quantized(model, description, calibration)
        if description.precision == "fp16":
            _store_half(model)
        openvino.save_model(model, str(path), compress_to_fp16=False)


def _store_half(model: Any) -> None:
    """Store weights of convolutions that lose nothing by it as float16, in place.

    OpenVINO's own ``compress_to_fp16`` would round all of them.
    """
    for node in model.get_ops():
        if node.get_type_name() not in ("Convolution", "GroupConvolution"):
            continue
        weights = node.input_value(1)
        constant = weights.get_node()
        if constant.get_type_name() == "Constant" and is_half(constant.data):
            stored = opset.constant(constant.data.astype(np.float16))
            weights.replace(opset.convert(stored, "f32").output(0))


def _quantized(model: Any, description: ModelDescription, calibration: Sequence[np.ndarray]) -> Any:
    """Weights and activations in int8, the ranges of activations measured on images.

    The last layers of the head, and what follows them (decoding, NMS), stay in float32: boxes to the pixel are beyond 8 bits.
    """
    with _quiet():
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
    """Names of the convolutions from which there is a way to an output without another."""
    names: set[str] = set()
    seen, waiting = set(), list(model.get_results())
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if node.get_type_name() in ("Convolution", "GroupConvolution"):
            names.add(name)
        else:
            waiting += [value.get_node() for value in node.input_values()]
    return sorted(names)


_GEOMETRY = ["Multiply", "Add", "Subtract", "Divide", "Exp", "Sigmoid", "Power"]
"""Operators of decoding that would otherwise be quantized."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep NNCF's progress bars and log from the user."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
