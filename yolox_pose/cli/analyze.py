"""Look into a model or a training: ``yolox-pose analyze`` and ``tools/analyze.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_pose.cli.common import add_cfg_options
from yolox_pose.config import load_config
from yolox_pose.errors import UsageError
from yolox_pose.utils.json_files import write_json

if TYPE_CHECKING:
    from mmengine.config import Config

    from yolox_pose.models.complexity import Part

CURVES_EXAMPLES = """examples:
  python tools/analyze.py curves work_dirs/s
  python tools/analyze.py curves work_dirs/s work_dirs/s_other_rate --out compared.png
"""

MODEL_EXAMPLES = """examples:
  python tools/analyze.py model configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py
  python tools/analyze.py model yolox_nano_8xb8-300e_coco --size 416 416 --json nano.json
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(prog="analyze", description="Look into a model or a training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_model(commands)
    _add_curves(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    return args.run(args)


def _add_model(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "model",
        help="parameters and operations of every part",
        description="Parameters and multiply-accumulate operations of a model, part by part; no weights are needed.",
        epilog=MODEL_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="the network's input (default: that of the test data)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    add_cfg_options(parser)
    parser.set_defaults(run=analyze_model)


def _add_curves(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "curves",
        help="losses and AP of trainings as a picture",
        description="Draw losses, validation figures, assignment and learning rate of one training (all its resumes), or of "
        "several over each other.",
        epilog=CURVES_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("work_dirs", type=Path, nargs="+", metavar="WORK_DIR", help="folder that a training wrote into")
    parser.add_argument("--out", type=Path, metavar="PNG", help="(default: curves.png in the first folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace PNG if it exists")
    parser.set_defaults(run=analyze_curves)


def analyze_curves(args: argparse.Namespace) -> int:
    """Draw the curves of trainings; returns the exit code.

    Raises:
        UsageError: If the picture exists or a name is no PNG's.
        DataError: If a folder holds no log.
    """
    from yolox_pose.checkpoints.files import write_atomically
    from yolox_pose.visualization.curves import draw_curves, read_history

    if args.out is not None and args.out.suffix.lower() != ".png":
        raise UsageError(f"--out {args.out}: the name of the picture ends in .png")
    if args.out is not None and args.out.exists() and not args.overwrite:
        raise UsageError(f"{args.out} exists; name another file or give --overwrite")
    histories = [read_history(folder) for folder in args.work_dirs]
    out = args.out or args.work_dirs[0] / "curves.png"  # what the training itself keeps there, drawn again
    write_atomically(out, draw_curves(histories))
    print(f"written: {out}")
    return 0


def analyze_model(args: argparse.Namespace) -> int:
    """Print what the parts of a config's model cost; returns the exit code.

    Raises:
        UsageError: If the config has no model or no input size, the size does not fit, or the output file exists.
    """
    if args.json is not None and args.json.exists() and not args.overwrite:
        raise UsageError(f"{args.json} exists; name another file or give --overwrite")
    config = load_config(args.config, args.cfg_options)
    if not config.get("model"):
        raise UsageError(f"config {config.filename} has no 'model'")
    height, width = args.size or _input_size(config)
    from yolox_pose.models.complexity import measure, total

    parts = measure(config.model, (height, width), config.get("default_scope", "yolox_pose"))
    everything = total(parts)
    print(f"{args.config}, one image of {height} x {width} (height x width)\n{parts_table(parts, everything)}")
    print(
        "MACs: multiply-accumulate operations of convolutions and matrix products; FLOPs, as published, are twice that"
    )
    if args.json is not None:
        content = {
            "config": args.config,
            "input": [height, width],
            "parameters": everything.parameters,
            "macs": everything.macs,
            "flops": 2 * everything.macs,
            "parts": [part._asdict() for part in parts],
        }
        print(f"written: {write_json(args.json, content, indent=2)}")
    return 0


def _input_size(config: Config) -> tuple[int, int]:
    """Height and width of the input that the test data of a config give."""
    from yolox_pose.checkpoints.model_info import find_preprocessing

    try:
        width, height = find_preprocessing(config, {}).size
    except UsageError as error:
        raise UsageError(f"{error}; give it as --size H W") from None
    return height, width


def parts_table(parts: Sequence[Part], everything: Part) -> str:
    """Lines of part, parameters and operations, each with its share of the whole."""
    width = max(len(part.name) for part in (*parts, everything))
    lines = [f"{'part':<{width}}  {'parameters (M)':>22}  {'GMACs':>20}  {'GFLOPs':>9}"]
    for part in (*parts, everything):
        shares = [
            100 * count / max(whole, 1)
            for count, whole in ((part.parameters, everything.parameters), (part.macs, everything.macs))
        ]
        lines.append(
            f"{part.name:<{width}}  {part.parameters / 1e6:12.3f}  {shares[0]:6.1f} %  {part.macs / 1e9:10.3f}  "
            f"{shares[1]:6.1f} %  {2 * part.macs / 1e9:9.3f}"
        )
    return "\n".join(lines)
