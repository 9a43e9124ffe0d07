"""Train the joint model (boxes of 80 classes, keypoints of people) from a detector on a small part of COCO.

Both metrics come from one pass over the same images, before and after training. Box AP must not fall by more than --margin,
and keypoint AP must reach --least. The benchmark runs tools/train.py and tools/test.py as a user would.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common

CONFIG = common.ROOT / "configs" / "joint" / "yolox-joint_nano_1xb16-30e_custom-416.py"
DETECTOR = common.ROOT / "configs" / "yolox" / "yolox_nano_8xb8-300e_coco.py"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.add_json_option(parser)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder as of COCO: annotations/{instances,person_keypoints}_{train,val}2017.json, {train,val}2017/",
    )
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX-nano detector in MMDetection's layout")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/joint"), help="folder of the run")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--size", type=int, default=320, help="side of the network's input in training")
    parser.add_argument("--test-size", type=int, default=416, help="side of the network's input in both evaluations")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=40, help="iterations of a growing rate (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--margin", type=float, default=0.005, help="what box AP may lose (default: %(default)s)")
    parser.add_argument("--least", type=float, default=0.001, help="keypoint AP to reach (default: %(default)s)")
    parser.add_argument("--cfg-options", nargs="+", action="extend", default=[], help="further changes to the config")
    return parser


def options(args: argparse.Namespace) -> list[str]:
    """Return the changes to the config, for training and testing."""
    lines = []
    for loader, split, size in (
        ("train", "train", args.size),
        ("val", "val", args.test_size),
        ("test", "val", args.test_size),
    ):
        dataset = f"{loader}_dataloader.dataset"
        lines += [
            f"{dataset}.data_root={args.data}",
            f"{dataset}.ann_file=annotations/instances_{split}2017.json",
            f"{dataset}.keypoint_file=annotations/person_keypoints_{split}2017.json",
            f"{dataset}.data_prefix.img={split}2017/",
            f"{dataset}.input_size={size},{size}",
            f"{loader}_dataloader.num_workers={args.workers}",
            f"{loader}_dataloader.persistent_workers={args.workers > 0}",
        ]
    for evaluator in ("val_evaluator", "test_evaluator"):
        lines += [
            f"{evaluator}.ann_file={args.data / 'annotations' / 'instances_val2017.json'}",
            f"{evaluator}.keypoint_ann_file={args.data / 'annotations' / 'person_keypoints_val2017.json'}",
        ]
    lines += [
        f"param_scheduler.0.end={args.warmup}",
        f"train_dataloader.batch_size={args.batch}",
        f"train_cfg.max_epochs={args.epochs}",
        f"param_scheduler.1.T_max={args.epochs}",
        f"default_hooks.training_phase.num_last_epochs={args.epochs // 3}",
        "default_hooks.checkpoint.save_best=None",
        "default_hooks.checkpoint.rule=None",
        f"default_hooks.checkpoint.interval={args.epochs}",
    ]
    return [*lines, *args.cfg_options]


def run(tool: str, *arguments: str) -> None:
    """Run one of the tools, with its output on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(common.ROOT)}
    command = [sys.executable, str(common.ROOT / "tools" / tool), *arguments]
    subprocess.run(command, check=True, env=environment, stdout=sys.stderr)


def evaluate(checkpoint: Path, name: str, args: argparse.Namespace) -> dict[str, float]:
    """Return the metrics of a checkpoint on the validation images."""
    out = args.out / name
    run(
        "test.py", str(CONFIG), str(checkpoint), "--out", str(out), "--overwrite", "--work-dir", str(args.out / "log"),
        "--cfg-options", *options(args),
    )  # fmt: skip
    return json.loads((out / "metrics.json").read_text())


def evaluate_detector(args: argparse.Namespace) -> dict[str, float]:
    """Return the metrics of the initial weights, which have no keypoints, on the validation images."""
    out, annotations = args.out / "start", args.data / "annotations" / "instances_val2017.json"
    run(
        "test.py", str(DETECTOR), str(args.weights), "--out", str(out), "--overwrite", "--work-dir", str(args.out / "log"),
        "--cfg-options", f"test_dataloader.dataset.data_root={args.data}", f"test_evaluator.ann_file={annotations}",
        f"test_dataloader.dataset.input_size={args.test_size},{args.test_size}",
        f"test_dataloader.num_workers={args.workers}", f"test_dataloader.persistent_workers={args.workers > 0}",
    )  # fmt: skip
    return json.loads((out / "metrics.json").read_text())


def train(args: argparse.Namespace) -> tuple[Path, float]:
    """Train; return the checkpoint and the seconds, including the start-up."""
    work, start = args.out / "train", time.perf_counter()
    run(
        "train.py", str(CONFIG), "--load-from", str(args.weights), "--work-dir", str(work), "--no-validate",
        "--seed", str(args.seed), "--cfg-options", *options(args),
    )  # fmt: skip
    return work / f"epoch_{args.epochs}.pth", time.perf_counter() - start


def cases(figures: dict[str, dict[str, float]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the lines of box AP and keypoint AP, compared with the initial weights."""
    after, before = figures["trained"], figures["start"]["coco/bbox_mAP"]
    peer = f"{args.weights.name} as a detector, before training"
    lines = []
    for key, what, start, least in (
        ("coco/bbox_mAP", "box AP of 80 classes", before, before - args.margin),
        ("coco/AP", "keypoint AP of people", None, args.least),
    ):
        name = f"{what}, val at {args.test_size} px, after {args.epochs} epochs at {args.size} px"
        reached = bool(after[key] >= least)
        lines.append(common.case(name, "AP", after[key], start, peer, higher_is_better=True, reached=reached))
    return lines


def main() -> int:
    """Evaluate, train, evaluate."""
    args = build_parser().parse_args()
    figures = {"start": evaluate_detector(args)}
    checkpoint, seconds = train(args)
    figures["trained"] = evaluate(checkpoint, "trained", args)
    names = ("epochs", "size", "test_size", "batch", "warmup", "seed", "margin", "least", "cfg_options")
    settings = {name: getattr(args, name) for name in names}
    packages = ("torch", "mmengine-lite", "mmcv-lite", "mmdet", "mmpose", "numpy", "hotcoco")
    lines = cases(figures, args)
    common.report(
        "joint", lines, packages=packages, json_file=args.json, settings=settings, training_seconds=round(seconds),
        figures=figures,
    )  # fmt: skip
    return int(not all(line["reached"] for line in lines))


if __name__ == "__main__":
    raise SystemExit(main())
