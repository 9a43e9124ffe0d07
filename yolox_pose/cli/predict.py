"""``demo/demo.py`` and ``yolox-pose predict``: find poses in images and videos, draw them, write them as COCO results."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from yolox_pose.cli.common import check_file, choose_model
from yolox_pose.cli.model_options import add_weights_option
from yolox_pose.errors import DataError, UsageError
from yolox_pose.utils.progress import track

if TYPE_CHECKING:
    from yolox_pose.coco.ground_truth import GroundTruth
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.plotter import Plotter
    from yolox_pose.inference.results import PoseResult
    from yolox_pose.io.sources import Source

EXAMPLES = """examples:
  python demo/demo.py photo.jpg
  python demo/demo.py photo.jpg --model s
  python demo/demo.py photo.jpg --config C.py --checkpoint W.pth
  python demo/demo.py photos/ 'more/**/*.png' --config C.py --checkpoint W.pth --out drawn --json drawn/results.json
  python demo/demo.py match.mp4 --track --smooth --config C.py --checkpoint W.pth --csv match.csv
  python demo/demo.py 0 --show --config C.py --checkpoint W.pth
  yolox-pose predict photos/ --model exported/model.onnx
  python demo/demo.py val2017/ --config C.py --checkpoint W.pth --compare person_keypoints_val2017.json --zoom 1.5
"""

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
"""Formats that a drawn picture keeps from its source; others become PNG."""

CROPS = "crops"
"""Folder inside ``--out`` of the single persons."""


class Output(NamedTuple):
    """Where the results of one source go.

    Attributes:
        picture: Picture, or video of the drawn frames.
        image_id: Id of an image; of a video what the ids of its frames begin with.
    """

    picture: Path
    image_id: int | str


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="predict",
        description="Find people and their poses in images and videos, draw them and write them as COCO results. "
        "Inputs are never written to.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image, video, folder of images, pattern such as 'a/**/*.jpg', address (http, rtsp ...) or number of a camera",
    )
    _add_model(parser.add_argument_group("model"))
    _add_thresholds(parser.add_argument_group("what counts as found"))
    video = parser.add_argument_group("videos, and images that are frames of one")
    video.add_argument("--track", action="store_true", help="give persons ids that are the same in all frames")
    video.add_argument("--smooth", action="store_true", help="smooth the keypoints of tracked persons (with --track)")
    video.add_argument("--frames", type=int, metavar="N", help="stop after N images or frames")
    _add_output(parser.add_argument_group("output"))
    return parser


def _add_model(model: argparse._ArgumentGroup) -> None:
    which = model.add_mutually_exclusive_group()
    which.add_argument(
        "--config",
        metavar="C",
        help="config file, or the name of a config of this package (default: the bundled model, with --checkpoint)",
    )
    which.add_argument(
        "--model",
        metavar="M",
        help="exported model (.onnx, .xml, .param), which runs without torch; or weights: a name that 'yolox-pose weights "
        "list' shows, such as s, a URL or a file",
    )
    model.add_argument(
        "--checkpoint", metavar="W", help="weights: a name, a URL, or a file with --config C if it holds none"
    )
    add_weights_option(model)
    model.add_argument(
        "--backend",
        metavar="B",
        help="what runs --model: onnxruntime, openvino, ncnn or opencv (default: by its ending)",
    )
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    model.add_argument("--batch-size", type=int, default=4, metavar="N", help="images at a time (default: 4)")
    model.add_argument("--half", action="store_true", help="half precision: float16 on a GPU, bfloat16 on a CPU")


def _add_thresholds(found: argparse._ArgumentGroup) -> None:
    found.add_argument(
        "--score-thr", type=float, default=0.3, metavar="S", help="lowest score of a person (default: 0.3)"
    )
    found.add_argument("--nms-thr", type=float, metavar="IOU", help="overlap above which the lower of two boxes goes")
    found.add_argument("--max-per-img", type=int, metavar="N", help="most persons an image")
    found.add_argument(
        "--classes", nargs="+", metavar="NAME", help="names or numbers of the classes that are looked for"
    )
    found.add_argument(
        "--kpt-thr", type=float, default=0.3, metavar="S", help="lowest score of a drawn keypoint (default: 0.3)"
    )


def _add_output(output: argparse._ArgumentGroup) -> None:
    output.add_argument(
        "--out",
        type=Path,
        default=Path("predictions"),
        metavar="DIR",
        help="folder of the drawn pictures and videos (default: predictions)",
    )
    output.add_argument("--no-pictures", action="store_true", help="draw nothing: only --json, --csv or --crops")
    output.add_argument("--json", type=Path, metavar="FILE", help="also write all results into one COCO results file")
    output.add_argument("--csv", type=Path, metavar="FILE", help="also write a table with one line a person")
    output.add_argument("--crops", action="store_true", help=f"also write every single person into DIR/{CROPS}")
    output.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    output.add_argument("--zoom", type=float, default=1.0, metavar="Z", help="enlarge drawn pictures (default: 1)")
    output.add_argument(
        "--compare",
        type=Path,
        metavar="ANN.json",
        help="COCO file: draw its ground truth beside the result, and take image and category ids from it",
    )
    output.add_argument("--show", action="store_true", help="also show it in a window; any key goes on, q ends")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if no image could be read."""
    args = build_parser().parse_args(argv)
    _check_options(args)
    from yolox_pose.io.sources import list_sources

    sources = list(dict.fromkeys(list_sources(args.inputs)))
    outputs = plan_outputs(sources, args.out)
    pictures = [] if args.no_pictures else [output.picture for output in outputs.values()]
    tables = [path for path in (args.json, args.csv) if path is not None]
    check_outputs([source.path for source in sources if source.path is not None], [*pictures, *tables], args.overwrite)
    if args.crops:
        _make_crops_folder(args.out / CROPS, args.overwrite)
    truth = None
    if args.compare is not None:
        from yolox_pose.coco.ground_truth import GroundTruth

        truth = GroundTruth.load(args.compare)
    return _predict(args, sources, outputs, truth)


def plan_outputs(sources: Sequence[Source], folder: Path) -> dict[Source, Output]:
    """Name the picture and the image id of each input; equal names from different folders get a number behind them.

    The id is the number that the file is named by, as in COCO, else its name without the ending. A video becomes an mp4.
    """
    outputs: dict[Source, Output] = {}
    pictures: set[str] = set()
    ids: set[int | str] = set()
    for source in sources:
        name = Path(source.name or "image")
        suffix = ".mp4" if source.is_video else name.suffix if name.suffix.lower() in PICTURE_SUFFIXES else ".png"
        picture, count = name.stem + suffix, 1
        image_id: int | str = name.stem
        if name.stem.isascii() and name.stem.isdigit() and not source.is_video:
            image_id = int(name.stem)
        while picture.lower() in pictures or image_id in ids:
            count += 1
            picture, image_id = f"{name.stem}_{count}{suffix}", f"{name.stem}_{count}"
        pictures.add(picture.lower())
        ids.add(image_id)
        outputs[source] = Output(folder / picture, image_id)
    return outputs


def check_outputs(inputs: Sequence[Path], outputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before anything is computed, to write over an input or, without ``overwrite``, over anything.

    Raises:
        UsageError: If a file to write is an input or exists, or a folder cannot be made.
    """
    sources = {path.resolve() for path in inputs}
    written = [path for path in outputs if path.resolve() in sources]
    if written:
        raise UsageError(f"{written[0]} is an input and is not written to; choose another --out")
    existing = [path for path in outputs if path.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{others} exists already; choose another --out or file, or add --overwrite")
    for folder in dict.fromkeys(path.parent for path in outputs):
        _make_folder(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"folder {folder} cannot be made: {error.strerror or error}") from None


def _make_crops_folder(folder: Path, overwrite: bool) -> None:
    """Make the folder of the single persons, whose number is not known yet: it must be empty without ``overwrite``."""
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise UsageError(f"{folder} holds files already; choose another --out, or add --overwrite")
    _make_folder(folder)


def _check_options(args: argparse.Namespace) -> None:
    from yolox_pose.inference.inferencer import is_exported

    if args.model is not None and not is_exported(args.model) and args.checkpoint is None:
        args.model, args.checkpoint = None, args.model
    if args.model is not None and args.checkpoint is not None:
        raise UsageError("--config C and --checkpoint W go together; an exported --model has its own weights")
    if args.model is None:
        args.config, args.checkpoint = choose_model(args.config, args.checkpoint)
        if args.backend is not None:
            raise UsageError("--backend is for an exported --model")
    if args.compare is not None:
        check_file(args.compare, "annotations")
    if args.json is not None and args.json.suffix.lower() != ".json":
        raise UsageError(f"--json {args.json}: the name of a results file ends in .json")
    if args.csv is not None and args.csv.suffix.lower() != ".csv":
        raise UsageError(f"--csv {args.csv}: the name of a table ends in .csv")
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames must be at least 1, not {args.frames}")
    if args.no_pictures and not (args.json or args.csv or args.crops or args.show):
        raise UsageError("--no-pictures leaves nothing to write; add --json, --csv or --crops")
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
    args: argparse.Namespace, sources: Sequence[Source], outputs: dict[Source, Output], truth: GroundTruth | None
) -> int:
    """Run the model over the images and write what it finds."""
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.plotter import Plotter, plot_processes
    from yolox_pose.io.sources import count_frames

    pose = PoseInferencer(
        args.config if args.model is None else args.model,
        args.checkpoint,
        args.device,
        score_thr=args.score_thr,
        nms_thr=args.nms_thr,
        max_per_img=args.max_per_img,
        batch_size=args.batch_size,
        classes=args.classes,
        half=args.half,
        keep_images=True,
        backend=args.backend,
    )
    frames, total = args.frames, count_frames(sources)
    if frames is not None:
        total = frames if total is None else min(frames, total)
    elsewhere = not args.no_pictures and not any(source.is_live for source in sources)
    processes = plot_processes(total) if elsewhere else 0
    tally = _Tally(time.perf_counter())
    with (
        Plotter(processes, kpt_thr=args.kpt_thr, zoom=args.zoom) as plotter,
        _Writers(args, outputs, truth, pose, plotter) as writers,
    ):
        results = pose(sources, track=args.track, smooth=args.smooth)
        try:
            for result in track(_at_most(results, frames), "predict", total=total):
                picture = writers.write(result)
                tally.images, tally.persons = tally.images + 1, tally.persons + len(result)
                if args.show and _show(picture(), wait=result.frame is None):
                    break
        except KeyboardInterrupt:
            print("\nstopped: what was found so far is kept", file=sys.stderr)
    _report(args, tally, pose)
    return 0 if tally.images else DataError.exit_code


class _Tally:
    """What was done since a start time."""

    def __init__(self, start: float) -> None:
        self.start, self.images, self.persons = start, 0, 0


def _at_most(results: Iterator[PoseResult], count: int | None) -> Iterator[PoseResult]:
    """The first results; what reads ahead is ended with them."""
    with closing(results):  # type: ignore[type-var]
        yield from islice(results, count)


class _Writers:
    """The files that results go into, written by a thread while the network is at the next images."""

    def __init__(
        self,
        args: argparse.Namespace,
        outputs: dict[Source, Output],
        truth: GroundTruth | None,
        pose: PoseInferencer,
        plotter: Plotter,
    ) -> None:
        from yolox_pose.inference.plotter import DRAWN_AHEAD
        from yolox_pose.inference.writers import CocoFile, CsvFile, VideoFiles
        from yolox_pose.utils.background import BackgroundWorker

        self.args, self.outputs, self.truth, self.plotter = args, outputs, truth, plotter
        category_ids = truth.ids_of_classes(pose.classes) if truth is not None else None
        self.tables = [CocoFile(args.json, category_ids)] if args.json is not None else []
        self.tables += [CsvFile(args.csv)] if args.csv is not None else []
        self.videos = VideoFiles()
        self.worker = BackgroundWorker(DRAWN_AHEAD)
        self._stack = ExitStack()

    def __enter__(self) -> _Writers:
        for file in (*self.tables, self.videos, self.worker):  # the worker, last in, is waited for first
            self._stack.enter_context(file)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, result: PoseResult) -> Callable[[], Any]:
        """Have a result written; returns what gives its picture."""
        picture = partial(_with_truth, self.plotter.plot(result), result, self.args.zoom, self.truth)
        self.worker.submit(self._write, result, picture)
        return picture

    def _write(self, result: PoseResult, picture: Callable[[], Any]) -> None:
        from yolox_pose.inference.writers import write_crops, write_picture

        output = self.outputs[result.source]
        image_id = output.image_id
        if result.frame is not None:
            image_id = f"{image_id}_{result.frame:06d}"
        elif self.truth is not None:
            image_id = self.truth.ids_by_file_name.get(result.name, image_id)
        for table in self.tables:
            table.write(result, image_id)
        if self.args.crops:
            write_crops(self.args.out / CROPS, result, image_id)
        if self.args.no_pictures:
            return
        if result.frame is None:
            write_picture(output.picture, picture())
        else:
            self.videos.write(output.picture, picture(), result.fps)


def _with_truth(picture: Callable[[], Any], result: PoseResult, zoom: float, truth: GroundTruth | None) -> Any:
    """Picture of a result, beside its ground truth if that is given."""
    if truth is None:
        return picture()
    from yolox_pose.visualization.side_by_side import draw_ground_truth, side_by_side

    annotated = draw_ground_truth(result.image, truth, Path(result.name or "").name, result.skeleton, zoom)
    return side_by_side(annotated, picture(), ("ground truth", "prediction"))


def _show(picture: Any, wait: bool) -> bool:
    """Show a picture, an image until a key is pressed; true for q or Escape."""
    import cv2

    cv2.imshow("yolox-pose", picture)
    return (cv2.waitKey(0 if wait else 1) & 0xFF) in (ord("q"), 27)


def _report(args: argparse.Namespace, tally: _Tally, pose: PoseInferencer) -> None:
    seconds = max(time.perf_counter() - tally.start, 1e-9)
    found = f"{tally.persons} {'persons' if len(pose.keypoint_classes) == len(pose.classes) else 'objects'}"
    skipped = f"; {len(pose.skipped)} could not be read and were skipped" if pose.skipped else ""
    print(f"{tally.images} images, {found}, {tally.images / seconds:.1f} images/s{skipped}")
    if not tally.images:
        return
    written = {
        "pictures:": None if args.no_pictures else args.out,
        "results: ": args.json,
        "table:   ": args.csv,
        "persons: ": args.out / CROPS if args.crops else None,
    }
    for what, path in written.items():
        if path is not None:
            print(f"{what} {path.resolve()}")
