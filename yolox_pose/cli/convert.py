"""Convert weights between layouts: ``yolox-pose convert`` and ``tools/convert.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from yolox_pose.cli.model_options import add_weights_option
from yolox_pose.errors import UsageError

TARGETS = ("yolox-pose", "mmpose", "mmdet", "mmyolo", "megvii")
"""What ``--to`` takes; keys of :data:`yolox_pose.checkpoints.layouts.LAYOUTS`."""

EXAMPLES = """examples:
  python tools/convert.py yolox_s.pth s.pth
  python tools/convert.py yolox_s.pth start.pth --config configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py
  python tools/convert.py work_dirs/s/epoch_300.pth s_mmpose.pth --to mmpose
  python tools/convert.py epoch_28.pth small.pth --average epoch_29.pth epoch_30.pth --half --note commit=1a2b3c AP=0.25
  python tools/convert.py epoch_30.pth between.pth --toward yolox_nano.pth --share 0.3 --config CONFIG --calibrate images/
  python tools/convert.py yolox_nano.onnx nano.safetensors --calibrate images/
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="convert",
        description="Convert weights of MMPose, MMDetection, MMYOLO, Megvii's YOLOX or an ONNX file to this package's "
        "layout, or from it, and show what is taken. The layout of SRC is recognised.",
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
    parser.add_argument("--config", help="write what this config's model takes, its classes found by name")
    parser.add_argument(
        "--to",
        choices=TARGETS,
        default=TARGETS[0],
        metavar="LAYOUT",
        help=f"{', '.join(TARGETS)} (default: {TARGETS[0]})",
    )
    parser.add_argument(
        "--legacy", action="store_true", help="Megvii's weights before 0.1.1: RGB images with ImageNet's normalisation"
    )
    parser.add_argument(
        "--calibrate",
        metavar="DIR",
        help="images that batch-norm statistics are measured on: of an .onnx, or, with --config, of what --average or --toward "
        "mix",
    )
    parser.add_argument(
        "--average",
        nargs="+",
        default=[],
        metavar="SRC",
        help="write the mean of SRC and these, checkpoints of one model",
    )
    parser.add_argument(
        "--toward",
        metavar="W",
        help="write weights between those of SRC and W, the detector that SRC was fine-tuned from: less is forgotten of it",
    )
    parser.add_argument("--share", type=float, metavar="S", help="how far toward W, from 0 to 1 (default: 0.5)")
    parser.add_argument("--half", action="store_true", help="write float16; norms and biases stay float32")
    parser.add_argument(
        "--note",
        nargs="+",
        default=[],
        metavar="KEY=TEXT",
        help="what else is to be known of the weights, kept in the file beside where they come from",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace DST if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    notes = dict(note.partition("=")[::2] for note in args.note)
    bad = [note for note in args.note if not note.partition("=")[0] or "=" not in note]
    if bad:
        raise UsageError(f"--note: {bad[0]!r} is not of the form KEY=TEXT")
    from yolox_pose.checkpoints.conversion import convert

    done = convert(
        args.source,
        args.target,
        config=args.config,
        to=args.to,
        legacy=args.legacy,
        images=args.calibrate,
        average=args.average,
        toward=args.toward,
        share=args.share,
        half=args.half,
        notes=notes,
        overwrite=args.overwrite,
    )
    print(done.report())
    print(f"written: {args.target} ({done.layout.title})")
    return 0
