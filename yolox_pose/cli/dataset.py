"""``tools/dataset.py``: make, check, count, draw and convert data sets."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from yolox_pose.cli.common import add_cfg_options
from yolox_pose.errors import DataError
from yolox_pose.structures.constants import DEFAULT_FPS

_TASKS = "yolox_pose.cli.dataset_tasks"
"""Module of the functions that do the work, imported when one runs."""


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="dataset", description="Make, check, count, draw and convert data sets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_synthesize, _add_check, _add_stats, _add_browse, _add_convert):
        add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return getattr(importlib.import_module(_TASKS), args.command)(args)
    except BrokenPipeError:
        raise
    except OSError as error:  # no permission, disk full, folder gone
        raise DataError(f"{args.command}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "synthesize", "make pictures of synthetic crowds with exact COCO keypoint annotations")
    parser.add_argument("out", type=Path, help="folder to make; one that holds something else is never touched")
    parser.add_argument("--train", type=int, default=800, help="number of training pictures (default: %(default)s)")
    parser.add_argument("--val", type=int, default=100, help="number of validation pictures (default: %(default)s)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(192, 192), metavar=("W", "H"), help="size in pixels (default: 192 192)"
    )
    parser.add_argument(
        "--people", type=int, nargs=2, default=(2, 8), metavar=("MIN", "MAX"), help="people a picture (default: 2 8)"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=0,
        metavar="N",
        help="make sequences of N pictures in which people move; --train and --val then count sequences",
    )
    parser.add_argument(
        "--fps", type=float, default=DEFAULT_FPS, help="pictures a second of a sequence (default: %(default)g)"
    )
    group = parser.add_argument_group("what pictures are like (defaults: CrowdOptions in yolox_pose.synthetic.options)")
    group.add_argument(
        "--heights", type=float, nargs=2, metavar=("MIN", "MAX"), help="people's heights, as shares of the picture's"
    )
    for name, text in (
        ("occlusion", "0: people keep apart where there is room .. 1: they stand anywhere, and behind objects"),
        ("person-free", "share of pictures without anybody"),
        ("crowd-regions", "share of pictures with an iscrowd region"),
        ("unlabelled", "share of people with a box but without keypoints"),
        ("least-shown", "people of whom a smaller share is seen are left out"),
        ("clutter", "mean number of things behind the people"),
        ("variety", "share of people in any pose and facing any way; the others stand facing the viewer"),
    ):
        group.add_argument(f"--{name}", type=float, metavar="X", help=text)
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same pictures (default: 0)")
    parser.add_argument("--workers", type=int, default=1, help="processes; they do not change the result (default: 1)")


def _add_source(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The annotation file and what of it is used."""
    parser.add_argument("annotations", type=Path, nargs="?" if optional else None, help="COCO-format annotation file")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder that the file names in it are relative to")
    parser.add_argument(
        "--keypoints",
        type=int,
        metavar="K",
        help="keypoints an instance; 0 for boxes alone (default: what the file says)",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="classes in label order, others are ignored (default: all)"
    )
    parser.add_argument(
        "--keypoint-file",
        type=Path,
        metavar="FILE",
        help="second file of the same images, whose keypoints belong to instances of the first",
    )
    parser.add_argument(
        "--keypoint-classes",
        nargs="+",
        metavar="NAME",
        help="classes that have keypoints (default: all of the file that has the keypoints)",
    )


def _add_check(commands: argparse._SubParsersAction) -> None:
    parser = _command(
        commands, "check", "list everything that is wrong in an annotation file; exit code 1 if anything is"
    )
    _add_source(parser)
    parser.add_argument(
        "--decode", action="store_true", help="also decode every image and compare its size (needs --images)"
    )
    parser.add_argument("--workers", type=int, default=4, help="threads that decode images (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")


def _add_stats(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "stats", "count images, instances, sizes and keypoints")
    _add_source(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_browse(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "browse", "write pictures with the annotations, or what training sees, drawn into them")
    _add_source(parser, optional=True)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the pictures; must be empty or new"
    )
    parser.add_argument("--number", type=int, default=20, help="how many pictures (default: %(default)s)")
    parser.add_argument("--ids", type=int, nargs="+", metavar="ID", help="these image ids instead of a random choice")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choice (default: 0)")
    parser.add_argument("--zoom", type=float, default=2.0, help="enlarge the pictures (default: %(default)s)")
    group = parser.add_argument_group("what training sees")
    group.add_argument(
        "--augmented",
        metavar="CONFIG",
        help="draw what the training pipeline of this config makes of its training data",
    )
    group.add_argument("--final", action="store_true", help="with --augmented: the pipeline of the last epochs")
    add_cfg_options(group)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "convert", "convert between COCO format and YOLO-pose label text")
    parser.add_argument(
        "source",
        type=Path,
        help="COCO file (.json), folder of YOLO labels, or list of labels with image ids (.txt, .txt.gz)",
    )
    parser.add_argument(
        "out", type=Path, help="what to make: a .json file from labels, a new folder of labels from COCO"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images; labels need it for their sizes"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("W", "H"), help="size of all images of a list without images"
    )
    parser.add_argument(
        "--keypoints", type=int, default=None, metavar="K", help="keypoints a person (default: 17, or the file's)"
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="class names in label order (default: person, or the file's)"
    )
    parser.set_defaults(keypoint_file=None, keypoint_classes=None)
