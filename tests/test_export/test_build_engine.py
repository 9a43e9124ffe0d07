"""The script that builds TensorRT engines, as far as it goes where TensorRT is not."""

import subprocess
import sys
from pathlib import Path

from yolox_pose.export import build_engine


def test_command_of_trtexec():
    args = build_engine.build_parser().parse_args(
        ["m.onnx", "--fp16", "--shapes", "1x3x64x64", "1x3x64x64", "8x3x64x64"]
    )
    command = build_engine.trtexec_command("trtexec", args, Path("m.engine"))
    assert command[:3] == ["trtexec", "--onnx=m.onnx", "--saveEngine=m.engine"]
    assert "--fp16" in command and command[-1] == "--maxShapes=images:8x3x64x64"


def test_it_runs_alone_and_says_what_is_missing(tmp_path):
    script, model = Path(build_engine.__file__), tmp_path / "m.onnx"
    command = [sys.executable, "-I", "-S", str(script), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "does not exist" in done.stderr
    model.write_bytes(b"x")
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert done.returncode == 1 and done.stderr.startswith("error: neither") and done.stderr.count("\n") == 1
