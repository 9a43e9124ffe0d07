"""Run every step once, from synthetic data to drawn poses: ``yolox-pose quickstart``, ``tools/quickstart.py``, ``make quickstart``."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from yolox_pose.config import resource_folder
from yolox_pose.errors import YOLOXPoseError
from yolox_pose.utils.cores import usable_cores
from yolox_pose.utils.dependencies import require

CONFIG = "quickstart/yolox-pose_quickstart_160"
TRAIN_IMAGES, VAL_IMAGES = 1000, 150
CROWD: dict[str, tuple[float, ...]] = {
    "size": (160, 160),
    "heights": (0.45, 0.8),
    "occlusion": (0.1,),
    "variety": (0.1,),
    "clutter": (3,),
}
"""Options of ``dataset synthesize``: most people stand and face the viewer, so that minutes of training are enough."""
NUM_PICTURES = 12
"""Number of validation images to draw."""
MAX_WORKERS = 8


class StepError(YOLOXPoseError):
    """A failed step of the quickstart. Its own message is printed above."""


class Steps:
    """Runner of the other commands, each in its own process.

    Attributes:
        seconds: Duration of each step.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, *arguments: str | float | Path) -> None:
        """Print and run ``yolox-pose ARGUMENTS``.

        Raises:
            StepError: If the command fails.
        """
        words = [str(argument) for argument in arguments]
        print(f"\n[{step}] yolox-pose {shlex.join(words)}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", "yolox_pose.cli.main", *words]).returncode
        self.seconds[step] = round(time.perf_counter() - start, 1)
        if code:
            raise StepError(f"quickstart stopped: the step '{step}' failed with exit code {code}")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose quickstart",
        description="Synthesize a crowd, train a small pose model on it, evaluate it, and draw its predictions. Then draw the "
        "predictions of the bundled model on photos. A finished step is not repeated, an interrupted training continues.",
    )
    parser.add_argument("--out", default="quickstart", help="folder for data, model and pictures (default: quickstart)")
    parser.add_argument("--seed", type=int, default=0, help="seed of data and training (default: 0)")
    parser.add_argument(
        "--train-images", type=int, default=TRAIN_IMAGES, help=f"number of training images (default: {TRAIN_IMAGES})"
    )
    parser.add_argument(
        "--val-images", type=int, default=VAL_IMAGES, help=f"number of validation images (default: {VAL_IMAGES})"
    )
    parser.add_argument("--epochs", type=int, help="number of epochs (default: the config's)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="device (default: auto)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    require()  # before data are drawn for minutes
    out, steps = Path(args.out), Steps()
    names = ("data", "train", "results", "pictures", "photos")
    data, work_dir, results, pictures, photos = (out / name for name in names)
    device = ("--device", args.device)
    run_options: list[str | int | Path] = ["--data", data, *device, "--seed", args.seed]
    if args.epochs is not None:
        run_options += ["--cfg-options", f"train_cfg.max_epochs={args.epochs}"]

    # Synthesize the data
    crowd = [str(word) for name, values in CROWD.items() for word in (f"--{name}", *values)]
    sizes = ["--train", args.train_images, "--val", args.val_images, "--seed", args.seed]
    steps.run("data", "dataset", "synthesize", data, *sizes, "--workers", min(usable_cores(), MAX_WORKERS), *crowd)

    # Train, or continue an interrupted training
    resume = ["--resume"] if (work_dir / "last_checkpoint").is_file() else []
    steps.run("training", "train", CONFIG, "--work-dir", work_dir, *resume, *run_options)
    checkpoint = Path((work_dir / "last_checkpoint").read_text().strip())

    # Evaluate, and draw validation images
    steps.run("evaluation", "test", CONFIG, checkpoint, "--out", results, "--overwrite", *run_options)
    model = ("--config", CONFIG, "--checkpoint", checkpoint)
    images = sorted((data / "val").glob("*.jpg"))[:NUM_PICTURES]
    steps.run("pictures", "predict", *images, *model, "--out", pictures, "--overwrite", "--zoom", 3, *device)

    # Draw photos with the bundled model
    shots = sorted(resource_folder("demo").glob("*.jpg"))
    steps.run("photos", "predict", *shots, "--out", photos, "--overwrite", *device)

    _report(out, results, pictures, checkpoint, steps.seconds)
    return 0


def _report(out: Path, results: Path, pictures: Path, checkpoint: Path, seconds: dict[str, float]) -> None:
    """Print the results and write them to ``summary.json``."""
    metrics = json.loads((results / "metrics.json").read_text())
    summary = {"metrics": metrics, "seconds": seconds, "checkpoint": str(checkpoint), "pictures": str(pictures)}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    times = ", ".join(f"{step} {value:.0f} s" for step, value in seconds.items())
    print(
        f"\nDone ({times}).\n"
        f"  keypoint AP on validation images: {metrics['coco/AP']:.3f} (AP50 {metrics['coco/AP50']:.3f})\n"
        f"  model:    {checkpoint}\n"
        f"  pictures: {pictures}\n"
        f"  photos:   {out / 'photos'} (poses of the bundled model)\n"
        f"  metrics:  {results / 'metrics.json'}\n"
        f"Try your own: yolox-pose predict IMAGE (the bundled model, for real people)\n"
        f"              yolox-pose predict IMAGE --config {CONFIG} --checkpoint {checkpoint}"
    )
