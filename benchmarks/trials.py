"""Ablate the fine-tuning recipe: train one change at a time, each like the recipe itself.

``python benchmarks/trials.py --data DIR --weights yolox_nano.pth --epochs 4 --size 256 --json FILE`` trains the base and
every change of it that is listed in :data:`TRIALS` (or named by ``--only``) with every seed, by the code of
``train_quality.py``, and reports keypoint AP, and box AP of people, on the validation images. The base is the recipe
before these trials (:data:`BASE`); the current recipe is one of them. Finished runs are kept, and an interrupted run
continues. ``python benchmarks/table.py`` writes it into
``docs/learning.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from typing import NamedTuple

import common
import train_quality

HEAD = "model.head"
STEP = "train_dataloader.dataset.pipeline.1"
"""The affine transform of the recipe."""


class Trial(NamedTuple):
    """Change of the base.

    Attributes:
        change: Description.
        options: Values of ``--cfg-options`` after :data:`BASE`.
        batch: Images per step.
        amp: Whether the network computes in bfloat16.
        distill: Whether the detector is distilled (``tools/train.py --distill``).
    """

    change: str
    options: tuple[str, ...] = ()
    batch: int = 16
    amp: bool = True
    distill: bool = False


L1, CLIP = f"{HEAD}.loss_weights.keypoint_l1", "optim_wrapper.clip_grad.max_norm"
BOX = f"{HEAD}.loss_weights.box"
BASE = (f"{L1}=3", f"{CLIP}=35")
"""Settings of the recipe before the trials."""
CHOSEN = (f"{L1}=10", f"{CLIP}=0.1")
"""Settings of the current recipe; later trials build on them."""
RATE, MULT = "optim_wrapper.optimizer.lr", "optim_wrapper.paramwise_cfg.pose_lr_mult"
ADAMW = (
    "optim_wrapper.optimizer._delete_=True",
    "optim_wrapper.optimizer.type=AdamW",
    "optim_wrapper.optimizer.weight_decay=0.05",
)

TRIALS = {
    "recipe": Trial("the base: the recipe before"),
    "adamw": Trial("AdamW", (*ADAMW, f"{RATE}=0.0002")),
    "adamw-one-rate": Trial("AdamW, 0.001 for all layers", (*ADAMW, f"{RATE}=0.001", f"{MULT}=1")),
    "no-affine": Trial("no affine augmentation", (f"{STEP}.scale_range=(1,1)", f"{STEP}.max_rotation=0", f"{STEP}.max_shift=0")),
    "one-size": Trial("no random sizes", ("model.data_preprocessor.random_size=None",)),
    "matrix-10": Trial("half the rate for matrices", ("optim_wrapper.optimizer.matrix_lr_mult=10",)),
    "matrix-40": Trial("twice the rate for matrices", ("optim_wrapper.optimizer.matrix_lr_mult=40",)),
    "detector-half": Trial("half the rate for the detector", (f"{RATE}=0.0001", f"{MULT}=60")),
    "batch-8": Trial("batch 8", batch=8),
    "depthwise": Trial("depthwise keypoint branch", (f"{HEAD}.head_module.pose_depthwise=True",)),
    "no-l1": Trial("no keypoint L1", (f"{L1}=0",)),
    "l1-10": Trial("keypoint L1 of weight 10", (f"{L1}=10",)),
    "oks-k": Trial("dynamic k from OKS", (f"{HEAD}.assigner.dynamic_k=oks",)),
    "offset": Trial("assigned from the middle of cells, as in detection", (f"{HEAD}.assigner.prior_offset=0.5",)),
    "unfrozen": Trial("first layers learn too", ("model.backbone.frozen_stages=-1",)),
    "clip": Trial("gradient clip 0.1", (f"{CLIP}=0.1",)),
    "unlabelled": Trial("unlabelled keypoints do not train visibility", (f"{HEAD}.unlabelled=ignore",)),
    "float32": Trial("float32 throughout", amp=False),
    "l1-30": Trial("keypoint L1 of weight 30", (f"{L1}=30",)),
    "l1-10-unl": Trial("L1 10, unlabelled keypoints left out", (f"{L1}=10", f"{HEAD}.unlabelled=ignore")),
    "l1-10-clip": Trial("L1 10 and clip 0.1: the recipe now", CHOSEN),
    "l1-10-clip-unl": Trial("L1 10, clip 0.1, unlabelled keypoints left out", (*CHOSEN, f"{HEAD}.unlabelled=ignore")),
    "l1-10-clip-vis": Trial("L1 10, clip 0.1, visibility at 0.3", (*CHOSEN, f"{HEAD}.loss_weights.visibility=0.3")),
    "l1-10-clip-q": Trial("L1 10, clip 0.1, quarter of the detector's rate", (*CHOSEN, f"{RATE}=0.00005", f"{MULT}=120")),
    "l1-10-clip-box": Trial("L1 10, clip 0.1, four times the box loss", (*CHOSEN, f"{BOX}=20")),
    "l1-10-clip-box-frozen": Trial(
        "L1 10, clip 0.1, four times the box loss, the whole backbone as it is", (*CHOSEN, f"{BOX}=20", "model.backbone.frozen_stages=4")
    ),
    "l1-10-clip-box-10": Trial("L1 10, clip 0.1, ten times the box loss", (*CHOSEN, f"{BOX}=50")),
    "l1-10-clip-detector": Trial(
        "L1 10, clip 0.1, four times the losses of box, objectness and class",
        (*CHOSEN, f"{BOX}=20", f"{HEAD}.loss_weights.objectness=4", f"{HEAD}.loss_weights.classes=4"),
    ),
    "l1-10-clip-keep": Trial("L1 10, clip 0.1, the detector kept", CHOSEN, distill=True),
    "l1-10-clip-freeze": Trial("L1 10, clip 0.1, the detector frozen", (*CHOSEN, "model.freeze_detector=True")),
}  # fmt: skip
"""Trials by the name of their folder; the others are compared with the first, the base."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.add_json_option(parser)
    train_quality.add_run_options(parser, out="work_dirs/trials", epochs=4)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS), help="trials to run (all)")
    parser.add_argument("--report-only", action="store_true", help="train nothing, report what is there")
    return parser


def run(name: str, seed: int, args: argparse.Namespace) -> None:
    """Train a trial with one seed in a separate process, unless it is finished."""
    trial, folder = TRIALS[name], args.out / name
    points = train_quality.read_curve(folder / f"ours-{seed}")
    if points and points[-1]["epoch"] >= args.epochs:
        return
    command = [
        sys.executable, train_quality.__file__, "--one-run", "--sides", "ours", "--seeds", str(seed),
        "--data", str(args.data), "--weights", str(args.weights), "--out", str(folder),
        "--epochs", str(args.epochs), "--val-interval", str(args.epochs), "--size", str(args.size),
        "--batch", str(trial.batch),
    ]  # fmt: skip
    command += ["--amp"] * trial.amp + ["--distill"] * trial.distill
    command += ["--cfg-options", *BASE, *trial.options]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def finished(name: str, args: argparse.Namespace) -> dict[int, dict]:
    """Return the last points of the finished runs of a trial, by seed."""
    curves = {seed: train_quality.read_curve(args.out / name / f"ours-{seed}") for seed in args.seeds}
    return {seed: points[-1] for seed, points in curves.items() if points and points[-1]["epoch"] >= args.epochs}


def box_ap(name: str, seed: int, args: argparse.Namespace) -> float:
    """Return the box AP of people of the detections that a finished run wrote."""
    from yolox_pose.evaluation import evaluate_boxes

    detections = args.out / name / f"ours-{seed}" / "predictions_bbox.json"
    return evaluate_boxes(args.data / "annotations" / "val.json", detections)["bbox_mAP"]


def cases(args: argparse.Namespace) -> list[dict]:
    """Return the AP of every trial over the seeds that the base has too; ``peer`` is the base."""
    first, *_ = TRIALS
    base = finished(first, args)
    lines = []
    for name, trial in TRIALS.items():
        points = finished(name, args)
        seeds = sorted(set(points) & set(base))
        if not seeds:
            continue
        ap = [points[seed]["AP"] for seed in seeds]
        peer = None if name == first else statistics.mean(base[seed]["AP"] for seed in seeds)
        lines.append(
            common.case(
                trial.change,
                "AP",
                statistics.mean(ap),
                peer,
                None if name == first else "the base",
                higher_is_better=True,
                note=_note(
                    [round(value, 4) for value in ap],
                    [box_ap(name, seed, args) for seed in seeds],
                    [points[seed] for seed in seeds],
                ),
                options=[*BASE, *trial.options],
                batch=trial.batch,
                amp=trial.amp,
                distill=trial.distill,
            )
        )
    return lines


def _note(ap: list[float], boxes: list[float], points: list[dict]) -> str:
    ap50, seconds = (statistics.mean(point[key] for point in points) for key in ("AP50", "seconds"))
    return f"seeds: {', '.join(map(str, ap))}; AP50 {ap50:.3f}; {seconds:.0f} processor seconds; box AP {statistics.mean(boxes):.3f}"


def main() -> int:
    """Run the missing trainings, then report."""
    args = build_parser().parse_args()
    runs = [] if args.report_only else [(name, seed) for name in args.only for seed in args.seeds]
    for name, seed in common.progress(runs, lambda one: f"{TRIALS[one[0]].change}, seed {one[1]}"):
        run(name, seed, args)
    settings = {"epochs": args.epochs, "size": args.size, "seeds": args.seeds}
    packages = ("torch", "mmengine-lite", "mmcv-lite", "mmdet", "mmpose", "numpy", "hotcoco")
    common.report("trials", cases(args), packages=packages, json_file=args.json, settings=settings)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
