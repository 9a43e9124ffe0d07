"""Build a TensorRT engine from an ONNX model: ``python build_engine.py model.onnx [--fp16]``.

The export puts a copy of this file beside the model. Run it on a machine with TensorRT's Python package or its program
``trtexec``; nothing else is needed. NMS in ``model.onnx`` becomes TensorRT's own NMS layer (8.6 or newer).
``model-efficientnms.onnx`` uses the plugin EfficientNMS_ONNX_TRT of TensorRT's plugin library instead.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the script."""
    parser = argparse.ArgumentParser(description="Build a TensorRT engine from an ONNX model.")
    parser.add_argument("model", type=Path, help="the ONNX file")
    parser.add_argument("--engine", type=Path, help="file to write (default: the model's name with .engine)")
    parser.add_argument("--fp16", action="store_true", help="allow float16 (decoding stays in float32)")
    parser.add_argument("--workspace", type=int, default=2048, metavar="MIB", help="memory for tactics (default: 2048)")
    parser.add_argument(
        "--shapes",
        nargs=3,
        metavar=("MIN", "BEST", "MAX"),
        help="for dynamic models, e.g. 1x3x640x640 1x3x640x640 8x3x640x640",
    )
    return parser


def trtexec_command(program: str, args: argparse.Namespace, engine: Path) -> list[str]:
    """Return the equivalent ``trtexec`` command."""
    command = [program, f"--onnx={args.model}", f"--saveEngine={engine}", f"--memPoolSize=workspace:{args.workspace}"]
    if args.fp16:
        command.append("--fp16")
    if args.shapes:
        command += [f"--{name}Shapes=images:{shape}" for name, shape in zip(("min", "opt", "max"), args.shapes)]
    return command


def build_with_python(args: argparse.Namespace, engine: Path) -> None:
    """Build the engine with TensorRT's Python package."""
    import tensorrt as trt

    logger = trt.Logger(trt.Logger.WARNING)
    trt.init_libnvinfer_plugins(logger, "")
    builder = trt.Builder(logger)
    network: Any = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
    reader = trt.OnnxParser(network, logger)
    if not reader.parse_from_file(str(args.model)):
        raise SystemExit(f"error: TensorRT cannot read {args.model}: {reader.get_error(0)}")

    # Set memory, precision and the range of dynamic shapes
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, args.workspace << 20)
    if args.fp16:
        config.set_flag(trt.BuilderFlag.FP16)
    if args.shapes:
        profile = builder.create_optimization_profile()
        profile.set_shape("images", *(tuple(map(int, shape.split("x"))) for shape in args.shapes))
        config.add_optimization_profile(profile)

    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise SystemExit(f"error: TensorRT could not build an engine from {args.model}; see its message above")
    engine.write_bytes(bytes(serialized))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script and return its exit code."""
    args = build_parser().parse_args(argv)
    if not args.model.is_file():
        print(f"error: model {args.model} does not exist", file=sys.stderr)
        return 2
    engine = args.engine or args.model.with_suffix(".engine")
    program = shutil.which("trtexec")
    if find_spec("tensorrt"):
        build_with_python(args, engine)
    elif program:
        code = subprocess.run(trtexec_command(program, args, engine)).returncode
        if code:
            print(f"error: trtexec failed with exit code {code}", file=sys.stderr)
            return 1
    else:
        print(
            "error: neither the Python package tensorrt nor trtexec is installed; run this on a machine with TensorRT",
            file=sys.stderr,
        )
        return 1
    print(f"written: {engine}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
