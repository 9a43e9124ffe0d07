"""ncnn by pnnx, which converts a traced network."""

from __future__ import annotations

import math
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pnnx

from yolox_pose.errors import YOLOXPoseError
from yolox_pose.export import to_torchscript
from yolox_pose.export.graph import RawGraph, is_half
from yolox_pose.inference.exported.description import ModelDescription


def write(network: RawGraph, description: ModelDescription, path: Path) -> None:
    """Write ``.param`` and ``.bin``.

    Raises:
        YOLOXPoseError: If pnnx fails; with its last line.
    """
    height, width = description.size
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "model.pt"
        to_torchscript.write(network, description, traced)
        command = [pnnx.EXEC_PATH, traced.name, f"inputshape=[1,3,{height},{width}]", "fp16=0"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        made = traced.with_name("model.ncnn.param")
        if done.returncode or not made.is_file():
            last = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
            raise YOLOXPoseError(f"pnnx failed with exit code {done.returncode}: {last}")
        weights = made.with_suffix(".bin").read_bytes()
        if description.precision == "fp16":
            weights = store_half(made.read_text(), weights)
        shutil.copyfile(made, path)
        path.with_suffix(".bin").write_bytes(weights)


_FLOAT32, _FLOAT16 = struct.pack("<I", 0), struct.pack("<I", 0x01306B47)
"""What stands before the weights of a layer (ncnn, ``modelbin.cpp``)."""

_WEIGHTS, _HAS_BIAS, _CHANNELS = 6, 5, 0
"""Keys of a convolution's line in ``.param``: number of weights, whether there are biases, how many of them."""


def store_half(param: str, weights: bytes) -> bytes:
    """Store as float16 the weights of convolutions that lose nothing by it (ncnn's own option would round all of them).

    Args:
        param: Content of ``.param``.
        weights: Content of ``.bin``, all float32.

    Raises:
        YOLOXPoseError: If a layer with weights is none of those that the networks of this package have.
    """
    stored, start = [], 0

    def take(count: int) -> bytes:
        nonlocal start
        start += count
        return weights[start - count : start]

    for line in param.splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        numbers = dict(map(int, item.split("=")) for item in rest[int(inputs) + int(outputs) :] if _is_number(item))
        if kind in ("Convolution", "ConvolutionDepthWise"):
            mark, values = take(4), np.frombuffer(take(4 * numbers[_WEIGHTS]), "<f4")
            half = mark == _FLOAT32 and is_half(values)
            data = values.astype("<f2").tobytes() if half else values.tobytes()
            stored += [_FLOAT16 if half else mark, data, bytes(-len(data) % 4)]
            stored.append(take(4 * numbers[_CHANNELS] * numbers.get(_HAS_BIAS, 0)))
        elif kind == "MemoryData":
            stored.append(take(4 * math.prod(numbers[axis] for axis in (0, 1, 2) if numbers.get(axis))))
    if start != len(weights):
        raise YOLOXPoseError("a layer of the ncnn model has weights that --fp16 does not know; export it without")
    return b"".join(stored)


def _is_number(item: str) -> bool:
    """Whether a parameter of a layer is ``key=whole number``; others are no sizes."""
    return re.fullmatch(r"\d+=-?\d+", item) is not None
