"""Fine-tune this package's and mmpose's built-in YOLOX-Pose side by side, with the same budget.

Weights, data, image size, epochs, batch size and seeds are the same. Each side loads the matching weights of the detector and
uses its own data path, head, losses and settings; the same code evaluates both on the same images. The two runs of a seed
(with --at-once, the runs of all seeds) go at the same time, each in a process with one thread, beside its data workers. Time
is the processor time of that process, so that other load does not count; on a GPU it is wall time. An interrupted run
continues at its last epoch, and finished runs are kept. The report has AP over images and seconds; --plot draws the curves.

If the peer reaches AP 0.05 with at least two seeds, the report has the ratio of AP, with an interval from a paired bootstrap
over the validation images, and the ratio of the time to the AP of the peer. Below that, AP is close to noise.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

OURS = common.ROOT / "configs" / "finetune" / "yolox-pose_nano_1xb16-30e_custom-416.py"
PEERS = {
    "plain": common.ROOT / "benchmarks" / "peers" / "mmpose_yoloxpose_nano.py",
    "augmented": common.ROOT / "benchmarks" / "peers" / "mmpose_yoloxpose_nano_augmented.py",
}
PACKAGES = ("torch", "mmengine-lite", "mmcv-lite", "mmdet", "mmpose", "numpy", "hotcoco")
MACHINE = "machine.json"
CPU_CLOCK, GPU_CLOCK = "processor seconds", "seconds"
PEER_NAME = "mmpose 1.3.2 yoloxpose"
SIDES = ("ours", "mmpose")
CLAIM_AP = 0.05
"""Smallest AP of the peer for a ratio."""
INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap that are reported."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common.add_json_option(parser)
    add_run_options(parser, out="work_dirs/train_quality", epochs=6)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--val-interval", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--bootstrap", type=int, default=200, help="resamplings of the validation images")
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images, for each run (0: none)")
    parser.add_argument("--at-once", action="store_true", help="run all seeds at the same time")
    parser.add_argument("--report-only", action="store_true", help="train nothing, report what is there")
    parser.add_argument("--amp", action="store_true", help="bfloat16 networks on both sides, losses in float32")
    parser.add_argument("--config", type=Path, default=OURS, help="our config (the fine-tuning recipe)")
    parser.add_argument(
        "--peer", choices=list(PEERS), default="plain", help="mmpose's images: as they are, or augmented"
    )
    parser.add_argument("--cfg-options", nargs="+", action="extend", default=[], help="changes to our config")
    parser.add_argument("--distill", action="store_true", help="ours as with that option of tools/train.py")
    parser.add_argument("--one-run", action="store_true", help=argparse.SUPPRESS)
    return parser


def add_run_options(parser: argparse.ArgumentParser, *, out: str, epochs: int) -> None:
    """Add the options of a benchmark that trains: data, weights, folder and budget."""
    parser.add_argument("--data", type=Path, required=True, help="folder with annotations/{train,val}.json and images/")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX-nano detector in MMDetection's layout")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the runs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--size", type=int, default=256, help="side of the network's input in pixels")


def scaled(sides: Sequence[int], usual: int, size: int) -> tuple[int, ...]:
    """Scale the random sides of batches from the usual input size to ``size``, in multiples of 32."""
    return tuple(round(side * size / usual / 32) * 32 for side in sides)


def replace_sizes(config: Any, size: int, epochs: int) -> None:
    """Set the input size of the peer's transforms and batches, and the epoch that turns augmentation off."""
    last = [hook for hook in config.custom_hooks if "new_train_pipeline" in hook]
    for pipeline in (
        config.train_dataloader.dataset.pipeline,
        config.val_dataloader.dataset.pipeline,
        *(h.new_train_pipeline for h in last),
    ):
        for transform in pipeline:
            if "input_size" in transform:
                transform["input_size"] = (size, size)
            if "encoder" in transform:
                transform["encoder"]["input_size"] = (size, size)
    for augment in config.model.data_preprocessor.get("batch_augments") or ():
        augment.random_size_range = scaled(augment.random_size_range, config.input_size[0], size)
    for hook in last:
        hook.num_last_epochs = epochs // 3


def with_segmentation(source: Path, target: Path) -> Path:
    """Copy an annotation file and add a ``segmentation`` (the box) to every annotation, without which mmpose crashes."""
    content = json.loads(source.read_text())
    for annotation in content["annotations"]:
        if not annotation.get("segmentation"):
            x, y, w, h = annotation["bbox"]
            annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content))
    return target.resolve()


def val_annotations(args: argparse.Namespace) -> Path:
    """Return the annotation file of the evaluation of both sides."""
    return args.data / "annotations" / "val.json"


def load(side: str, args: argparse.Namespace) -> Any:
    """Return the config of a side with the settings that both share."""
    from yolox_pose.config import load_config
    from yolox_pose.engine.training import distill

    config = load_config(
        args.config if side == "ours" else PEERS[args.peer], args.cfg_options if side == "ours" else ()
    )
    size = (args.size, args.size)
    for split, loader in (("train", config.train_dataloader), ("val", config.val_dataloader)):
        dataset = loader.dataset
        dataset.data_root, dataset.ann_file = str(args.data), f"annotations/{split}.json"
        dataset.data_prefix = {"img": "images/"}
        loader.num_workers, loader.persistent_workers = args.workers, args.workers > 0
        if side == "ours":
            usual, dataset.input_size = dataset.input_size[0], size
        else:
            completed = args.out / "annotations" / f"{split}.json"
            dataset.ann_file = str(with_segmentation(args.data / "annotations" / f"{split}.json", completed))
    preprocessor = config.model.data_preprocessor
    if side == "mmpose":
        replace_sizes(config, args.size, args.epochs)
    elif preprocessor.random_size:
        preprocessor.random_size = scaled(preprocessor.random_size, usual, args.size)
    config.train_dataloader.batch_size = args.batch
    config.val_evaluator.ann_file = str(val_annotations(args))
    config.train_cfg.update(max_epochs=args.epochs, val_interval=args.val_interval)
    for scheduler in config.param_scheduler:
        if "T_max" in scheduler:
            scheduler.T_max = args.epochs
    if side == "ours":
        config.test_dataloader = config.test_evaluator = config.test_cfg = None
        config.default_hooks.training_phase.num_last_epochs = args.epochs // 3
        if args.distill:
            distill(config, str(args.weights))
    if args.amp:
        config.optim_wrapper.update(type="AmpOptimWrapper", dtype="bfloat16")
    config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1, save_best=None, rule=None)
    return config


def run(side: str, seed: int, args: argparse.Namespace) -> None:
    """Train in this process, and append the metrics to ``curve.jsonl`` after every evaluation."""
    config = load(side, args)
    work = args.out / f"{side}-{seed}"
    config.work_dir, config.randomness = str(work), {"seed": seed}
    config.val_evaluator.outfile_prefix = str(work / "predictions")
    import torch
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # both sides: fresh branches start with numbers that are slow without

    on_gpu = torch.cuda.is_available()

    def clock() -> float:
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() if on_gpu else time.process_time()

    class Curve(Hook):
        """Hook that records the training time and the metrics of every evaluation."""

        seconds, start = 0.0, 0.0

        def before_train_epoch(self, runner) -> None:
            self.start = clock()

        def after_train_epoch(self, runner) -> None:
            self.seconds += clock() - self.start

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
        catch_up(config, done=int(Path(config.load_from).stem.rpartition("_")[2]))
    else:
        config.load_from = str(args.weights)
    note_machine(work)
    runner = Runner.from_cfg(config)
    if side == "mmpose":  # its losses would decode coordinates in the outputs' precision: 2 px in bfloat16
        runner.model.head.head_module.register_forward_hook(lambda module, inputs, outputs: in_float32(outputs))
    runner.register_hook(Curve(), priority="VERY_LOW")
    runner.train()


def catch_up(config: Any, done: int) -> None:
    """Let mmpose's hook turn augmentation off in the first epoch of a run that is resumed after that point.

    The hook acts in a single epoch, so the resumed run would continue with augmented images.
    """
    for hook in config.custom_hooks:
        if "new_train_pipeline" in hook:
            hook.num_last_epochs = min(hook.num_last_epochs, config.train_cfg.max_epochs - done - 1)


def note_machine(folder: Path) -> None:
    """Write the device and the versions of a run, because the report may be made elsewhere."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "device": common.device(accelerator=True),
        "clock": GPU_CLOCK if torch.cuda.is_available() else CPU_CLOCK,
        "versions": common.versions(PACKAGES),
    }
    (folder / MACHINE).write_text(json.dumps(content, indent=2))


def read_machine(args: argparse.Namespace) -> dict:
    """Return the device and the versions of the runs of a report.

    Raises:
        SystemExit: If they were made on different machines or with different versions.
    """
    files = [args.out / f"{side}-{seed}" / MACHINE for side in SIDES for seed in args.seeds]
    machines = {file: json.loads(file.read_text()) for file in files if file.is_file()}
    if not machines:
        raise SystemExit(f"no run in {args.out} says what it was made on; train first")
    first, *others = machines.items()
    for file, content in others:
        if content != first[1]:
            raise SystemExit(f"{file} and {first[0]} differ: runs of other machines or versions cannot be compared")
    return first[1]


def in_float32(outputs: Any) -> Any:
    """Convert every tensor of nested sequences to float32."""
    return outputs.float() if hasattr(outputs, "float") else type(outputs)(in_float32(output) for output in outputs)


def read_curve(folder: Path) -> list[dict]:
    """Return the points of a run, the last one of each epoch, because a resumed run may repeat epochs."""
    file = folder / "curve.jsonl"
    points = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return list({point["epoch"]: point for point in points}.values())


def plot(curves: dict[str, list[dict]], path: Path, clock: str = CPU_CLOCK) -> None:
    """Plot AP over images and over the time of training."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, key, label in zip(axes, ("images", "seconds"), ("training images seen", f"{clock} of training")):
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


def resampled_ap(file: Path, annotations: dict, draws: Sequence[np.ndarray]) -> list[float]:
    """Compute the keypoint AP of a predictions file on resampled images.

    Args:
        file: COCO keypoint results.
        annotations: Content of the annotation file.
        draws: Image ids of each resampling, drawn with replacement; repeated images count repeatedly.
    """
    from yolox_pose.evaluation import evaluate_keypoints

    truth, found = by_image(annotations["annotations"]), by_image(json.loads(file.read_text()))
    values = []
    for draw in draws:
        numbered = list(enumerate(draw.tolist(), 1))
        renamed = [{**a, "image_id": new} for new, old in numbered for a in truth.get(old, ())]
        content = {
            "images": [{"id": new} for new, _ in numbered],
            "categories": annotations["categories"],
            "annotations": [{**a, "id": i} for i, a in enumerate(renamed, 1)],
        }
        predictions = [{**p, "image_id": new} for new, old in numbered for p in found.get(old, ())]
        values.append(evaluate_keypoints(content, predictions)["AP"])
    return values


def by_image(records: Iterable[dict]) -> dict[int, list[dict]]:
    """Records under their image's id."""
    grouped: dict[int, list[dict]] = {}
    for record in records:
        grouped.setdefault(record["image_id"], []).append(record)
    return grouped


def bootstrap_ratio(args: argparse.Namespace) -> list[float]:
    """Interval of (mean AP of ours) / (mean AP of the peer) over resamplings of the validation images, paired."""
    annotations = json.loads(val_annotations(args).read_text())
    ids = np.array([image["id"] for image in annotations["images"]])
    rng = np.random.default_rng(0)
    draws = [rng.choice(ids, len(ids)) for _ in range(args.bootstrap)]
    means = {
        side: np.mean(
            [resampled_ap(args.out / f"{side}-{s}" / "predictions.json", annotations, draws) for s in args.seeds],
            axis=0,
        )
        for side in SIDES
    }
    return np.percentile(means["ours"] / np.maximum(means["mmpose"], 1e-9), INTERVAL).round(3).tolist()


def seconds_to_reach(points: list[dict], ap: float) -> float | None:
    """Processor seconds after which a curve first has this AP."""
    return next((point["seconds"] for point in points if point["AP"] >= ap), None)


def cases(curves: dict[str, list[dict]], args: argparse.Namespace, clock: str = CPU_CLOCK) -> list[dict]:
    """AP at the end, seconds of training and seconds to the peer's AP: means over seeds, and every seed's own figure."""
    seeds = [s for s in args.seeds if all(curves.get(f"{side}-{s}") for side in SIDES)]
    if not seeds:
        return []
    last = {side: [curves[f"{side}-{s}"][-1] for s in seeds] for side in SIDES}
    ap, seconds = ({side: [point[key] for point in last[side]] for side in SIDES} for key in ("AP", "seconds"))
    what = f"after {last['ours'][0]['images']} images, mean of {len(seeds)} seeds"
    means = {side: statistics.mean(values) for side, values in ap.items()}
    lines = [
        common.case(f"keypoint AP {what}", "AP", means["ours"], means["mmpose"], PEER_NAME, higher_is_better=True, seeds=ap),
        common.case(
            f"training {what}", clock, *map(statistics.mean, seconds.values()), PEER_NAME, seeds=seconds
        ),
    ]  # fmt: skip
    no_claim = {"ratio": None, "note": f"no ratio: the peer is below AP {CLAIM_AP}, or there is one seed only"}
    claim = means["mmpose"] >= CLAIM_AP and len(seeds) >= 2
    lines[0] |= {"interval": bootstrap_ratio(args)} if claim else no_claim
    reached = [seconds_to_reach(curves[f"ours-{s}"], means["mmpose"]) for s in seeds]
    if None not in reached:
        lines.append(
            common.case(
                "training until ours has the peer's mean AP",
                clock,
                statistics.mean(reached),
                statistics.mean(seconds["mmpose"]),
                PEER_NAME,
                seeds={"ours": reached, "mmpose": seconds["mmpose"]},
            )
            | ({} if claim else no_claim)
        )
    return lines


def finish(seeds: Sequence[int], args: argparse.Namespace) -> None:
    """Run the unfinished trainings of some seeds at the same time, with one thread each."""
    running = []
    for side, seed in ((side, seed) for seed in seeds for side in args.sides):
        points = read_curve(args.out / f"{side}-{seed}")
        if points and points[-1]["epoch"] >= args.epochs:
            continue
        command = [sys.executable, __file__, *sys.argv[1:], "--one-run", "--sides", side, "--seeds", str(seed)]
        running.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit(f"a run failed ({', '.join(map(str, seeds))}); its log is in {args.out}")


def main() -> int:
    """Run the missing trainings, then compare."""
    args = build_parser().parse_args()
    if args.one_run:
        run(args.sides[0], args.seeds[0], args)
        return 0
    groups = [] if args.report_only else [args.seeds] if args.at_once else [[seed] for seed in args.seeds]
    sides = " and ".join(args.sides)
    for seeds in common.progress(groups, lambda seeds: f"seed {', '.join(map(str, seeds))}: {sides}"):
        finish(seeds, args)
    curves = {f"{side}-{seed}": read_curve(args.out / f"{side}-{seed}") for side in SIDES for seed in args.seeds}
    curves = {name: points for name, points in curves.items() if points}
    machine = read_machine(args)
    if args.plot:
        plot(curves, args.plot, machine["clock"])
    settings = {
        "epochs": args.epochs, "size": args.size, "batch": args.batch, "seeds": args.seeds, "amp": args.amp,
        "config": args.config.name, "peer": args.peer,
    }  # fmt: skip
    lines = cases(curves, args, machine["clock"])
    common.report(
        "train_quality", lines, on=machine["device"], made_with=machine["versions"], json_file=args.json,
        settings=settings, curves=curves,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
