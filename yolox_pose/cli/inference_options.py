"""Options of the commands that run a model: ``predict`` and ``serve``."""

from __future__ import annotations

import argparse
import re
from typing import TypedDict

from yolox_pose.cli.model_options import WEIGHTS_HELP, add_weights_option
from yolox_pose.structures.constants import DEFAULT_SCORE_THR
from yolox_pose.structures.settings import NMS_TYPES, SOFT_NMS_METHODS


def parse_sides(text: str) -> int | tuple[int, int]:
    """Return one number, or the two of ``HxW`` or ``H,W``.

    Raises:
        argparse.ArgumentTypeError: If the text is neither.
    """
    match = re.fullmatch(r"(\d+)(?:[x,](\d+))?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number such as 640 nor two such as 384x640")
    first, second = match.groups()
    return int(first) if second is None else (int(first), int(second))


class DetectionSettings(TypedDict):
    """Arguments of :class:`yolox_pose.PoseInferencer` that select detections."""

    score_thr: float | None
    nms_thr: float | None
    max_per_img: int | None
    nms_type: str | None
    oks_thr: float | None
    soft_nms: str | None
    soft_sigma: float | None
    classes: list[str] | None


class InputSettings(TypedDict):
    """Arguments of :class:`yolox_pose.PoseInferencer` that say at which size the network sees images."""

    size: int | tuple[int, int] | None
    tiles: int | tuple[int, int] | None
    tile_overlap: float


def add_model_options(parser: argparse._ArgumentGroup) -> None:
    """Add ``--checkpoint``, ``--weights-dir`` and ``--device``."""
    parser.add_argument("--checkpoint", metavar="W", help=f"weights: {WEIGHTS_HELP}")
    add_weights_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")


def add_input_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--size``, ``--tiles`` and ``--tile-overlap``."""
    parser.add_argument(
        "--size",
        type=parse_sides,
        metavar="N|HxW",
        help="size of the network's input, such as 640 or 384x640 (height x width): multiples of 32. Larger inputs find "
        "smaller persons and take more time (default: the model's)",
    )
    parser.add_argument(
        "--tiles",
        type=parse_sides,
        metavar="N|RxC",
        help="also look at R x C overlapping tiles of each image, for very large crowds (default: none)",
    )
    parser.add_argument(
        "--tile-overlap", type=float, default=0.25, metavar="S", help="share of a tile in its neighbor (default: 0.25)"
    )


def input_settings(args: argparse.Namespace) -> InputSettings:
    """Return the values of the options of :func:`add_input_options`."""
    return InputSettings(size=args.size, tiles=args.tiles, tile_overlap=args.tile_overlap)


def add_config_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        metavar="C",
        help="config file, or name of a config of this package (default, without --checkpoint: the bundled model)",
    )


def add_detection_options(parser: argparse._ActionsContainer, score_thr: float | None = None) -> None:
    """Add the options that select detections.

    Args:
        parser: Parser or group of options.
        score_thr: Default of ``--score-thr``. None leaves it to the inferencer.
    """
    parser.add_argument(
        "--score-thr",
        type=float,
        default=score_thr,
        metavar="S",
        help=f"lowest score of a person (default: {f'{DEFAULT_SCORE_THR}; 0.3 with --track' if score_thr is None else score_thr})",
    )
    parser.add_argument("--nms-thr", type=float, metavar="IOU", help="IoU above which two boxes are duplicates")
    parser.add_argument("--max-per-img", type=int, metavar="N", help="maximum number of persons per image")
    parser.add_argument("--nms-type", choices=NMS_TYPES, help="what NMS compares: boxes, poses, or both")
    parser.add_argument("--oks-thr", type=float, metavar="OKS", help="OKS above which two poses are duplicates")
    parser.add_argument(
        "--soft-nms", choices=SOFT_NMS_METHODS, help="lower the scores of duplicates instead of dropping them"
    )
    parser.add_argument("--soft-sigma", type=float, metavar="SIGMA", help="sigma of gaussian soft-NMS")
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="names or labels of the classes to detect (default: all)"
    )


def detection_settings(args: argparse.Namespace) -> DetectionSettings:
    """Return the values of the options of :func:`add_detection_options`."""
    return DetectionSettings(
        score_thr=args.score_thr,
        nms_thr=args.nms_thr,
        max_per_img=args.max_per_img,
        nms_type=args.nms_type,
        oks_thr=args.oks_thr,
        soft_nms=args.soft_nms,
        soft_sigma=args.soft_sigma,
        classes=args.classes,
    )
