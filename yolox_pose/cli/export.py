"""Export a model to ONNX and other formats: ``yolox-pose export`` and ``tools/export.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_pose.cli.model_options import add_model_arguments, choose_positional_model
from yolox_pose.errors import UsageError

if TYPE_CHECKING:
    from yolox_pose.export.options import ExportOptions

FORMATS = ("onnx", "openvino", "ncnn", "tensorrt", "torchscript")

EXAMPLES = """examples:
  yolox-pose export CONFIG CHECKPOINT --format onnx --out exported
  yolox-pose export CONFIG CHECKPOINT --format onnx --nms --size 384 640 --batch dynamic
  yolox-pose export CONFIG CHECKPOINT --format openvino --int8 --calibrate images/
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose export",
        description="Export a model with its weights. Its detections are compared with torch before files are written. "
        "model.json beside the model holds all settings that yolox_pose.runtime needs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    parser.add_argument("--format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write to (default: exported/<config name>-<format>)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in DIR")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--size", nargs=2, type=int, metavar=("H", "W"), help="size of the input (default: that of the config)"
    )
    size.add_argument("--dynamic", action="store_true", help="allow any height and width that are multiples of 32")
    parser.add_argument("--batch", default="1", metavar="N", help="batch size, or 'dynamic' (default: 1)")
    layout = parser.add_mutually_exclusive_group()
    for name, text in (
        ("raw", "raw outputs of the network"),
        ("decode", "boxes, scores and keypoints in pixels of the input (default)"),
        ("nms", "final detections, with NMS in the graph"),
    ):
        layout.add_argument(f"--{name}", dest="layout", action="store_const", const=name, help=text)
    parser.add_argument("--fp16", action="store_true", help="store weights as float16; arithmetic stays in float32")
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantize weights and activations to int8, except the last layers (openvino)",
    )
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR", help="folder of images to measure activations on, for --int8"
    )
    parser.add_argument(
        "--focus", action="store_true", help="keep the slices of the stem instead of one 6x6 convolution"
    )
    parser.add_argument(
        "--check", nargs="+", metavar="IMAGES", help="images for the comparison with torch (default: synthetic images)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_intermixed_args(argv)
    from yolox_pose.export.options import check_options

    options = check_options(read_options(args))
    config, checkpoint = choose_positional_model(args.config, args.checkpoint)
    out = args.out or Path("exported") / f"{Path(config).stem}-{args.format}"
    from yolox_pose.export.exporting import export_model

    exported = export_model(config, checkpoint, out, options, pictures=args.check, overwrite=args.overwrite)
    print(exported.report())
    if args.format == "tensorrt":
        script = exported.model.parent / "build_engine.py"
        print(f"engine:   run python {script} {exported.model} on a machine with TensorRT")
    return 0


def read_options(args: argparse.Namespace) -> ExportOptions:
    """Return the options of the export.

    Raises:
        UsageError: If options do not fit together.
    """
    from yolox_pose.export.options import ExportOptions

    if args.int8 != (args.calibrate is not None):
        raise UsageError("--int8 and --calibrate DIR go together: activations are measured on images")
    batch = None if args.batch == "dynamic" else int(args.batch) if args.batch.isdigit() else 0
    return ExportOptions(
        format=args.format,
        layout=args.layout,
        size=None if args.size is None else tuple(args.size),
        dynamic=args.dynamic,
        batch=batch,
        half=args.fp16,
        calibration=args.calibrate,
        focus=args.focus,
    )
