"""From nothing to drawn poses, of a small model trained on drawn people and of the bundled one on photos: ``yolox-pose quickstart``, ``tools/quickstart.py`` and ``make quickstart``."""

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

CONFIG = "quickstart/yolox-pose_quickstart_160"
TRAIN_IMAGES, VAL_IMAGES = 1000, 150
CROWD = {"size": (160, 160), "heights": (0.45, 0.8), "occlusion": (0.1,), "variety": (0.1,), "clutter": (3,)}
"""Options of ``dataset synthesize``: people mostly stand facing the viewer, so that minutes of training are enough."""
NUM_PICTURES = 12
"""Held-out images that are drawn."""


class StepError(YOLOXPoseError):
    """A step of the quickstart failed; its own message stands above."""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="quickstart",
        description="Synthesize a crowd, train a small pose model on it, evaluate it and draw held-out pictures, then "
        "draw the poses that the bundled model finds in photos. What is already there is kept: a finished step is not repeated, an interrupted training goes on.",
    )
    parser.add_argument("--out", default="quickstart", help="folder for data, model and pictures (default: quickstart)")
    parser.add_argument("--seed", type=int, default=0, help="seed of data and training (default: 0)")
    parser.add_argument("--train-images", type=int, default=TRAIN_IMAGES, help=f"(default: {TRAIN_IMAGES})")
    parser.add_argument("--val-images", type=int, default=VAL_IMAGES, help=f"(default: {VAL_IMAGES})")
    parser.add_argument("--epochs", type=int, help="(default: that of the config)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    return parser


class Steps:
    """Runs the other commands, each in a process of its own, and keeps the time of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, step: str, *arguments: str | Path) -> None:
        """Run ``yolox-pose ARGUMENTS`` after showing it.

        Raises:
            StepError: If it fails.
        """
        words = [str(argument) for argument in arguments]
        print(f"\n[{step}] yolox-pose {shlex.join(words)}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", "yolox_pose.cli.main", *words]).returncode
        self.seconds[step] = round(time.perf_counter() - start, 1)
        if code:
            raise StepError(f"quickstart stopped: the step '{step}' failed with exit code {code}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    out = Path(args.out)
    names = ("data", "train", "results", "pictures", "photos")
    data, work, results, pictures, photos = (out / name for name in names)
    options = ["--cfg-options", *_data_options(data), *_epoch_options(args.epochs)]
    common = ["--device", args.device, "--seed", str(args.seed), *options]
    steps = Steps()
    steps.run(
        "data", "dataset", "synthesize", data, "--train", str(args.train_images), "--val", str(args.val_images),
        "--seed", str(args.seed), "--workers", str(min(usable_cores(), 8)), *_crowd_options(),
    )  # fmt: skip
    resume = ["--resume"] if (work / "last_checkpoint").is_file() else []
    steps.run("training", "train", CONFIG, "--work-dir", work, *resume, *common)
    checkpoint = _latest(work)
    steps.run("evaluation", "test", CONFIG, checkpoint, "--out", results, "--overwrite", *common)
    images = sorted((data / "val").glob("*.jpg"))[:NUM_PICTURES]
    steps.run(
        "pictures", "predict", *images, "--config", CONFIG, "--checkpoint", checkpoint, "--out", pictures, "--overwrite",
        "--zoom", "3", "--device", args.device,
    )  # fmt: skip
    shots = sorted(resource_folder("demo").glob("*.jpg"))
    steps.run("photos", "predict", *shots, "--out", photos, "--overwrite", "--device", args.device)
    _report(out, results, pictures, checkpoint, steps.seconds)
    return 0


def _crowd_options() -> list[str]:
    return [word for name, values in CROWD.items() for word in (f"--{name}", *map(str, values))]


def _data_options(data: Path) -> list[str]:
    """The config's data, moved to where this run put them."""
    annotations = data / "annotations" / "val.json"
    return [
        *(f"{split}_dataloader.dataset.data_root={data}" for split in ("train", "val", "test")),
        *(f"{split}_evaluator.ann_file={annotations}" for split in ("val", "test")),
    ]


def _epoch_options(epochs: int | None) -> list[str]:
    return [] if epochs is None else [f"train_cfg.max_epochs={epochs}"]


def _latest(work: Path) -> Path:
    return Path((work / "last_checkpoint").read_text().strip())


def _report(out: Path, results: Path, pictures: Path, checkpoint: Path, seconds: dict[str, float]) -> None:
    """Say what came out and where it is, and write it to ``summary.json``."""
    metrics = json.loads((results / "metrics.json").read_text())
    summary = {"metrics": metrics, "seconds": seconds, "checkpoint": str(checkpoint), "pictures": str(pictures)}
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    times = ", ".join(f"{step} {value:.0f} s" for step, value in seconds.items())
    print(
        f"\nDone ({times}).\n"
        f"  keypoint AP on held-out pictures: {metrics['coco/AP']:.3f} (AP50 {metrics['coco/AP50']:.3f})\n"
        f"  model:    {checkpoint}\n"
        f"  pictures: {pictures}\n"
        f"  photos:   {out / 'photos'} (the bundled model's poses)\n"
        f"  figures:  {results / 'metrics.json'}\n"
        f"Draw your own: yolox-pose predict IMAGE (real people, the bundled model)\n"
        f"               yolox-pose predict IMAGE --config {CONFIG} --checkpoint {checkpoint}"
    )
