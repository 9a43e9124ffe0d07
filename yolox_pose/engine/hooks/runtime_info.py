"""Losses for the log, read from the device a few at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from yolox_pose.registry import HOOKS


@HOOKS.register_module()
class BufferedRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, which reads every loss in every iteration and so waits for the device each time, with
    a buffer: all losses are read together, every ``interval`` iterations and whenever somebody looks at them.

    Args:
        interval: Iterations that are kept.
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.kept: list[dict[str, Tensor]] = []
        self.readers: set[int] = {interval}

    def before_train(self, runner: Runner) -> None:
        """Find out when log lines are written."""
        super().before_train(runner)
        self.readers = {self.interval, *(hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook))}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Keep the losses of this iteration, hand all over if it is time."""
        if outputs:
            self.kept.append({key: torch.as_tensor(value).detach() for key, value in outputs.items()})
        due = any(self.every_n_inner_iters(batch_idx, n) or self.every_n_train_iters(runner, n) for n in self.readers)
        if due or self.end_of_epoch(runner.train_dataloader, batch_idx) or self.is_last_train_iter(runner):
            self.flush(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """A checkpoint holds the losses so far."""
        self.flush(runner)

    def flush(self, runner: Runner) -> None:
        """Read what is kept with one transfer and hand it to the message hub, in order."""
        if not self.kept:
            return
        values = iter(torch.stack([value.float().flatten()[0] for one in self.kept for value in one.values()]).tolist())
        for one in self.kept:
            for key in one:
                runner.message_hub.update_scalar(f"train/{key}", next(values))
        self.kept = []
