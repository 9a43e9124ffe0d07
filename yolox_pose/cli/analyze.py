"""Count the parameters of a model or draw training curves: ``yolox-pose analyze`` and ``tools/analyze.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from yolox_pose.cli.common import CommandParser, add_cfg_options
from yolox_pose.config import load_config
from yolox_pose.errors import UsageError
from yolox_pose.utils.json_files import write_json

CURVES_EXAMPLES = """examples:
  yolox-pose analyze curves work_dirs/s
  yolox-pose analyze curves work_dirs/s work_dirs/s_other_rate --out compared.png
"""

MODEL_EXAMPLES = """examples:
  yolox-pose analyze model configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py
  yolox-pose analyze model yolox_nano_8xb8-300e_coco --size 416 416 --json nano.json
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = CommandParser(prog="yolox-pose analyze", description="Analyze a model or a training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_model(commands)
    _add_curves(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    return args.run(args)


def _add_model(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "model",
        help="count parameters and operations of every part",
        description="Count the parameters and multiply-accumulate operations of every part of a model. No weights are needed.",
        epilog=MODEL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="input size (default: that of the config's test data)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to a file")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    add_cfg_options(parser)
    parser.set_defaults(run=analyze_model)


def _add_curves(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "curves",
        help="draw losses and AP of trainings",
        description="Draw losses, validation metrics, assignment statistics and learning rate of a training with all its "
        "resumes, or compare several trainings.",
        epilog=CURVES_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("work_dirs", type=Path, nargs="+", metavar="WORK_DIR", help="work dir of a training")
    parser.add_argument(
        "--out", type=Path, metavar="PNG", help="picture to write (default: curves.png in the first work dir)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace PNG if it exists")
    parser.set_defaults(run=analyze_curves)


def analyze_curves(args: argparse.Namespace) -> int:
    """Draw the curves of trainings and return the exit code.

    Raises:
        UsageError: If the picture exists or its name does not end in ``.png``.
        DataError: If a folder holds no log.
    """
    from yolox_pose.checkpoints.files import write_atomically
    from yolox_pose.visualization.curves import draw_curves, read_history

    if args.out is not None and args.out.suffix.lower() != ".png":
        raise UsageError(f"--out {args.out}: the name of the picture ends in .png")
    if args.out is not None and args.out.exists() and not args.overwrite:
        raise UsageError(f"{args.out} exists; name another file or give --overwrite")
    histories = [read_history(folder) for folder in args.work_dirs]
    out = args.out or args.work_dirs[0] / "curves.png"  # the picture that the training itself updates
    write_atomically(out, draw_curves(histories))
    print(f"written: {out}")
    return 0


def analyze_model(args: argparse.Namespace) -> int:
    """Print the cost of every part of a config's model and return the exit code.

    Raises:
        UsageError: If the config has no model or no input size, the size does not fit, or the output file exists.
    """
    if args.json is not None and args.json.exists() and not args.overwrite:
        raise UsageError(f"{args.json} exists; name another file or give --overwrite")
    config = load_config(args.config, args.cfg_options)
    from yolox_pose.models.complexity import measure_config

    complexity = measure_config(config, args.size)
    height, width = complexity.size
    print(f"{args.config}, one image of {height} x {width} (height x width)\n{complexity.table()}")
    print("MACs: multiply-accumulate operations of convolutions and matrix products; published FLOPs are twice that")
    if args.json is not None:
        print(f"written: {write_json(args.json, {'config': args.config, **complexity.to_dict()}, indent=2)}")
    return 0
