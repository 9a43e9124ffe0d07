"""Read the weights of a YOLOX detector from an ONNX file whose batch norms were folded into the convolutions.

An ONNX file names its weights by numbers. The graph identifies them instead: a convolution is identified by its shape and by
the convolutions that feed it. This module needs only the ``onnx`` package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from yolox_pose.checkpoints.layouts import HEAD
from yolox_pose.errors import DataError, UsageError

IMAGE = "image"
"""Source of the first convolution."""
_LEVELS = 3


class FoldedConv(NamedTuple):
    """Convolution of an ONNX graph.

    Attributes:
        weight: Weight of shape (out, in / groups, kh, kw).
        bias: Bias of shape (out,).
        sources: Output names of the convolutions that feed it directly, or :data:`IMAGE`.
    """

    weight: np.ndarray
    bias: np.ndarray
    sources: frozenset[str]


class OnnxModel(NamedTuple):
    """Content of an ONNX file.

    Attributes:
        convs: Convolutions by the names of their outputs, in graph order.
        size: (W, H) of the input in pixels.
    """

    convs: dict[str, FoldedConv]
    size: tuple[int, int]


def read_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Read the convolutions of an ONNX file.

    Raises:
        UsageError: If the onnx package is missing.
        DataError: If the file is not ONNX, or a convolution has no bias (batch norms are not folded).
    """
    name = os.fspath(path)
    try:
        import onnx
        from onnx.numpy_helper import to_array
    except ImportError:
        raise UsageError("reading ONNX files needs the onnx package: pip install onnx") from None
    try:
        graph = onnx.load(name).graph
        values = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf raises its own kinds
        raise DataError(f"{name}: not loaded, it is not a complete ONNX file ({str(error).splitlines()[0]})") from None
    values |= {node.output[0]: to_array(node.attribute[0].t) for node in graph.node if node.op_type == "Constant"}
    convs = _collect_convs(graph.node, values, graph.input, name)
    shape = next((i.type.tensor_type.shape.dim for i in graph.input if i.name not in values), ())
    height, width = (int(side.dim_value) or 640 for side in shape[-2:]) if len(shape) == 4 else (640, 640)
    return OnnxModel(convs, (width, height))


def _collect_convs(
    nodes: Iterable[Any], values: Mapping[str, np.ndarray], inputs: Iterable[Any], name: str
) -> dict[str, FoldedConv]:
    """Collect the convolutions in graph order, with the convolutions that each tensor comes from directly."""
    convs: dict[str, FoldedConv] = {}
    origins = {value.name: frozenset({IMAGE}) for value in inputs if value.name not in values}
    for node in nodes:
        feeding = frozenset().union(*(origins.get(source, frozenset()) for source in node.input))
        if node.op_type == "Conv":
            weight, bias = (values.get(source) for source in (*node.input[1:], "")[:2])
            if weight is None or bias is None:
                raise DataError(
                    f"{name}: convolution {node.output[0]} has no constant weight and bias; fold the batch norms first"
                )
            convs[node.output[0]] = FoldedConv(weight, bias, feeding)
            feeding = frozenset({node.output[0]})
        origins |= dict.fromkeys(node.output, feeding)
    return convs


def expected_convs(keys: Iterable[str], levels: int = _LEVELS) -> dict[str, frozenset[str]]:
    """Return the convolutions of a YOLOX detector with the PAFPN neck, each with its sources.

    Args:
        keys: Names of the model's tensors, which give depth and depthwise convolutions.
        levels: Number of feature maps.

    Returns:
        Name of each convolution to the names of its sources, in order of execution.
    """
    graph = _Graph(keys)
    path = graph.conv("backbone.stem.conv", frozenset({IMAGE}))
    maps = []
    for stage in range(1, 5):
        name = f"backbone.stage{stage}"
        path = graph.conv(f"{name}.0", path)
        if stage == 4:
            path = graph.conv(f"{name}.1.conv2", graph.conv(f"{name}.1.conv1", path))
        path = graph.csp(f"{name}.{2 if stage == 4 else 1}", path, shortcut=stage < 4)
        maps.append(path)
    maps = maps[-levels:]
    reduced, inner = [], maps[-1]
    for index in range(levels - 1):
        reduced.append(graph.conv(f"neck.reduce_layers.{index}", inner))
        inner = graph.csp(f"neck.top_down_blocks.{index}", reduced[-1] | maps[-2 - index])
    outs = [inner]
    for index in range(levels - 1):
        down = graph.conv(f"neck.downsamples.{index}", outs[-1])
        outs.append(graph.csp(f"neck.bottom_up_blocks.{index}", down | reduced[-1 - index]))
    for level, out in enumerate(outs):
        graph.head(level, graph.conv(f"neck.out_convs.{level}", out))
    return graph.convs


class _Graph:
    """Collector of convolutions. Every method returns the sources of its block's output."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = set(keys)
        self.convs: dict[str, frozenset[str]] = {}

    def conv(self, name: str, sources: frozenset[str]) -> frozenset[str]:
        """Add a convolution, or a depthwise and a pointwise one."""
        if f"{name}.depthwise_conv.conv.weight" in self.keys:
            return self.conv(f"{name}.pointwise_conv", self.conv(f"{name}.depthwise_conv", sources))
        self.convs[name] = sources
        return frozenset({name})

    def csp(self, name: str, sources: frozenset[str], shortcut: bool = False) -> frozenset[str]:
        """Add a CSP block with all bottlenecks of the model."""
        main = self.conv(f"{name}.main_conv", sources)
        short = self.conv(f"{name}.short_conv", sources)
        index = 0
        while any(key.startswith(f"{name}.blocks.{index}.") for key in self.keys):
            block = f"{name}.blocks.{index}"
            out = self.conv(f"{block}.conv2", self.conv(f"{block}.conv1", main))
            main, index = (out | main if shortcut else out), index + 1
        return self.conv(f"{name}.final_conv", main | short)

    def head(self, level: int, sources: frozenset[str]) -> None:
        """Add the class and box branches of a level."""
        for branch, outputs in (("conv_cls", ("out_cls",)), ("conv_reg", ("out_bbox", "out_obj"))):
            path, index = sources, 0
            while any(key.startswith(f"{HEAD}{branch}.{level}.{index}.") for key in self.keys):
                path, index = self.conv(f"{HEAD}{branch}.{level}.{index}", path), index + 1
            for output in outputs:
                self.conv(f"{HEAD}{output}.{level}", path)


def match_convs(
    expected: Mapping[str, frozenset[str]], shapes: Mapping[str, Sequence[int]], convs: Mapping[str, FoldedConv]
) -> dict[str, str] | None:
    """Find the graph's convolution for each convolution of a model by depth-first search.

    Args:
        expected: Sources of the model's convolutions, from :func:`expected_convs`.
        shapes: Shapes of their weights.
        convs: Convolutions of the graph, from :func:`read_onnx`.

    Returns:
        Name in the model to output name in the graph; None if the graph holds another network.
    """
    if len(expected) != len(convs):
        return None
    names, chosen = list(expected), {IMAGE: IMAGE}
    candidates: list[list[str]] = []
    while len(candidates) < len(names):
        # Collect the unused convolutions with the same sources and shape
        name = names[len(candidates)]
        sources = frozenset(chosen[source] for source in expected[name])
        used = set(chosen.values())
        candidates.append(
            [
                output
                for output, conv in reversed(list(convs.items()))
                if conv.sources == sources and conv.weight.shape == tuple(shapes[name]) and output not in used
            ]
        )

        # Go back to the last choice without candidates left: of two equal convolutions the wrong one was chosen
        while not candidates[-1]:
            candidates.pop()
            if not candidates:
                return None
            del chosen[names[len(candidates) - 1]]
        chosen[names[len(candidates) - 1]] = candidates[-1].pop()
    del chosen[IMAGE]
    return chosen


def unfold(model_state: Mapping[str, Tensor], graph: OnnxModel, name: str, eps: float = 1e-3) -> dict[str, Tensor]:
    """Return the weights of a detector that computes the same as a graph.

    Folded biases become the biases of batch norms that only add them: mean 0, variance 1 - eps, weight 1. Their statistics
    do not come from data; :func:`yolox_pose.checkpoints.calibration.calibrate_norms` measures them.

    Args:
        model_state: Tensors of a detector of the same size.
        graph: Graph from :func:`read_onnx`.
        name: Name of the file, for messages.
        eps: Epsilon of the batch norms.

    Raises:
        DataError: If the graph holds another network.
    """
    expected = expected_convs(model_state)
    shapes = {conv: model_state[_weight_key(conv, model_state)].shape for conv in expected}
    matched = match_convs(expected, shapes, graph.convs)
    if matched is None:
        raise DataError(
            f"{name}: its {len(graph.convs)} convolutions are not those of a YOLOX detector of this size ({len(expected)})"
        )
    weights = {key: value.clone() for key, value in model_state.items()}
    for conv, output in matched.items():
        key, folded = _weight_key(conv, model_state), graph.convs[output]
        weights[key] = torch.from_numpy(folded.weight.copy())
        bias = torch.from_numpy(folded.bias.copy())
        if f"{conv}.bn.bias" not in model_state:
            weights[f"{conv}.bias"] = bias
            continue
        weights[f"{conv}.bn.weight"], weights[f"{conv}.bn.bias"] = torch.ones_like(bias), bias
        weights[f"{conv}.bn.running_mean"] = torch.zeros_like(bias)
        weights[f"{conv}.bn.running_var"] = torch.full_like(bias, 1 - eps)
    return weights


def _weight_key(conv: str, model_state: Mapping[str, Tensor]) -> str:
    key = f"{conv}.conv.weight"
    return key if key in model_state else f"{conv}.weight"


def graph_size(graph: OnnxModel) -> tuple[int, bool, int | None]:
    """Return the channels of the stem, whether the graph has depthwise convolutions, and the number of classes."""
    convs = list(graph.convs.values())
    depthwise = any(conv.weight.shape[1] == 1 and conv.weight.shape[2] == 3 for conv in convs)
    used = frozenset().union(*(conv.sources for conv in convs))
    outputs = sorted((conv.weight.shape[0] for name, conv in graph.convs.items() if name not in used), reverse=True)
    classes = None
    if len(outputs) == 3 * _LEVELS:  # class, box and objectness outputs of each level
        remaining = list(outputs)
        for channels in (4, 1) * _LEVELS:
            if channels in remaining:
                remaining.remove(channels)
        classes = remaining[0] if len(set(remaining)) == 1 and len(remaining) == _LEVELS else None
    return len(convs[0].weight) if convs else 0, depthwise, classes
