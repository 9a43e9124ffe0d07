"""Export to ncnn with pnnx, which converts a traced network."""

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
        YOLOXPoseError: If pnnx fails; one line with its last message.
    """
    height, width = description.size
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "model.pt"
        to_torchscript.write(network, description, traced)
        command = [pnnx.EXEC_PATH, traced.name, f"inputshape=[1,3,{height},{width}]", "fp16=0"]
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        converted = traced.with_name("model.ncnn.param")
        if process.returncode or not converted.is_file():
            last = ((process.stderr or process.stdout).strip().splitlines() or ["no message"])[-1]
            raise YOLOXPoseError(f"pnnx failed with exit code {process.returncode}: {last}")
        weights = converted.with_suffix(".bin").read_bytes()
        if description.precision == "fp16":
            weights = store_half(converted.read_text(), weights)
        shutil.copyfile(converted, path)
        path.with_suffix(".bin").write_bytes(weights)


_FLOAT32, _FLOAT16 = struct.pack("<I", 0), struct.pack("<I", 0x01306B47)
"""Marks before the weights of a layer (ncnn, ``modelbin.cpp``)."""

_INTEGER = re.compile(r"(\d+)=(-?\d+)")
"""A parameter of a layer with an integer value."""

_WEIGHTS, _HAS_BIAS, _CHANNELS = 6, 5, 0
"""Keys of a convolution in ``.param``: number of weights, whether it has a bias, number of output channels."""


def store_half(param: str, weights: bytes) -> bytes:
    """Store the convolution weights that float16 holds exactly as float16; ncnn's own option rounds all weights.

    Args:
        param: Content of ``.param``.
        weights: Content of ``.bin``, all float32.

    Raises:
        YOLOXPoseError: If another kind of layer has weights.
    """
    stored, start = [], 0

    def take(count: int) -> bytes:
        nonlocal start
        start += count
        return weights[start - count : start]

    for line in param.splitlines()[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        parameters = rest[int(inputs) + int(outputs) :]
        numbers = {int(match[1]): int(match[2]) for match in map(_INTEGER.fullmatch, parameters) if match}
        if kind in ("Convolution", "ConvolutionDepthWise"):
            mark, values = take(4), np.frombuffer(take(4 * numbers[_WEIGHTS]), "<f4")
            half = mark == _FLOAT32 and is_half(values)
            data = values.astype("<f2").tobytes() if half else values.tobytes()
            stored += [_FLOAT16 if half else mark, data, bytes(-len(data) % 4)]
            stored.append(take(4 * numbers[_CHANNELS] * numbers.get(_HAS_BIAS, 0)))
        elif kind == "MemoryData":
            stored.append(take(4 * math.prod(numbers[axis] for axis in (0, 1, 2) if numbers.get(axis))))
    if start != len(weights):
        raise YOLOXPoseError("--fp16 does not support a layer of the ncnn model; export it without --fp16")
    return b"".join(stored)
