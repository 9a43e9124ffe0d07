"""ncnn by pnnx, which converts a traced network."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pnnx

from yolox_pose.errors import YOLOXPoseError
from yolox_pose.export import to_torchscript
from yolox_pose.export.graph import RawGraph
from yolox_pose.runtime.description import ModelDescription


def write(network: RawGraph, description: ModelDescription, path: Path) -> None:
    """Write ``.param`` and ``.bin``.

    Raises:
        YOLOXPoseError: If pnnx fails; with its last line.
    """
    height, width = description.size
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "model.pt"
        to_torchscript.write(network, description, traced)
        half = int(description.precision == "fp16")
        command = [pnnx.EXEC_PATH, traced.name, f"inputshape=[1,3,{height},{width}]", f"fp16={half}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        made = traced.with_name("model.ncnn.param")
        if done.returncode or not made.is_file():
            last = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
            raise YOLOXPoseError(f"pnnx failed with exit code {done.returncode}: {last}")
        shutil.copyfile(made, path)
        shutil.copyfile(made.with_suffix(".bin"), path.with_suffix(".bin"))
