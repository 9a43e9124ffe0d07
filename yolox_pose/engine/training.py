"""Train the model of a config, and the changes to a config that the training options make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.errors import UsageError
from yolox_pose.weights import find_weights, resolve_checkpoint

if TYPE_CHECKING:
    from mmengine.config import Config

TENSORBOARD = "TensorboardVisBackend"
DISTILLATION_HOOK = "yolox_pose.DistillationHook"
VAL_PICTURES_HOOK = "yolox_pose.ValPicturesHook"
START_HOOK = "yolox_pose.StartWeightsHook"


def train(config: Config) -> None:
    """Train the model of a config.

    Raises:
        YOLOXPoseError: If data, weights or settings cannot be used; one line that says what to do.
    """
    from mmengine.runner import Runner

    if any(_is_tensorboard(backend) for backend in config.get("visualizer", {}).get("vis_backends") or []):
        check_tensorboard()
    config.custom_hooks = [*(config.get("custom_hooks") or []), {"type": START_HOOK, "only": config.get("load_only")}]
    Runner.from_cfg(config).train()


def set_start(config: Config, resume: str | None, load_from: str | None, only: str | None = None) -> None:
    """Set the weights that a run starts from: random ones, given ones, or those of an earlier run.

    Args:
        config: Config to change in place.
        resume: Checkpoint to continue, ``auto`` for the latest one in the work dir, or None.
        load_from: Weights to start a new run from, or None.
        only: Part of ``load_from`` to take, ``'backbone'``, or None for all. It is noted as ``config.load_only``.

    Raises:
        UsageError: If both are given, or a file does not exist.
    """
    if only is not None and load_from is None:
        raise UsageError(f"--only {only} names a part of --load-from W: add --load-from")
    if resume is not None and load_from is not None:
        raise UsageError("--resume and --load-from exclude each other: a resumed run has its weights already")
    if load_from is not None:
        config.load_from = str(resolve_checkpoint(load_from, backbone_only=only == "backbone").path)
        config.load_only = only
    if resume is None:
        return
    config.resume = True
    if resume == "auto":
        config.load_from = find_latest(config.work_dir)
        return
    if not Path(resume).is_file():
        raise UsageError(f"checkpoint {resume!r} does not exist")
    config.load_from = resume


def find_latest(work_dir: str | Path) -> str:
    """Return the latest checkpoint in a work dir.

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


def distill(config: Config, path: str) -> None:
    """Add the hook that distills a detector into the model.

    Args:
        config: Config to change in place.
        path: Weights of the teacher; an empty path stands for the weights that the run starts from.

    Raises:
        UsageError: If the file does not exist, or the path is empty and the run starts from random weights.
    """
    if not path and not config.get("load_from"):
        raise UsageError("--distill needs a teacher: add --load-from W, or name a detector")
    if not path and config.get("load_only"):
        raise UsageError("--only backbone leaves no detector to distill: name one with --distill W")
    checkpoint = str(find_weights(path)) if path else None
    hooks = [hook for hook in config.get("custom_hooks") or [] if hook.get("type") != DISTILLATION_HOOK]
    config.custom_hooks = [*hooks, {"type": DISTILLATION_HOOK, "checkpoint": checkpoint}]


def freeze_detector(config: Config) -> None:
    """Freeze everything but the keypoint branch.

    Raises:
        UsageError: If the run starts from random weights, or the model has no keypoints.
    """
    if not config.get("load_from"):
        raise UsageError("--freeze-detector needs a trained detector: add --load-from W")
    if config.get("load_only"):
        raise UsageError("--freeze-detector needs a trained detector, and --only backbone leaves none: leave it out")
    if config.model.head.get("skeleton", "coco") is None:
        raise UsageError("--freeze-detector trains the keypoint branch alone, and the config's model has none")
    config.model.freeze_detector = True


def use_amp(config: Config, device: str) -> None:
    """Train with mixed precision: the network in half precision, geometry and losses in float32.

    Raises:
        UsageError: If the config has an optimizer wrapper with a precision of its own.
    """
    wrapper = config.optim_wrapper
    if wrapper.get("type", "OptimWrapper") not in ("OptimWrapper", "AmpOptimWrapper"):
        raise UsageError(f"--amp: the config's optim_wrapper is a {wrapper.type}, which has its own precision")
    wrapper.type = "AmpOptimWrapper"
    if device == "cpu":
        wrapper.dtype = "bfloat16"
    else:
        wrapper.setdefault("loss_scale", "dynamic")


def scale_lr(config: Config) -> None:
    """Scale the learning rate with the batch size of all processes.

    Raises:
        UsageError: If the config does not have the batch size that its learning rate was chosen for.
    """
    if "base_batch_size" not in config.get("auto_scale_lr", {}):
        raise UsageError("--auto-scale-lr: the config has no auto_scale_lr.base_batch_size")
    config.auto_scale_lr.enable = True


def skip_validation(config: Config) -> None:
    """Train without validation."""
    config.val_cfg = config.val_dataloader = config.val_evaluator = None


def draw_val_pictures(config: Config, count: int) -> None:
    """Draw some validation images, annotated and predicted, at every validation."""
    config.default_hooks.val_pictures = {"type": VAL_PICTURES_HOOK, "num": count}


def add_tensorboard(config: Config) -> None:
    """Write losses and metrics for TensorBoard as well."""
    backends = config.visualizer.setdefault("vis_backends", [])
    if not any(_is_tensorboard(backend) for backend in backends):
        backends.append({"type": TENSORBOARD})


def check_tensorboard() -> None:
    """Check that events can be written, before data are read.

    Raises:
        UsageError: If the tensorboard package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError:
        raise UsageError("--tensorboard needs the tensorboard package: pip install tensorboard") from None


def _is_tensorboard(backend: Any) -> bool:
    return isinstance(backend, Mapping) and str(backend.get("type", "")).rpartition(".")[2] == TENSORBOARD
