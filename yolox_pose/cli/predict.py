"""``yolox-pose predict`` and ``demo/demo.py``: detect poses in images and videos, draw them, write COCO results."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, redirect_stdout
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli import INTERRUPTED
from yolox_pose.cli.common import check_file, choose_model
from yolox_pose.cli.inference_options import (
    add_config_option,
    add_detection_options,
    add_input_options,
    add_model_options,
    detection_settings,
    input_settings,
)
from yolox_pose.cli.model_options import WEIGHTS_HELP
from yolox_pose.errors import DataError, UsageError
from yolox_pose.utils.progress import track
from yolox_pose.utils.text import counted

if TYPE_CHECKING:
    from yolox_pose.coco.ground_truth import GroundTruth
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.outputs import Output
    from yolox_pose.inference.results import PoseResult
    from yolox_pose.io.sources import Source

EXAMPLES = """examples:
  yolox-pose predict photo.jpg
  yolox-pose predict photo.jpg --model s
  yolox-pose predict photo.jpg --config C.py --checkpoint W.pth
  yolox-pose predict photos/ 'more/**/*.png' --out drawn --json drawn/results.json
  yolox-pose predict crowd.jpg --size 640
  yolox-pose predict stadium.jpg --tiles 3x4
  yolox-pose predict match.mp4 --track --smooth --csv match.csv
  yolox-pose predict photos/ --recursive --model s --quiet
  yolox-pose predict match.mp4 --vid-stride 5
  yolox-pose predict 0 --show
  yolox-pose predict photos/ --model exported/model.onnx
  yolox-pose predict val2017/ --config C.py --checkpoint W.pth --compare person_keypoints_val2017.json --zoom 1.5
"""

DEFAULT_OUT = Path("predictions")
"""Folder of the outputs without ``--out``."""

WINDOW = "yolox-pose"
"""Name of the window of ``--show``."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose predict",
        description="Detect persons and their poses in images and videos, draw them and write COCO results. "
        "Input files are never overwritten.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="image, video, folder, pattern such as 'a/**/*.jpg', address (http, rtsp ...) or camera number",
    )
    parser.add_argument("--recursive", action="store_true", help="include the subfolders of folders")
    _add_model_options(parser.add_argument_group("model"))
    detections = parser.add_argument_group("detections")
    add_detection_options(detections)
    detections.add_argument(
        "--kpt-thr", type=float, default=0.3, metavar="S", help="lowest score of a drawn keypoint (default: 0.3)"
    )
    video = parser.add_argument_group("videos and image sequences")
    video.add_argument("--track", action="store_true", help="assign track ids to persons (needs scipy)")
    video.add_argument("--smooth", action="store_true", help="smooth the keypoints of tracked persons; implies --track")
    video.add_argument(
        "--vid-stride", type=int, default=1, metavar="N", help="process every N-th frame of videos (default: 1)"
    )
    video.add_argument("--frames", type=int, metavar="N", help="stop after N images or frames")
    _add_output_options(parser.add_argument_group("output"))
    return parser


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    model = group.add_mutually_exclusive_group()
    add_config_option(model)
    model.add_argument(
        "--model",
        metavar="M",
        help=f"exported model (.onnx, .xml, .param), which needs no torch; or weights: {WEIGHTS_HELP}",
    )
    add_model_options(group)
    add_input_options(group)
    group.add_argument(
        "--backend",
        metavar="B",
        help="runtime of --model: onnxruntime, openvino, ncnn or opencv (default: by its ending)",
    )
    group.add_argument("--batch-size", type=int, default=4, metavar="N", help="images in a batch (default: 4)")
    group.add_argument("--half", action="store_true", help="half precision: float16 on a GPU, bfloat16 on a CPU")


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the drawn pictures and videos (default: predictions; if that holds the results of an earlier run, "
        "predictions2, predictions3 ...)",
    )
    group.add_argument("--no-pictures", action="store_true", help="draw nothing; write only --json, --csv or --crops")
    group.add_argument("--json", type=Path, metavar="FILE", help="also write all results to a COCO results file")
    group.add_argument("--csv", type=Path, metavar="FILE", help="also write a table with a row for each person")
    group.add_argument("--crops", action="store_true", help="also write the image of each person to DIR/crops")
    group.add_argument("--overwrite", action="store_true", help="replace existing results")
    group.add_argument("--quiet", action="store_true", help="print only warnings and errors: no progress, no summary")
    group.add_argument("--zoom", type=float, default=1.0, metavar="Z", help="enlarge drawn pictures (default: 1)")
    group.add_argument("--no-boxes", action="store_true", help="draw no boxes")
    group.add_argument("--no-tags", action="store_true", help="draw no tags")
    group.add_argument(
        "--line-width",
        type=float,
        metavar="PX",
        help="width of limbs and boxes in pixels (default: by the person's size)",
    )
    group.add_argument(
        "--compare",
        type=Path,
        metavar="ANN.json",
        help="COCO file: draw its ground truth beside the results, and use its image and category ids",
    )
    group.add_argument("--show", action="store_true", help="also show pictures in a window; any key continues, q quits")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        Exit code: 0, 1 if no image could be read, or 130 after Ctrl-C.
    """
    args = build_parser().parse_args(argv)
    if not args.quiet:
        return _run(args)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    """Check the options, list inputs and outputs, and predict; returns the exit code."""
    _check_options(args)
    from yolox_pose.coco.ground_truth import GroundTruth
    from yolox_pose.inference.outputs import CROPS, check_crops_folder, check_outputs, output_folders, plan_outputs
    from yolox_pose.io.sources import list_sources

    # Check the outputs before anything is computed
    sources = list(dict.fromkeys(list_sources(args.inputs, recursive=args.recursive, vid_stride=args.vid_stride)))
    _choose_folder(args, sources)
    outputs = plan_outputs(sources, args.out)
    files = _output_files(args, outputs)
    folders = [path.parent for path in files]
    check_outputs([source.path for source in sources if source.path is not None], files, args.overwrite)
    if args.crops:
        check_crops_folder(args.out / CROPS, args.overwrite)
        folders.append(args.out / CROPS)
    truth = None if args.compare is None else GroundTruth.load(args.compare)

    with output_folders(folders):
        return _predict(args, sources, outputs, truth)


def _choose_folder(args: argparse.Namespace, sources: Sequence[Source]) -> None:
    """Set ``--out`` where it is left out: ``predictions``, numbered if that holds results of an earlier run.

    ``--json`` and ``--csv`` inside ``predictions`` follow into the numbered folder.
    """
    from yolox_pose.inference.outputs import CROPS, is_filled, next_free_folder, plan_outputs

    if args.out is not None:
        return
    named = {"json": args.json, "csv": args.csv}

    def set_folder(folder: Path) -> None:
        args.out = folder
        for option, path in named.items():
            if path is not None and path.is_relative_to(DEFAULT_OUT):
                setattr(args, option, folder / path.relative_to(DEFAULT_OUT))

    def is_free(folder: Path) -> bool:
        set_folder(folder)
        files = [path for path in _output_files(args, plan_outputs(sources, folder)) if path.is_relative_to(folder)]
        return not any(path.exists() for path in files) and not (args.crops and is_filled(folder / CROPS))

    set_folder(DEFAULT_OUT if args.overwrite else next_free_folder(DEFAULT_OUT, is_free))


def _output_files(args: argparse.Namespace, outputs: dict[Source, Output]) -> list[Path]:
    """Return the pictures, videos and tables that will be written."""
    pictures = [] if args.no_pictures else [output.picture for output in outputs.values()]
    return [*pictures, *(path for path in (args.json, args.csv) if path is not None)]


def _check_options(args: argparse.Namespace) -> None:
    """Check the options that argparse cannot check, and choose the model.

    Raises:
        UsageError: If an option is wrong, in one line that names it.
    """
    from yolox_pose.inference.inferencer import is_exported

    # Choose the model; --model names an exported model or weights
    if args.model is not None and not is_exported(args.model) and args.checkpoint is None:
        args.model, args.checkpoint = None, args.model
    if args.model is not None and args.checkpoint is not None:
        raise UsageError("--config C and --checkpoint W go together; an exported --model has its own weights")
    if args.model is None:
        args.config, args.checkpoint = choose_model(args.config, args.checkpoint, args.backend)
        if args.backend is not None and args.checkpoint is not None:
            raise UsageError("--backend is for an exported --model")

    # Check the outputs
    if args.compare is not None:
        check_file(args.compare, "annotations")
    if args.json is not None and args.json.suffix.lower() != ".json":
        raise UsageError(f"--json {args.json}: the name of a results file ends in .json")
    if args.csv is not None and args.csv.suffix.lower() != ".csv":
        raise UsageError(f"--csv {args.csv}: the name of a table ends in .csv")
    if args.no_pictures and not (args.json or args.csv or args.crops or args.show):
        raise UsageError("--no-pictures leaves nothing to write; add --json, --csv or --crops")
    if args.show:
        _check_window()

    # Check the numbers
    if args.vid_stride < 1:
        raise UsageError(f"--vid-stride must be at least 1, not {args.vid_stride}")
    if args.frames is not None and args.frames < 1:
        raise UsageError(f"--frames must be at least 1, not {args.frames}")
    if args.line_width is not None and not 0 < args.line_width <= 100:
        raise UsageError(f"--line-width must be above 0 and at most 100, not {args.line_width}")
    if not 0 < args.zoom <= 8:
        raise UsageError(f"--zoom must be above 0 and at most 8, not {args.zoom}")


def _check_window() -> None:
    """Check that pictures can be shown.

    Raises:
        UsageError: If this OpenCV has no windows, or there is no display.
    """
    import cv2

    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("--show: there is no display; look at the pictures in --out instead")
    try:
        cv2.namedWindow(WINDOW)
    except cv2.error:
        raise UsageError(
            "--show: this OpenCV has no windows; install opencv-python in place of opencv-python-headless"
        ) from None


class _Tally:
    """Numbers of images and persons since a start time."""

    def __init__(self) -> None:
        self.start, self.images, self.persons = time.perf_counter(), 0, 0

    def add(self, result: PoseResult) -> None:
        """Count a result."""
        self.images += 1
        self.persons += len(result)


def _predict(
    args: argparse.Namespace, sources: Sequence[Source], outputs: dict[Source, Output], truth: GroundTruth | None
) -> int:
    """Run the model on the images and write the results; returns the exit code."""
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.inference.outputs import CROPS, OutputWriter
    from yolox_pose.inference.plotter import Plotter, plot_processes
    from yolox_pose.io.sources import count_frames

    # Load the model
    pose = PoseInferencer(
        args.config if args.model is None else args.model,
        args.checkpoint,
        args.device,
        **detection_settings(args),
        **input_settings(args),
        batch_size=args.batch_size,
        half=args.half,
        keep_images=True,
        backend=args.backend,
    )

    # Count the images, and choose how many processes draw them
    total = count_frames(sources)
    if args.frames is not None:
        total = args.frames if total is None else min(args.frames, total)
    in_processes = not args.no_pictures and not any(source.is_live for source in sources)
    processes = plot_processes(total) if in_processes else 0

    # Predict, draw and write
    tally, interrupted = _Tally(), False
    with (
        Plotter(
            processes,
            kpt_thr=args.kpt_thr,
            show_boxes=not args.no_boxes,
            show_tags=not args.no_tags,
            line_width=args.line_width,
            zoom=args.zoom,
        ) as plotter,
        OutputWriter(
            outputs,
            plotter,
            json_file=args.json,
            csv_file=args.csv,
            crops=args.out / CROPS if args.crops else None,
            write_pictures=not args.no_pictures,
            truth=truth,
            classes=pose.classes,
            zoom=args.zoom,
        ) as writer,
    ):
        results = pose(sources, track=args.track, smooth=args.smooth)
        try:
            for result in track(_first(results, args.frames), "predict", total=total, enabled=not args.quiet):
                picture = writer.write(result)
                tally.add(result)
                if args.show and _show(picture(), wait=result.frame is None):
                    break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        _report_interruption(tally.images, total)
    _report(args, tally, pose)
    if interrupted:
        return INTERRUPTED
    return 0 if tally.images else DataError.exit_code


def _report_interruption(images: int, total: int | None) -> None:
    """Print how many results are kept after Ctrl-C; ``total`` is None where the number of images is unknown."""
    done = counted(images, "images") if total is None else f"{images:,} of {counted(total, 'images')}"
    kept = f"; the results of {done} are kept" if images else " before the first result; nothing was written"
    print(f"\ninterrupted{kept}", file=sys.stderr)


def _first(results: Iterator[PoseResult], count: int | None) -> Iterator[PoseResult]:
    """Yield the first results, all for None, and end the threads that read ahead."""
    with closing(results):  # type: ignore[type-var]
        yield from islice(results, count)


def _show(picture: Any, wait: bool) -> bool:
    """Show a picture.

    Args:
        picture: Picture of shape (H, W, 3), uint8 BGR.
        wait: Whether to wait for a key.

    Returns:
        Whether q or Escape was pressed.
    """
    import cv2

    cv2.imshow(WINDOW, picture)
    return (cv2.waitKey(0 if wait else 1) & 0xFF) in (ord("q"), 27)


def _report(args: argparse.Namespace, tally: _Tally, pose: PoseInferencer) -> None:
    """Print the numbers of images and persons, and the places of the results."""
    from yolox_pose.inference.outputs import CROPS

    seconds = max(time.perf_counter() - tally.start, 1e-9)
    kind = "persons" if len(pose.keypoint_classes) == len(pose.classes) else "objects"
    skipped = len(pose.skipped)
    unread = f"; {skipped:,} could not be read and {'was' if skipped == 1 else 'were'} skipped" if skipped else ""
    counts = f"{counted(tally.images, 'images')}, {counted(tally.persons, kind)}"
    print(f"{counts}, {tally.images / seconds:.1f} images/s{unread}")
    if not tally.images:
        return
    written = {
        "pictures:": None if args.no_pictures else args.out,
        "results: ": args.json,
        "table:   ": args.csv,
        "persons: ": args.out / CROPS if args.crops else None,
    }
    for title, path in written.items():
        if path is not None:
            print(f"{title} {path.resolve()}")
