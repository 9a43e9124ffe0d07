"""``tools/dataset.py``: make, check, count, draw and convert data sets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="dataset", description="Make, check, count, draw and convert data sets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_synthesize(commands)
    return parser


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "synthesize",
        help="make pictures of synthetic crowds with exact annotations",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder to make; never overwritten")
    parser.add_argument("--train", type=int, default=800, help="number of training pictures")
    parser.add_argument("--val", type=int, default=100, help="number of validation pictures")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 192), metavar=("W", "H"), help="picture size")
    parser.add_argument("--people", type=int, nargs=2, default=(2, 8), metavar=("MIN", "MAX"), help="people a picture")
    parser.add_argument("--heights", type=float, nargs=2, metavar=("MIN", "MAX"), help="shares of the picture's height")
    parser.add_argument("--occlusion", type=float, help="0 apart from each other .. 1 anywhere, behind objects too")
    parser.add_argument("--person-free", type=float, help="share of pictures without anybody")
    parser.add_argument("--crowd-regions", type=float, help="share of pictures with an iscrowd region")
    parser.add_argument("--unlabelled", type=float, help="share of people without keypoints")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same pictures")
    parser.add_argument("--workers", type=int, default=1, help="processes; the result does not depend on it")
    parser.set_defaults(run=_synthesize)


def _synthesize(args: argparse.Namespace) -> int:
    from yolox_pose.datasets.synthetic import synthesize_crowd

    names = ("heights", "occlusion", "person_free", "crowd_regions", "unlabelled")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if "heights" in options:
        options["heights"] = tuple(options["heights"])
    made = synthesize_crowd(
        args.out,
        train=args.train,
        val=args.val,
        size=tuple(args.size),
        people=tuple(args.people),
        seed=args.seed,
        workers=args.workers,
        **options,
    )
    print(f"{made.out_dir}: {'these data were there already, kept' if made.kept else 'written'}")
    for split, figures in made.statistics.items():
        print(f"  {split}: " + ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in figures.items()))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    return args.run(args)
