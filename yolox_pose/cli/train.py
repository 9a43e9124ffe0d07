"""Train a model: ``yolox-pose train`` and ``tools/train.py``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli.common import (
    add_config_options,
    add_data_option,
    add_run_options,
    check_device,
    check_file,
    leave_processes,
    setup_launcher,
)
from yolox_pose.config import load_config, use_data
from yolox_pose.errors import UsageError
from yolox_pose.weights import find_weights

if TYPE_CHECKING:
    from mmengine.config import Config

TENSORBOARD = "TensorboardVisBackend"
DISTILLATION_HOOK = "yolox_pose.DistillationHook"

EXAMPLES = """examples:
  python tools/train.py configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py --amp
  python tools/train.py configs/yolox-pose/yolox-pose_tiny_8xb32-300e_coco.py --resume
  python tools/train.py configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from bundled
  python tools/train.py configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth --distill
  python tools/train.py configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth --freeze-detector
  torchrun --nproc_per_node 4 tools/train.py CONFIG --launcher pytorch --auto-scale-lr
"""

SYNC_BN = ("torch", "mmcv")
"""Implementations of batch norm over processes that MMEngine knows; mmcv's needs its compiled operators."""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train a model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument("--work-dir", help="where logs and checkpoints go (default: work_dirs/<config name>)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="go on from a checkpoint; without PATH from the latest one in the work dir",
    )
    parser.add_argument(
        "--load-from",
        metavar="PATH",
        help="start from these weights, of any layout that is known (docs/checkpoints.md); a detector will do, and "
        "bundled names those in the package",
    )
    detector = parser.add_mutually_exclusive_group()
    detector.add_argument(
        "--distill",
        nargs="?",
        const="",
        metavar="PATH",
        help="hold the detections near those of the weights that the training starts from, or of PATH, so that few images "
        "do not make the model forget what a detector knows; a step takes a quarter longer",
    )
    detector.add_argument(
        "--freeze-detector",
        action="store_true",
        help="train the keypoint branch alone: boxes and scores stay exactly those of the weights that the training starts "
        "from; a step takes less than half the time",
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: fp16 on a GPU, bf16 on CPU")
    parser.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size of all processes"
    )
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--tensorboard", action="store_true", help="also write for TensorBoard, into <work dir>/<time>/vis_data"
    )
    parser.add_argument(
        "--val-pictures",
        type=int,
        metavar="N",
        help="draw N validation images, annotated and predicted, at every validation into <work dir>/val_pictures",
    )
    add_data_option(parser)
    add_run_options(parser)
    add_config_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    device = check_device(args.device)
    config = load_config(args.config, args.cfg_options, args.seed)
    config.work_dir = args.work_dir or config.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    if args.data is not None:
        use_data(config, args.data, ("train", "val", "test"))
    setup_launcher(config, args.launcher, args.local_rank, device)
    check_sync_bn(config, args.launcher, device)
    _set_start(config, args.resume, args.load_from)
    if args.distill is not None:
        distill(config, args.distill)
    if args.freeze_detector:
        freeze_detector(config)
    if args.amp:
        use_amp(config, device)
    if args.auto_scale_lr:
        scale_lr(config)
    if args.no_validate:
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if args.tensorboard:
        add_tensorboard(config)
    if args.val_pictures is not None:
        config.default_hooks.val_pictures = {"type": "yolox_pose.ValPicturesHook", "num": args.val_pictures}
    train(config)
    leave_processes()
    return 0


def train(config: Config) -> None:
    """Run the training that a config describes.

    Raises:
        YOLOXPoseError: If data, weights or settings are not usable; says in one line what to do.
    """
    from mmengine.runner import Runner

    if any(_is_tensorboard(backend) for backend in config.get("visualizer", {}).get("vis_backends") or []):
        check_tensorboard()
    config.custom_hooks = [*(config.get("custom_hooks") or []), {"type": "yolox_pose.StartWeightsHook"}]
    Runner.from_cfg(config).train()


def _set_start(config: Config, resume: str | None, load_from: str | None) -> None:
    """Where the run starts: from scratch, from weights, or from where an earlier run stopped."""
    if resume is not None and load_from is not None:
        raise UsageError("--resume and --load-from exclude each other: a resumed run has its weights already")
    if load_from is not None:
        config.load_from = str(find_weights(load_from))
    if resume is None:
        return
    config.resume = True
    config.load_from = str(check_file(resume, "checkpoint")) if resume != "auto" else find_latest(config.work_dir)


def distill(config: Config, path: str) -> None:
    """Add the hook that holds a model near a detector; an empty path stands for the weights that the run starts from.

    Raises:
        UsageError: If there is no such file, or no start.
    """
    if not path and not config.get("load_from"):
        raise UsageError("--distill keeps what the training starts from: add --load-from W, or name a detector")
    checkpoint = str(find_weights(path)) if path else None
    hooks = [hook for hook in config.get("custom_hooks") or [] if hook.get("type") != DISTILLATION_HOOK]
    config.custom_hooks = [*hooks, {"type": DISTILLATION_HOOK, "checkpoint": checkpoint}]


def freeze_detector(config: Config) -> None:
    """Have the keypoint branch learn alone.

    Raises:
        UsageError: If the run has no start, or the model no keypoints.
    """
    if not config.get("load_from"):
        raise UsageError("--freeze-detector leaves a detector as it is, and there is none yet: add --load-from W")
    if config.model.head.get("skeleton", "coco") is None:
        raise UsageError("--freeze-detector trains the keypoint branch alone, and the model of the config has none")
    config.model.freeze_detector = True


def find_latest(work_dir: str | Path) -> str:
    """The latest checkpoint of a work dir.

    Raises:
        UsageError: If there is none.
    """
    from mmengine.runner import find_latest_checkpoint

    latest = find_latest_checkpoint(str(work_dir)) if Path(work_dir).is_dir() else None
    if latest is None or not Path(latest).is_file():
        raise UsageError(
            f"--resume: there is no checkpoint in {work_dir}; start without --resume, or name a checkpoint"
        )
    return latest


def add_tensorboard(config: Config) -> None:
    """Have losses and figures written for TensorBoard, too."""
    backends = config.visualizer.setdefault("vis_backends", [])
    if not any(_is_tensorboard(backend) for backend in backends):
        backends.append({"type": TENSORBOARD})


def check_tensorboard() -> None:
    """Find out before data are read whether events can be written.

    Raises:
        UsageError: If the package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError:
        raise UsageError("writing for TensorBoard needs its package: pip install 'yolox-pose[tensorboard]'") from None


def _is_tensorboard(backend: Any) -> bool:
    return isinstance(backend, Mapping) and str(backend.get("type", "")).rpartition(".")[2] == TENSORBOARD


def check_sync_bn(config: Config, launcher: str, device: str) -> None:
    """Refuse ``sync_bn`` where torch cannot do it or MMEngine would leave it out without a word.

    Raises:
        UsageError: If there are no GPUs, no several processes, or no such implementation.
    """
    kind = config.get("sync_bn")
    if kind is None:
        return
    if kind not in SYNC_BN:
        raise UsageError(f"sync_bn: there is no {kind!r}; known: {', '.join(SYNC_BN)}")
    if device == "cpu":
        raise UsageError(f"sync_bn={kind} needs GPUs; on CPU leave it out: each process normalises its own images")
    if launcher == "none":
        raise UsageError(f"sync_bn={kind} joins processes, and there is one: add --launcher pytorch or slurm")


def use_amp(config: Config, device: str) -> None:
    """Train in mixed precision: the network in half precision, geometry and losses in float32."""
    wrapper = config.optim_wrapper
    if wrapper.get("type", "OptimWrapper") not in ("OptimWrapper", "AmpOptimWrapper"):
        raise UsageError(f"--amp: the config's optim_wrapper is a {wrapper.type}, which has its own precision")
    wrapper.type = "AmpOptimWrapper"
    if device == "cpu":
        wrapper.dtype = "bfloat16"
    else:
        wrapper.setdefault("loss_scale", "dynamic")


def scale_lr(config: Config) -> None:
    """Switch on MMEngine's scaling of the learning rate.

    Raises:
        UsageError: If the config does not say for which batch size its rate is meant.
    """
    if "base_batch_size" not in config.get("auto_scale_lr", {}):
        raise UsageError("--auto-scale-lr: the config has no auto_scale_lr.base_batch_size")
    config.auto_scale_lr.enable = True
