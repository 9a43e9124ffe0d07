"""Weights out of an ONNX file of a YOLOX detector, whose batch norms were folded into the convolutions.

A file names its weights by numbers. They are told apart by the graph instead: a convolution is known by its shape and by the
convolutions that feed it, which is how the network is described here. Needs the ``onnx`` package alone.
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
"""What feeds the first convolution."""
_LEVELS = 3


class FoldedConv(NamedTuple):
    """A convolution of an ONNX graph.

    Attributes:
        weight: (out, in / groups, kh, kw).
        bias: (out,).
        sources: Output names of the convolutions that feed it directly, or :data:`IMAGE`.
    """

    weight: np.ndarray
    bias: np.ndarray
    sources: frozenset[str]


class OnnxModel(NamedTuple):
    """What is needed of an ONNX file: its convolutions by their outputs, in graph order, and its input's (W, H)."""

    convs: dict[str, FoldedConv]
    size: tuple[int, int]


def read_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Read the convolutions of an ONNX file.

    Raises:
        UsageError: If the onnx package is missing.
        DataError: If the file is not ONNX, or its convolutions have no bias (batch norms that are not folded).
    """
    name = os.fspath(path)
    try:
        import onnx
        from onnx.numpy_helper import to_array
    except ImportError:
        raise UsageError("reading ONNX files needs the onnx package: pip install 'yolox-pose[export]'") from None
    try:
        graph = onnx.load(name).graph
        values = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    except Exception as error:  # protobuf raises its own kinds
        raise DataError(f"{name}: not loaded, it is no whole ONNX file ({str(error).splitlines()[0]})") from None
    values |= {node.output[0]: to_array(node.attribute[0].t) for node in graph.node if node.op_type == "Constant"}
    convs = _collect_convs(graph.node, values, graph.input, name)
    shape = next((i.type.tensor_type.shape.dim for i in graph.input if i.name not in values), ())
    height, width = (int(side.dim_value) or 640 for side in shape[-2:]) if len(shape) == 4 else (640, 640)
    return OnnxModel(convs, (width, height))


def _collect_convs(
    nodes: Iterable[Any], values: Mapping[str, np.ndarray], inputs: Iterable[Any], name: str
) -> dict[str, FoldedConv]:
    """Follow the graph in its order; every tensor is known by the convolutions that it comes from directly."""
    convs: dict[str, FoldedConv] = {}
    origins = {value.name: frozenset({IMAGE}) for value in inputs if value.name not in values}
    for node in nodes:
        feeding = frozenset().union(*(origins.get(source, frozenset()) for source in node.input))
        if node.op_type == "Conv":
            weight, bias = (values.get(source) for source in (*node.input[1:], "")[:2])
            if weight is None or bias is None:
                raise DataError(
                    f"{name}: convolution {node.output[0]} has no weight and bias of its own; batch norms have to be folded"
                )
            convs[node.output[0]] = FoldedConv(weight, bias, feeding)
            feeding = frozenset({node.output[0]})
        origins |= dict.fromkeys(node.output, feeding)
    return convs


def expected_convs(keys: Iterable[str], levels: int = _LEVELS) -> dict[str, frozenset[str]]:
    """The convolutions of a YOLOX detector with the PAFPN neck, each with those that feed it.

    Args:
        keys: Names of the model's tensors; depth and depthwise convolutions are read from them.
        levels: Feature maps.

    Returns:
        Name of a convolution with its norm (or, in the outputs, alone) to the names of its sources, in order of execution.
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
    """Collects convolutions; every method returns what its block's output comes from."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = set(keys)
        self.convs: dict[str, frozenset[str]] = {}

    def conv(self, name: str, sources: frozenset[str]) -> frozenset[str]:
        """A convolution with its norm, or a depthwise and a pointwise one."""
        if f"{name}.depthwise_conv.conv.weight" in self.keys:
            return self.conv(f"{name}.pointwise_conv", self.conv(f"{name}.depthwise_conv", sources))
        self.convs[name] = sources
        return frozenset({name})

    def csp(self, name: str, sources: frozenset[str], shortcut: bool = False) -> frozenset[str]:
        """A CSP block, with as many bottlenecks as the model has."""
        main = self.conv(f"{name}.main_conv", sources)
        short = self.conv(f"{name}.short_conv", sources)
        index = 0
        while any(key.startswith(f"{name}.blocks.{index}.") for key in self.keys):
            block = f"{name}.blocks.{index}"
            out = self.conv(f"{block}.conv2", self.conv(f"{block}.conv1", main))
            main, index = (out | main if shortcut else out), index + 1
        return self.conv(f"{name}.final_conv", main | short)

    def head(self, level: int, sources: frozenset[str]) -> None:
        """The class and box branches of a level."""
        for branch, outputs in (("conv_cls", ("out_cls",)), ("conv_reg", ("out_bbox", "out_obj"))):
            path, index = sources, 0
            while any(key.startswith(f"{HEAD}{branch}.{level}.{index}.") for key in self.keys):
                path, index = self.conv(f"{HEAD}{branch}.{level}.{index}", path), index + 1
            for output in outputs:
                self.conv(f"{HEAD}{output}.{level}", path)


def match_convs(
    expected: Mapping[str, frozenset[str]], shapes: Mapping[str, Sequence[int]], found: Mapping[str, FoldedConv]
) -> dict[str, str] | None:
    """Find the convolution of a graph for each one of a model.

    Args:
        expected: From :func:`expected_convs`.
        shapes: Shape of the weight of each.
        found: From :func:`read_onnx`.

    Returns:
        Name in the model to output name in the graph; None if the graph is of another network.
    """
    if len(expected) != len(found):
        return None
    names, chosen = list(expected), {IMAGE: IMAGE}
    candidates: list[list[str]] = []
    while len(candidates) < len(names):  # depth first: of two equal twins the wrong one is found out by what it feeds
        name = names[len(candidates)]
        sources = frozenset(chosen[source] for source in expected[name])
        taken = set(chosen.values())
        candidates.append(
            [
                output
                for output, conv in reversed(list(found.items()))
                if conv.sources == sources and conv.weight.shape == tuple(shapes[name]) and output not in taken
            ]
        )
        while not candidates[-1]:
            candidates.pop()
            if not candidates:
                return None
            del chosen[names[len(candidates) - 1]]
        chosen[names[len(candidates) - 1]] = candidates[-1].pop()
    del chosen[IMAGE]
    return chosen


def unfold(own: Mapping[str, Tensor], model: OnnxModel, name: str, eps: float = 1e-3) -> dict[str, Tensor]:
    """Weights of our detector that compute what the graph computes.

    Folded biases go into batch norms that do nothing else: mean 0, variance 1 - eps, weight 1. Their statistics are not
    those of any data; :func:`yolox_pose.checkpoints.calibration.calibrate_norms` mends that.

    Args:
        own: Tensors of a detector of the file's size.
        model: From :func:`read_onnx`.
        name: The file, for messages.
        eps: Of the batch norms.

    Raises:
        DataError: If the graph is of another network.
    """
    expected = expected_convs(own)
    shapes = {conv: own[_weight_key(conv, own)].shape for conv in expected}
    matched = match_convs(expected, shapes, model.convs)
    if matched is None:
        raise DataError(
            f"{name}: its {len(model.convs)} convolutions are not those of a YOLOX detector of this size ({len(expected)})"
        )
    weights = {key: value.clone() for key, value in own.items()}
    for conv, output in matched.items():
        key, folded = _weight_key(conv, own), model.convs[output]
        weights[key] = torch.from_numpy(folded.weight.copy())
        bias = torch.from_numpy(folded.bias.copy())
        if f"{conv}.bn.bias" not in own:
            weights[f"{conv}.bias"] = bias
            continue
        weights[f"{conv}.bn.weight"], weights[f"{conv}.bn.bias"] = torch.ones_like(bias), bias
        weights[f"{conv}.bn.running_mean"] = torch.zeros_like(bias)
        weights[f"{conv}.bn.running_var"] = torch.full_like(bias, 1 - eps)
    return weights


def _weight_key(conv: str, own: Mapping[str, Tensor]) -> str:
    key = f"{conv}.conv.weight"
    return key if key in own else f"{conv}.weight"


def graph_size(model: OnnxModel) -> tuple[int, bool, int | None]:
    """Channels of the stem, whether convolutions are depthwise, and the number of classes."""
    convs = list(model.convs.values())
    depthwise = any(conv.weight.shape[1] == 1 and conv.weight.shape[2] == 3 for conv in convs)
    used = frozenset().union(*(conv.sources for conv in convs))
    outputs = sorted((conv.weight.shape[0] for name, conv in model.convs.items() if name not in used), reverse=True)
    classes = None
    if len(outputs) == 3 * _LEVELS:  # class, box and objectness outputs of each level
        left = list(outputs)
        for known in (4, 1) * _LEVELS:
            if known in left:
                left.remove(known)
        classes = left[0] if len(set(left)) == 1 and len(left) == _LEVELS else None
    return len(convs[0].weight) if convs else 0, depthwise, classes
