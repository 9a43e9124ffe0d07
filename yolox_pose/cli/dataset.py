"""Make, check, count, draw and convert data sets: ``tools/dataset.py``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli.common import CommandParser, add_cfg_options, check_file
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.utils.text import counted

if TYPE_CHECKING:
    from yolox_pose.coco.inspection import Inspection
    from yolox_pose.structures.skeleton import Skeleton
    from yolox_pose.visualization.browse import LabeledImage


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(prog="yolox-pose dataset", description="Make, check, count, draw and convert data sets.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_synthesize, _add_check, _add_stats, _add_browse, _add_convert):
        add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Raises:
        DataError: If a file cannot be read or written.
    """
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except BrokenPipeError:
        raise
    except OSError as error:  # no permission, disk full, folder gone
        raise DataError(f"{args.command}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error


def _command(
    commands: argparse._SubParsersAction, run: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add the command that ``run`` carries out; its name is the function's."""
    parser = commands.add_parser(run.__name__, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    return parser


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, synthesize, "make images of synthetic crowds with exact COCO keypoint annotations")
    parser.add_argument("out", type=Path, help="folder to make; a folder with other content is never touched")
    parser.add_argument("--train", type=int, default=800, help="number of training images (default: %(default)s)")
    parser.add_argument("--val", type=int, default=100, help="number of validation images (default: %(default)s)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(192, 192), metavar=("W", "H"), help="size in pixels (default: 192 192)"
    )
    parser.add_argument(
        "--people", type=int, nargs=2, default=(2, 8), metavar=("MIN", "MAX"), help="people per image (default: 2 8)"
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=0,
        metavar="N",
        help="make sequences of N images in which people move; --train and --val then count sequences",
    )
    parser.add_argument(
        "--fps", type=float, default=DEFAULT_FPS, help="frame rate of the sequences (default: %(default)g)"
    )
    group = parser.add_argument_group("content of the images (defaults: CrowdOptions in yolox_pose.synthetic.options)")
    group.add_argument(
        "--heights",
        type=float,
        nargs=2,
        metavar=("MIN", "MAX"),
        help="heights of people, as shares of the image height",
    )
    for name, text in (
        ("occlusion", "0: people stand apart where there is room; 1: they stand anywhere, also behind objects"),
        ("person-free", "share of images without people"),
        ("crowd-regions", "share of images with an iscrowd region"),
        ("unlabelled", "share of people with a box but without keypoints"),
        ("least-shown", "people with a smaller visible share are left out"),
        ("clutter", "mean number of objects behind the people"),
        ("variety", "share of people in any pose and direction; the others stand facing the camera"),
    ):
        group.add_argument(f"--{name}", type=float, metavar="X", help=text)
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed; the same seed gives the same images (default: 0)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes; the result does not depend on it (default: 1)"
    )


def _add_source(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the annotation file and the options that say which part of it is read."""
    parser.add_argument("annotations", type=Path, nargs="?" if optional else None, help="COCO-format annotation file")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images")
    parser.add_argument(
        "--keypoints",
        type=int,
        metavar="K",
        help="number of keypoints per instance; 0 for boxes alone (default: as the file states)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="classes in label order; annotations of others are ignored (default: all)",
    )
    parser.add_argument(
        "--keypoint-file",
        type=Path,
        metavar="FILE",
        help="second annotation file of the same images, which holds the keypoints of the instances",
    )
    parser.add_argument(
        "--keypoint-classes",
        nargs="+",
        metavar="NAME",
        help="classes that have keypoints (default: all classes of the file with the keypoints)",
    )


def _add_check(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, check, "list all problems of an annotation file; exit with code 1 if there are any")
    _add_source(parser)
    parser.add_argument(
        "--decode",
        action="store_true",
        help="also decode every image and compare its size with the file (needs --images)",
    )
    parser.add_argument(
        "--workers", type=int, default=4, help="number of threads that decode images (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")


def _add_stats(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, stats, "count images, instances, sizes and keypoints")
    _add_source(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_browse(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, browse, "draw annotations, or augmented training samples, into images")
    _add_source(parser, optional=True)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the drawn images; must be empty or new"
    )
    parser.add_argument("--number", type=int, default=20, help="number of images (default: %(default)s)")
    parser.add_argument("--ids", type=int, nargs="+", metavar="ID", help="image ids to draw instead of a random choice")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choice (default: 0)")
    parser.add_argument("--zoom", type=float, default=2.0, help="enlargement (default: %(default)s)")
    group = parser.add_argument_group("augmented training samples")
    group.add_argument(
        "--augmented",
        metavar="CONFIG",
        help="draw the training data of this config as its training pipeline augments them",
    )
    group.add_argument("--final", action="store_true", help="with --augmented: use the pipeline of the last epochs")
    add_cfg_options(group)


def _add_convert(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, convert, "convert between COCO format and YOLO-pose label text")
    parser.add_argument(
        "source",
        type=Path,
        help="COCO file (.json), folder of YOLO labels, or list file of labels with image ids (.txt, .txt.gz)",
    )
    parser.add_argument("out", type=Path, help="output: a .json file from labels, or a new folder of labels from COCO")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images, from which labels get the image sizes"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("W", "H"), help="size of all images of a list file without images"
    )
    parser.add_argument(
        "--keypoints",
        type=int,
        default=None,
        metavar="K",
        help="number of keypoints per person (default: 17, or as the file states)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="class names in label order (default: person, or as the file states)",
    )
    parser.set_defaults(keypoint_file=None, keypoint_classes=None)


def synthesize(args: argparse.Namespace) -> int:
    """Make a synthetic data set."""
    from yolox_pose.synthetic.dataset import synthesize_crowd
    from yolox_pose.synthetic.options import CrowdOptions

    values = {field.name: getattr(args, field.name) for field in fields(CrowdOptions)}
    changed: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in values.items() if v is not None
    }
    made = synthesize_crowd(
        args.out,
        CrowdOptions(**changed),
        train=args.train,
        val=args.val,
        seed=args.seed,
        workers=args.workers,
        frames=args.frames,
        fps=args.fps,
    )
    print(f"{made.out_dir}: {'kept, these data were there already' if made.kept else 'written'}")
    for split, statistics in made.statistics.items():
        print(f"{split}:")
        for name, value in statistics.items():
            print(f"  {name.replace('_', ' '):<40}{value:>8,g}")
    return 0


def _inspect(args: argparse.Namespace, *, require_annotations: bool = False, decode_workers: int = 0) -> Inspection:
    """Read the annotation file that the options name.

    Raises:
        UsageError: If a file or the image folder does not exist.
        DataError: If a file is no COCO file at all.
    """
    from yolox_pose.coco.inspection import inspect_file

    if args.images is not None and not args.images.is_dir():
        raise UsageError(f"--images {args.images} is not a folder")
    if args.keypoint_file is not None:
        check_file(args.keypoint_file, "keypoint file")
    return inspect_file(
        check_file(args.annotations, "annotation file"),
        num_keypoints=args.keypoints,
        classes=args.classes,
        image_root=args.images,
        keypoint_file=args.keypoint_file,
        keypoint_classes=args.keypoint_classes,
        require_annotations=require_annotations,
        decode_workers=decode_workers,
    )


def check(args: argparse.Namespace) -> int:
    """List all problems of an annotation file; return 1 if there are any."""
    from yolox_pose.coco.inspection import check_report, unreadable

    if args.decode and args.images is None:
        raise UsageError("--decode needs --images, the folder of the images")
    try:
        decode_workers = max(args.workers, 1) if args.decode else 0
        inspection = _inspect(args, require_annotations=True, decode_workers=decode_workers)
    except DataError as error:
        inspection = unreadable(args.annotations, error)
    if args.json:
        print(json.dumps([problem._asdict() for problem in inspection.problems], indent=2))
    else:
        image_checks = "images decoded" if args.decode else "image files exist" if args.images else "images not checked"
        print(check_report(inspection, image_checks))
    return int(bool(inspection.problems))


def stats(args: argparse.Namespace) -> int:
    """Print the statistics of an annotation file."""
    from yolox_pose.coco.statistics import dataset_statistics, statistics_table

    inspection = _inspect(args)
    counted = dataset_statistics(inspection.require_records(), inspection.keypoint_names, inspection.crowd_regions)
    statistics = {"file": str(args.annotations), "problems": len(inspection.problems), **counted}
    if args.json:
        print(json.dumps(statistics, indent=2))
        return 0
    print(statistics_table(statistics))
    if inspection.problems:
        print(f"note: {len(inspection.problems)} problems, not counted above; run: dataset.py check {args.annotations}")
    return 0


def browse(args: argparse.Namespace) -> int:
    """Draw annotations, or augmented samples, into a new folder."""
    from yolox_pose.utils.progress import track
    from yolox_pose.visualization.browse import draw_labeled_image, write_image

    if (args.annotations is None) == (args.augmented is None):
        raise UsageError("browse: give either an annotation file with --images, or --augmented CONFIG")
    if args.number < 1 or args.zoom <= 0:
        raise UsageError("browse: --number must be at least 1 and --zoom above 0")
    images, count, skeleton, classes = _augmented_images(args) if args.augmented else _annotated_images(args)
    out = _new_folder(args.out)
    for image in track(images, "drawing", total=count):
        write_image(out / image.file_name, draw_labeled_image(image, skeleton, classes, args.zoom))
    print(f"{counted(count, 'pictures')} in {out}")
    return 0


_ImagesToDraw = tuple[Iterator["LabeledImage"], int, "Skeleton | None", Sequence[str]]
"""Images, their number, skeleton and class names."""


def _annotated_images(args: argparse.Namespace) -> _ImagesToDraw:
    """Return the chosen images of an annotation file."""
    from yolox_pose.visualization.browse import annotated_image, choose_images

    if args.images is None:
        raise UsageError("browse: an annotation file needs --images, the folder of the images")
    inspection = _inspect(args)
    records = inspection.require_records()
    chosen = choose_images(records.image_ids, args.ids, args.number, args.seed)
    images = map(partial(annotated_image, records, args.images), chosen)
    return images, len(chosen), inspection.skeleton, records.classes


def _augmented_images(args: argparse.Namespace) -> _ImagesToDraw:
    """Return the chosen images as the training pipeline of a config makes them."""
    from yolox_pose.config import load_config

    config = load_config(args.augmented, args.cfg_options)
    from yolox_pose.registry import DATASETS
    from yolox_pose.visualization.browse import augmented_image, choose_images

    if config.get("train_dataloader") is None:
        raise UsageError(f"{args.augmented} has no train_dataloader")
    dataset = DATASETS.build(config.train_dataloader.dataset)
    dataset.phase.final_epoch = 0 if args.final else None
    chosen = choose_images(dataset.records.image_ids, args.ids, args.number, args.seed)
    return map(partial(augmented_image, dataset), chosen), len(chosen), dataset.skeleton, dataset.classes


def convert(args: argparse.Namespace) -> int:
    """Convert COCO format to YOLO-pose labels or back."""
    if not args.source.exists():
        raise UsageError(f"{args.source} does not exist")
    if args.out.exists() and not (args.out.is_dir() and not any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists already; give another name")
    return _labels_from_coco(args) if args.source.suffix == ".json" else _coco_from_labels(args)


def _labels_from_coco(args: argparse.Namespace) -> int:
    from yolox_pose.coco.yolo_labels import folder_from_records
    from yolox_pose.utils.progress import track

    args.annotations = args.source
    inspection = _inspect(args)
    records = inspection.require_records(without_problems=True)
    files, lines = folder_from_records(records, _new_folder(args.out), partial(track, description="label files"))
    regions = inspection.crowd_regions
    left_out = f", {counted(regions, 'crowd regions')} left out" if regions else ""
    labels = f"{counted(files, 'label files')} with {counted(lines, 'instances')}"
    print(f"{args.out}: {labels} of {counted(records.num_keypoints, 'keypoints')}{left_out}")
    return 0


def _coco_from_labels(args: argparse.Namespace) -> int:
    from yolox_pose.coco.yolo_labels import coco_from_folder, coco_from_list, default_keypoint_names
    from yolox_pose.utils.json_files import write_json
    from yolox_pose.utils.progress import track

    if args.out.suffix != ".json":
        raise UsageError(f"{args.out}: labels are converted to a .json file")
    names = default_keypoint_names(args.keypoints)
    progress = partial(track, description="converting")
    if args.source.is_dir():
        if args.images is None or not args.images.is_dir():
            raise UsageError("convert: --images must name the folder of the images, from which their sizes are read")
        dataset = coco_from_folder(args.source, args.images, args.classes or ["person"], names, progress)
    else:
        if (args.images is None) == (args.size is None):
            raise UsageError("convert: give either --images, from which sizes are read, or --size W H")
        size = None if args.size is None else (args.size[0], args.size[1])
        dataset = coco_from_list(args.source, names, images=args.images, size=size, progress=progress)
    write_json(args.out, dataset)
    counts = f"{counted(len(dataset['images']), 'images')}, {counted(len(dataset['annotations']), 'instances')}"
    print(f"{args.out}: {counts}")
    return 0


def _new_folder(path: Path) -> Path:
    """Make a folder that is empty.

    Raises:
        UsageError: If something is there already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already and is not an empty folder; give another name")
    path.mkdir(parents=True, exist_ok=True)
    return path
