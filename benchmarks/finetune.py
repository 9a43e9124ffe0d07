"""Fine-tunes ours and mmpose's built-in YOLOX-Pose in turns: same weights file, data, image size, epochs, batch and seeds.

Each side takes what fits from the detector's weights and uses its own data path, head, losses and settings; both are
evaluated by the same code on the same images. A run that was interrupted goes on where it was, a finished one is kept.
Prints AP over images and seconds, and with --plot draws the curves.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import common

OURS = common.ROOT / "configs" / "finetune" / "yolox-pose_nano_1xb16-30e_custom-416.py"
PEER = common.ROOT / "benchmarks" / "peers" / "mmpose_yoloxpose_nano.py"
PEER_NAME = "mmpose 1.3.2 yoloxpose"
SIDES = ("ours", "mmpose")


def build_parser() -> argparse.ArgumentParser:
    """Options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.add_json_option(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder with annotations/{train,val}.json and images/")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX-nano detector in MMDetection's layout")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/finetune"), help="folder of the runs")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--val-interval", type=int, default=2)
    parser.add_argument("--size", type=int, default=256, help="side of the network's input in pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    parser.add_argument("--cfg-options", nargs="+", default=[], help="changes to our config")
    parser.add_argument("--one-run", action="store_true", help=argparse.SUPPRESS)
    return parser


def replace_sizes(pipeline: list[dict], size: int) -> None:
    """Set the input size of every transform of a peer's pipeline."""
    for transform in pipeline:
        if "input_size" in transform:
            transform["input_size"] = (size, size)
        if "encoder" in transform:
            transform["encoder"]["input_size"] = (size, size)


def with_segmentation(source: Path, target: Path) -> Path:
    """Copy of an annotation file in which every annotation has a ``segmentation`` (its box): mmpose crashes without."""
    content = json.loads(source.read_text())
    for annotation in content["annotations"]:
        if not annotation.get("segmentation"):
            x, y, w, h = annotation["bbox"]
            annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content))
    return target.resolve()


def load(side: str, args: argparse.Namespace) -> Any:
    """Config of a side with everything filled in that both share."""
    from yolox_pose.cli.common import load_config

    config = load_config(OURS if side == "ours" else PEER, args.cfg_options if side == "ours" else ())
    size = (args.size, args.size)
    for split, loader in (("train", config.train_dataloader), ("val", config.val_dataloader)):
        dataset = loader.dataset
        dataset.data_root, dataset.ann_file = str(args.data), f"annotations/{split}.json"
        dataset.data_prefix = {"img": "images/"}
        loader.num_workers, loader.persistent_workers = args.workers, args.workers > 0
        if side == "ours":
            dataset.input_size = size
        else:
            replace_sizes(dataset.pipeline, args.size)
            completed = args.out / "annotations" / f"{split}.json"
            dataset.ann_file = str(with_segmentation(args.data / "annotations" / f"{split}.json", completed))
    config.train_dataloader.batch_size = args.batch
    config.val_evaluator.ann_file = str(args.data / "annotations" / "val.json")
    config.train_cfg.update(max_epochs=args.epochs, val_interval=args.val_interval)
    for scheduler in config.param_scheduler:
        if "T_max" in scheduler:
            scheduler.T_max = args.epochs
    if side == "ours":
        config.test_dataloader = config.test_evaluator = config.test_cfg = None
        for hook in config.custom_hooks:
            if "num_last_epochs" in hook:
                hook.num_last_epochs = args.epochs // 3
    config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1, save_best=None, rule=None)
    return config


def run(side: str, seed: int, args: argparse.Namespace) -> None:
    """One training in this process; its curve is appended to ``curve.jsonl`` after every evaluation."""
    config = load(side, args)
    work = args.out / f"{side}-{seed}"
    config.work_dir, config.randomness = str(work), {"seed": seed}
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    class Curve(Hook):
        """Seconds of training alone and the figures of every evaluation."""

        seconds, start = 0.0, 0.0

        def before_train_epoch(self, runner) -> None:
            self.start = time.perf_counter()

        def after_train_epoch(self, runner) -> None:
            self.seconds += time.perf_counter() - self.start

        def before_save_checkpoint(self, runner, checkpoint) -> None:
            checkpoint["curve_seconds"] = self.seconds

        def after_load_checkpoint(self, runner, checkpoint) -> None:
            self.seconds = checkpoint.get("curve_seconds", 0.0)

        def after_val_epoch(self, runner, metrics=None) -> None:
            point = {
                "epoch": runner.epoch,
                "images": runner.epoch * len(runner.train_dataloader.dataset),
                "seconds": round(self.seconds, 1),
                **{key.removeprefix("coco/"): value for key, value in metrics.items()},
            }
            with open(work / "curve.jsonl", "a") as file:
                file.write(json.dumps(point) + "\n")

    if (work / "last_checkpoint").is_file():
        config.resume = True
        config.load_from = (work / "last_checkpoint").read_text().strip()
    else:
        config.load_from = str(args.weights)
    runner = Runner.from_cfg(config)
    runner.register_hook(Curve(), priority="VERY_LOW")
    runner.train()


def read_curve(folder: Path) -> list[dict]:
    """Points of a run, the last one of each epoch (a resumed run may repeat one)."""
    file = folder / "curve.jsonl"
    points = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return list({point["epoch"]: point for point in points}.values())


def plot(curves: dict[str, list[dict]], path: Path) -> None:
    """AP over images and over seconds of training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, key, label in zip(axes, ("images", "seconds"), ("training images seen", "seconds of training")):
        for name, points in curves.items():
            color = "tab:orange" if name.startswith("ours") else "tab:blue"
            axis.plot([p[key] for p in points], [p["AP"] for p in points], "o-", color=color, label=name)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("keypoint AP on val")
    axes[0].legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def cases(curves: dict[str, list[dict]], seeds: list[int]) -> list[dict]:
    """AP at the end and seconds of training: the mean over seeds, and every seed's own figure."""
    last = {name: points[-1] for name, points in curves.items() if points}
    lines = []
    for key, unit, better in (("AP", "keypoint AP", True), ("seconds", "s", False)):
        values = {side: [last[f"{side}-{s}"][key] for s in seeds if f"{side}-{s}" in last] for side in SIDES}
        if values["ours"]:
            means = {side: statistics.mean(found) if found else None for side, found in values.items()}
            lines.append(
                common.case(
                    f"{key} after {last[next(iter(last))]['images']} images, mean of {len(values['ours'])} seeds",
                    unit,
                    means["ours"],
                    means["mmpose"],
                    PEER_NAME,
                    higher_is_better=better,
                    seeds=values,
                )  # fmt: skip
            )
    return lines


def main() -> int:
    """Run what is missing, then compare."""
    args = build_parser().parse_args()
    if args.one_run:
        run(args.sides[0], args.seeds[0], args)
        return 0
    for seed in args.seeds:
        for side in args.sides:
            points = read_curve(args.out / f"{side}-{seed}")
            if points and points[-1]["epoch"] >= args.epochs:
                continue
            command = [sys.executable, __file__, *sys.argv[1:], "--one-run", "--sides", side, "--seeds", str(seed)]
            subprocess.run(command, check=True)
    curves = {f"{side}-{seed}": read_curve(args.out / f"{side}-{seed}") for side in SIDES for seed in args.seeds}
    curves = {name: points for name, points in curves.items() if points}
    if args.plot:
        plot(curves, args.plot)
    settings = {"epochs": args.epochs, "size": args.size, "batch": args.batch, "seeds": args.seeds}
    packages = ("torch", "mmengine-lite", "mmcv-lite", "mmdet", "mmpose", "numpy", "hotcoco")
    common.report(
        "finetune", cases(curves, args.seeds), packages=packages, json_file=args.json, settings=settings, curves=curves
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
