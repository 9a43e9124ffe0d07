"""Convert weights between layouts: ``yolox-pose convert`` and ``tools/convert.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from yolox_pose.cli.model_options import add_weights_option
from yolox_pose.errors import UsageError

TARGETS = ("yolox-pose", "mmpose", "mmdet", "mmyolo", "megvii")
"""Choices of ``--to``: keys of :data:`yolox_pose.checkpoints.layouts.LAYOUTS`."""

EXAMPLES = """examples:
  yolox-pose convert yolox_s.pth s.pth
  yolox-pose convert yolox_s.pth start.pth --config configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py
  yolox-pose convert work_dirs/s/epoch_300.pth s_mmpose.pth --to mmpose
  yolox-pose convert epoch_28.pth small.pth --average epoch_29.pth epoch_30.pth --half --note commit=1a2b3c AP=0.25
  yolox-pose convert epoch_30.pth between.pth --interpolate yolox_nano.pth --weight 0.3 --config CONFIG --calibrate images/
  yolox-pose convert yolox_nano.onnx nano.safetensors --calibrate images/
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose convert",
        description="Convert weights of MMPose, MMDetection, MMYOLO, Megvii's YOLOX or an ONNX file to this package's "
        "layout, or from it, and show the matched tensors. The layout of SRC is recognized.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        help="weights: .pth, .safetensors, .onnx of a detector, or a name that 'yolox-pose weights list' shows",
    )
    add_weights_option(parser)
    parser.add_argument("target", metavar="DST", help="file to write: .pth, .pt or .safetensors")
    parser.add_argument("--config", help="config whose model selects the tensors; its classes are matched by name")
    parser.add_argument(
        "--to",
        choices=TARGETS,
        default=TARGETS[0],
        metavar="LAYOUT",
        help=f"{', '.join(TARGETS)} (default: {TARGETS[0]})",
    )
    parser.add_argument(
        "--legacy", action="store_true", help="Megvii's weights before 0.1.1: RGB images with ImageNet's normalization"
    )
    parser.add_argument(
        "--calibrate",
        metavar="DIR",
        help="folder of images to measure batch-norm statistics on: for an .onnx file, or with --config for --average and "
        "--interpolate",
    )
    parser.add_argument(
        "--average",
        nargs="+",
        default=[],
        metavar="SRC",
        help="average SRC with these checkpoints of the same model",
    )
    parser.add_argument(
        "--interpolate",
        metavar="W",
        help="interpolate SRC with W, the detector that it was fine-tuned from, to recover accuracy that fine-tuning lost",
    )
    parser.add_argument("--weight", type=float, metavar="S", help="weight of W, from 0 to 1 (default: 0.5)")
    parser.add_argument(
        "--half", action="store_true", help="write weights as float16; batch norms and biases stay float32"
    )
    parser.add_argument(
        "--note",
        nargs="+",
        default=[],
        metavar="KEY=TEXT",
        help="further entries about the weights to store in the file",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    notes = dict(note.partition("=")[::2] for note in args.note)
    bad = [note for note in args.note if not note.partition("=")[0] or "=" not in note]
    if bad:
        raise UsageError(f"--note: {bad[0]!r} is not of the form KEY=TEXT")
    from yolox_pose.checkpoints.conversion import convert

    conversion = convert(
        args.source,
        args.target,
        config=args.config,
        to=args.to,
        legacy=args.legacy,
        images=args.calibrate,
        average=args.average,
        interpolate=args.interpolate,
        weight=args.weight,
        half=args.half,
        notes=notes,
        overwrite=args.overwrite,
    )
    print(conversion.report())
    print(f"written: {args.target} ({conversion.layout.title})")
    return 0
