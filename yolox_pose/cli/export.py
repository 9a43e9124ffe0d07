"""Export a model to ONNX and other formats: ``yolox-pose export`` and ``tools/export.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_pose.cli.model_options import add_model_arguments, choose_positional_model
from yolox_pose.errors import UsageError

if TYPE_CHECKING:
    from yolox_pose.export.exporting import Exported
    from yolox_pose.export.options import ExportOptions

FORMATS = ("onnx", "openvino", "ncnn", "tensorrt", "torchscript")

EXAMPLES = """examples:
  python tools/export.py CONFIG CHECKPOINT --format onnx --out exported
  python tools/export.py CONFIG CHECKPOINT --format onnx --nms --size 384 640 --batch dynamic
  python tools/export.py CONFIG CHECKPOINT --format openvino --int8 --calibrate images/
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="export",
        description="Export a model with its weights. What it finds is compared with torch before anything is written. "
        "model.json beside the model tells yolox_pose.runtime all that it must know.",
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
    size.add_argument("--dynamic", action="store_true", help="let height and width be any multiples of 32")
    parser.add_argument("--batch", default="1", metavar="N", help="images at a time, or 'dynamic' (default: 1)")
    layout = parser.add_mutually_exclusive_group()
    for name, text in (
        ("raw", "outputs of the network as they are"),
        ("decode", "boxes, scores and keypoints in pixels of the input (default)"),
        ("nms", "final detections: NMS is part of the graph"),
    ):
        layout.add_argument(f"--{name}", dest="layout", action="store_const", const=name, help=text)
    parser.add_argument("--fp16", action="store_true", help="store weights as float16; arithmetic stays in float32")
    parser.add_argument(
        "--int8", action="store_true", help="int8 weights and activations, but in the last layers (openvino)"
    )
    parser.add_argument("--calibrate", type=Path, metavar="DIR", help="images that --int8 measures activations on")
    parser.add_argument(
        "--focus", action="store_true", help="keep the slices of the stem instead of one 6x6 convolution"
    )
    parser.add_argument(
        "--check", nargs="+", metavar="IMAGES", help="images for the comparison with torch (default: drawn ones)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_intermixed_args(argv)
    from yolox_pose.export.options import check_options

    options = check_options(read_options(args))
    config, checkpoint = choose_positional_model(args.config, args.checkpoint)
    out = args.out or Path("exported") / f"{Path(config).stem}-{args.format}"
    from yolox_pose.export.exporting import export_model

    done = export_model(config, checkpoint, out, options, pictures=args.check, overwrite=args.overwrite)
    print(report(done))
    if args.format == "tensorrt":
        print(f"engine:   run python {done.model.parent / 'build_engine.py'} {done.model} where TensorRT is")
    return 0


def read_options(args: argparse.Namespace) -> ExportOptions:
    """Options of the export from those of the command line.

    Raises:
        UsageError: If they do not go together.
    """
    from yolox_pose.export.options import ExportOptions

    if args.int8 != (args.calibrate is not None):
        raise UsageError("--int8 and --calibrate DIR go together: activations are measured on images like yours")
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


def report(done: Exported) -> str:
    """What was written and what the comparison gave, in a few lines."""
    found, description = done.description.check, done.description
    size = "x".join(map(str, description.size))
    batch = "any" if description.batch is None else description.batch
    lines = [
        f"model:    {description.target}, {description.layout}, {description.precision}, {size} px (height x width)"
        f"{', any multiple of 32' if description.dynamic else ''}, batch {batch}"
    ]
    if description.precision == "int8":
        lines.append(
            f"check:    {found['found_again']} of {found['sure_detections']} sure detections of torch found again on "
            f"{found['pictures']} images; measure AP before you rely on it"
        )
    else:
        lines.append(
            f"check:    {found['matched']} of {found['detections']} detections of torch on {found['pictures']} images, at most "
            f"{found['pixels']:.4f} px and {found['score']:.6f} of score apart"
        )
    lines += [f"written:  {file}" for file in done.files]
    return "\n".join(lines)
