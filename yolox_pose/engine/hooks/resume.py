"""Hook that continues a run whose config may have changed since its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner

from yolox_pose.engine.hooks.distillation import TEACHER, DistillationHook
from yolox_pose.engine.run import model_of
from yolox_pose.errors import UsageError
from yolox_pose.registry import HOOKS

TRAINED_WITH = "trained_with"
"""Entry of a checkpoint's ``meta``: class of the optimizer and iterations per epoch."""

SCHEDULER_PROGRESS = frozenset({"last_step", "_global_step", "_last_value", "verbose"})
"""Attributes of a parameter scheduler that change during training; the others are its settings."""


@HOOKS.register_module()
class ResumeHook(Hook):
    """Check a checkpoint that a run resumes from, and adapt its schedule to the config.

    MMEngine restores learning rates and schedules from the checkpoint, whatever the config says. This hook compares both.
    Equal settings leave the checkpoint untouched, so the resumed run is bit-identical to the uninterrupted one. Other
    settings replace those of the checkpoint, at the position of the schedule where the run continues; the state of the
    optimizer stays. Schedules that depend on validation results (``ReduceOnPlateau``) stay those of the checkpoint.

    Raises:
        UsageError: If model, optimizer or parameter groups differ from those of the checkpoint.
    """

    priority = "HIGHEST"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check and adapt the content of a checkpoint before MMEngine loads it."""
        loop = runner._train_loop
        if not runner._resume or not isinstance(loop, EpochBasedTrainLoop):
            return
        if not isinstance(runner.optim_wrapper, OptimWrapper) or "optimizer" not in checkpoint:
            return
        name, meta = runner._load_from or "the latest checkpoint", checkpoint["meta"]

        # Refuse what the optimizer state does not belong to
        check_shapes(checkpoint["state_dict"], model_of(runner).state_dict(), name)
        check_optimizer(checkpoint, runner.optim_wrapper.optimizer, name)

        # Say what the options of this run leave out
        if meta.get(TEACHER) and not any(isinstance(hook, DistillationHook) for hook in runner.hooks):
            runner.logger.warning(f"{name} was trained with --distill, this run is not: add --distill to continue it")
        if meta["epoch"] >= loop.max_epochs:
            runner.logger.warning(
                f"{name}: already trained for {meta['epoch']} of {loop.max_epochs} epochs; raise train_cfg.max_epochs "
                "to train longer"
            )
            return

        # Follow the schedule of the config
        schedulers = runner.param_schedulers if isinstance(runner.param_schedulers, list) else []
        before = checkpoint["optimizer"]["param_groups"][0]["lr"]
        if adapt_schedule(checkpoint, runner.optim_wrapper, schedulers, len(loop.dataloader)):
            after = checkpoint["optimizer"]["param_groups"][0]["lr"]
            runner.logger.warning(
                f"{name} has other optimizer settings or another schedule than the config: epoch {meta['epoch'] + 1} "
                f"continues with those of the config, learning rate {after:.3g} (checkpoint: {before:.3g})"
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note the class of the optimizer and the iterations per epoch."""
        if isinstance(runner.optim_wrapper, OptimWrapper):
            checkpoint.setdefault("meta", {})[TRAINED_WITH] = {
                "optimizer": type(runner.optim_wrapper.optimizer).__name__,
                "epoch_length": len(runner.train_dataloader),
            }


def check_shapes(stored: Mapping[str, Any], weights: Mapping[str, Any], name: str) -> None:
    """Check that the weights of a checkpoint have the shapes of the model.

    Args:
        stored: Weights of the checkpoint.
        weights: Weights of the model.
        name: Name of the checkpoint for the message.

    Raises:
        UsageError: If a weight is missing or has another shape.
    """
    wrong = [key for key, value in weights.items() if key not in stored or stored[key].shape != value.shape]
    if wrong:
        raise UsageError(
            f"{name} holds another model than the config ({wrong[0]} and {len(wrong) - 1} other weights differ). Resume with "
            f"the config of the first run, or start a new run from the weights: --load-from {name}"
        )


def check_optimizer(checkpoint: Mapping[str, Any], optimizer: Any, name: str) -> None:
    """Check that the optimizer state of a checkpoint belongs to the parameters that this run trains.

    Args:
        checkpoint: Content of the checkpoint.
        optimizer: Optimizer of this run.
        name: Name of the checkpoint for the message.

    Raises:
        UsageError: If optimizer class or parameter groups differ.
    """
    advice = (
        "Resume with the options of the first run (--freeze-detector, model.backbone.frozen_stages, optim_wrapper), or "
        f"start a new run from the weights: --load-from {name}"
    )
    kind, stored_kind = type(optimizer).__name__, checkpoint["meta"].get(TRAINED_WITH, {}).get("optimizer")
    if stored_kind is not None and stored_kind != kind:
        raise UsageError(f"{name} was trained with {stored_kind}, this run uses {kind}. {advice}")
    sizes, stored_sizes = (
        [len(group["params"]) for group in groups]
        for groups in (optimizer.param_groups, checkpoint["optimizer"]["param_groups"])
    )
    if sizes != stored_sizes:
        raise UsageError(
            f"{name} was trained with {sum(stored_sizes)} parameters in {len(stored_sizes)} groups, this run trains "
            f"{sum(sizes)} in {len(sizes)}. {advice}"
        )


def adapt_schedule(
    checkpoint: dict[str, Any], optim_wrapper: OptimWrapper, schedulers: Sequence[_ParamScheduler], epoch_length: int
) -> bool:
    """Replace optimizer settings and schedule of a checkpoint by those of the config, if they differ.

    Args:
        checkpoint: Content of the checkpoint; changed in place.
        optim_wrapper: Optimizer of the config in its initial state; its learning rates are advanced.
        schedulers: Schedulers of the config in their initial state; advanced to the position of the checkpoint.
        epoch_length: Iterations per epoch.

    Returns:
        Whether anything differed.
    """
    if any(getattr(scheduler, "need_val_args", False) for scheduler in schedulers):
        return False

    # Compare what does not change during training
    scheduled = {scheduler.param_name for scheduler in schedulers}
    progress = {"params", *scheduled, *(f"initial_{name}" for name in scheduled)}
    groups, stored_groups = _all_groups(optim_wrapper), _stored_groups(checkpoint["optimizer"])
    stored_schedulers = checkpoint.get("param_schedulers") or []
    if _without(stored_groups, progress) == _without(groups, progress) and _without(
        stored_schedulers, SCHEDULER_PROGRESS
    ) == _without([scheduler.state_dict() for scheduler in schedulers], SCHEDULER_PROGRESS):
        return False

    # Advance the schedule of the config; another epoch length moves the iteration with the epoch
    meta = checkpoint["meta"]
    if meta.get(TRAINED_WITH, {}).get("epoch_length", epoch_length) != epoch_length:
        meta["iter"] = meta["epoch"] * epoch_length
    advance_schedulers(schedulers, meta["iter"], epoch_length)

    # Write the result where MMEngine reads it
    for stored, group in zip(stored_groups, groups):
        stored.update({key: value for key, value in group.items() if key != "params"})
    checkpoint["param_schedulers"] = [scheduler.state_dict() for scheduler in schedulers]
    return True


def advance_schedulers(schedulers: Sequence[_ParamScheduler], iterations: int, epoch_length: int) -> None:
    """Step schedulers as a training of some iterations does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch expects steps of the optimizer in between
        for iteration in range(1, iterations + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            for scheduler in schedulers:
                if scheduler.by_epoch and iteration % epoch_length == 0:
                    scheduler.step()


def _all_groups(optim_wrapper: OptimWrapper) -> list[dict[str, Any]]:
    """Return the parameter groups, MMEngine's group of base settings included."""
    return list(optim_wrapper.param_groups)


def _stored_groups(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameter groups in an optimizer's state, MMEngine's group of base settings included."""
    base = state.get("base_param_settings")
    return [*state["param_groups"], *([] if base is None else [base])]


def _without(states: Sequence[Mapping[str, Any]], names: Any) -> list[dict[str, Any]]:
    """Return states without some entries, tuples as lists."""
    return [
        {key: list(value) if isinstance(value, tuple) else value for key, value in state.items() if key not in names}
        for state in states
    ]
