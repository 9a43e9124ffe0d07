"""``demo/demo.py`` and ``yolox-pose predict``: find poses in images, draw them, write them as COCO results."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from yolox_pose.errors import DataError, UsageError
from yolox_pose.progress import track

if TYPE_CHECKING:
    from yolox_pose.apis.comparison import GroundTruth
    from yolox_pose.apis.results import PoseResult

EXAMPLES = """examples:
  python demo/demo.py photo.jpg --config C.py --checkpoint W.pth
  python demo/demo.py photos/ 'more/**/*.png' --config C.py --checkpoint W.pth --out drawn --json drawn/results.json
  python demo/demo.py val2017/ --config C.py --checkpoint W.pth --compare person_keypoints_val2017.json --zoom 1.5
"""

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""Formats that a drawn picture keeps from its source; others become PNG."""


class Output(NamedTuple):
    """Where the results of one image go."""

    picture: Path
    image_id: int | str


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="predict",
        description="Find people and their poses in images, draw them and write them as COCO results. "
        "Inputs are never written to.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="image, folder of images, or pattern such as 'a/**/*.jpg'"
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--config", required=True, metavar="C", help="config file, or the name of a config of this package"
    )
    model.add_argument("--checkpoint", required=True, metavar="W", help="weights of the model")
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    model.add_argument("--batch-size", type=int, default=4, metavar="N", help="images at a time (default: 4)")
    found = parser.add_argument_group("what counts as found")
    found.add_argument(
        "--score-thr", type=float, default=0.3, metavar="S", help="lowest score of a person (default: 0.3)"
    )
    found.add_argument("--nms-thr", type=float, metavar="IOU", help="overlap above which the lower of two boxes goes")
    found.add_argument("--max-persons", type=int, metavar="N", help="most persons an image")
    found.add_argument(
        "--kpt-thr", type=float, default=0.3, metavar="S", help="lowest score of a drawn keypoint (default: 0.3)"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        metavar="DIR",
        help="folder of the drawn pictures (default: predictions)",
    )
    output.add_argument("--json", type=Path, metavar="FILE", help="also write all results into one COCO results file")
    output.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    output.add_argument("--zoom", type=float, default=1.0, metavar="Z", help="enlarge drawn pictures (default: 1)")
    output.add_argument(
        "--compare",
        type=Path,
        metavar="ANN.json",
        help="COCO file: draw its ground truth beside the result, and take image and category ids from it",
    )
    output.add_argument(
        "--show", action="store_true", help="also show each picture in a window; any key goes on, q ends"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if no image could be read."""
    args = build_parser().parse_args(argv)
    _check_options(args)
    from yolox_pose.apis.sources import list_sources

    paths = list(dict.fromkeys(source.path for source in list_sources(args.inputs) if source.path is not None))
    outputs = plan_outputs(paths, args.out)
    check_outputs(paths, [output.picture for output in outputs.values()], args.json, args.overwrite)
    truth = None
    if args.compare is not None:
        from yolox_pose.apis.comparison import GroundTruth

        truth = GroundTruth(args.compare)
    return _predict(args, paths, outputs, truth)


def plan_outputs(paths: Sequence[Path], folder: Path) -> dict[Path, Output]:
    """Name the picture and the image id of each input; equal names from different folders get a number behind them.

    The id is the number that the file is named by, as in COCO, else its name without the ending.
    """
    outputs: dict[Path, Output] = {}
    pictures: set[str] = set()
    ids: set[int | str] = set()
    for path in paths:
        suffix = path.suffix if path.suffix.lower() in PICTURE_SUFFIXES else ".png"
        picture, count = path.stem + suffix, 1
        image_id: int | str = int(path.stem) if path.stem.isascii() and path.stem.isdigit() else path.stem
        while picture.lower() in pictures or image_id in ids:
            count += 1
            picture, image_id = f"{path.stem}_{count}{suffix}", f"{path.stem}_{count}"
        pictures.add(picture.lower())
        ids.add(image_id)
        outputs[path] = Output(folder / picture, image_id)
    return outputs


def check_outputs(inputs: Sequence[Path], pictures: Sequence[Path], results: Path | None, overwrite: bool) -> None:
    """Refuse, before anything is computed, to write over an input or, without ``overwrite``, over anything.

    Raises:
        UsageError: If a file to write is an input or exists, or a folder cannot be made.
    """
    outputs = [*pictures, *([results] if results is not None else [])]
    sources = {path.resolve() for path in inputs}
    written = [path for path in outputs if path.resolve() in sources]
    if written:
        raise UsageError(f"{written[0]} is an input and is not written to; choose another --out")
    existing = [path for path in outputs if path.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{others} exists already; choose another --out or --json, or add --overwrite")
    for folder in dict.fromkeys(path.parent for path in outputs):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"folder {folder} cannot be made: {error.strerror or error}") from None


def _check_options(args: argparse.Namespace) -> None:
    from yolox_pose.cli.common import check_file

    check_file(args.checkpoint, "checkpoint")
    if args.compare is not None:
        check_file(args.compare, "annotations")
    if args.json is not None and args.json.suffix.lower() != ".json":
        raise UsageError(f"--json {args.json}: the name of a results file ends in .json")
    if not 0 < args.zoom <= 8:
        raise UsageError(f"--zoom must be above 0 and at most 8, not {args.zoom}")
    if args.show:
        _check_window()


def _check_window() -> None:
    """Find out at the start whether pictures can be shown.

    Raises:
        UsageError: If this OpenCV has no windows, or there is no display.
    """
    import cv2

    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("--show: there is no display here; look at the pictures in --out instead")
    try:
        cv2.namedWindow("yolox-pose")
    except cv2.error:
        raise UsageError(
            "--show: this OpenCV has no windows; install opencv-python in place of opencv-python-headless"
        ) from None


def _predict(
    args: argparse.Namespace, paths: Sequence[Path], outputs: dict[Path, Output], truth: GroundTruth | None
) -> int:
    """Run the model over the images and write what it finds."""
    from yolox_pose.apis.inferencer import PoseInferencer

    pose = PoseInferencer(
        args.config,
        args.checkpoint,
        args.device,
        score_threshold=args.score_thr,
        nms_threshold=args.nms_thr,
        max_persons=args.max_persons,
        batch_size=args.batch_size,
        keep_images=True,
    )
    category_ids = truth.category_ids(pose.classes) if truth is not None else None
    entries: list[dict[str, Any]] = []
    images = persons = 0
    start = time.perf_counter()
    for result in track(pose(paths), "predict", total=len(paths)):
        assert result.path is not None, "the images are files"
        output = outputs[result.path]
        picture = _draw(result, result.path, args, truth)
        _write(output.picture, picture)
        image_id = truth.image_ids.get(result.path.name, output.image_id) if truth is not None else output.image_id
        entries += result.to_coco(image_id, category_ids)
        images, persons = images + 1, persons + len(result)
        if args.show and _show(picture):
            break
    seconds = time.perf_counter() - start
    if args.json is not None and images:
        _write_json(args.json, entries)
    found = f"{persons} {'persons' if len(pose.keypoint_classes) == len(pose.classes) else 'objects'}"
    _report(args, images, found, len(pose.skipped), seconds)
    return 0 if images else DataError.exit_code


def _draw(result: PoseResult, path: Path, args: argparse.Namespace, truth: GroundTruth | None) -> Any:
    """Picture of a result, beside its ground truth if that is given."""
    picture = result.plot(keypoint_threshold=args.kpt_thr, zoom=args.zoom)
    if truth is None:
        return picture
    from yolox_pose.apis.comparison import side_by_side

    annotated = truth.draw(result.image, path, result.skeleton, zoom=args.zoom)
    return side_by_side(annotated, picture, ("ground truth", "prediction"))


def _write(path: Path, picture: Any) -> None:
    from yolox_pose.apis.results import encode_picture

    try:
        path.write_bytes(encode_picture(picture, path))
    except OSError as error:
        raise DataError(f"picture {path} cannot be written: {error.strerror or error}") from None


def _write_json(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write the results file in one go, so that it is either whole or not there."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(list(entries)))
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"results {path} cannot be written: {error.strerror or error}") from None


def _show(picture: Any) -> bool:
    """Show a picture until a key is pressed; true for q or Escape."""
    import cv2

    cv2.imshow("yolox-pose", picture)
    return (cv2.waitKey(0) & 0xFF) in (ord("q"), 27)


def _report(args: argparse.Namespace, images: int, found: str, skipped: int, seconds: float) -> None:
    line = f"{images} images, {found}, {images / max(seconds, 1e-9):.1f} images/s"
    print(line + (f"; {skipped} could not be read and were skipped" if skipped else ""))
    if not images:
        return
    print(f"pictures: {args.out.resolve()}")
    if args.json is not None:
        print(f"results:  {args.json.resolve()}")
