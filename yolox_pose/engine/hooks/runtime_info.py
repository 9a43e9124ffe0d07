"""Hook that reads losses from the device in groups."""

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
    """MMEngine's ``RuntimeInfoHook`` with a buffer for losses.

    MMEngine reads every loss in every iteration, which waits for the device each time. This hook reads the losses of several
    iterations together: every ``interval`` iterations, before log lines, and before checkpoints.

    Args:
        interval: Number of iterations between two reads.
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self.buffer: list[dict[str, Tensor]] = []
        self.intervals: set[int] = {interval}

    def before_train(self, runner: Runner) -> None:
        """Collect the intervals of the log hooks."""
        super().before_train(runner)
        self.intervals = {self.interval, *(hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook))}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Buffer the losses of this iteration, and read the buffer if an interval ends."""
        if outputs:
            self.buffer.append({key: torch.as_tensor(value).detach() for key, value in outputs.items()})
        due = any(self.every_n_inner_iters(batch_idx, n) or self.every_n_train_iters(runner, n) for n in self.intervals)
        if due or self.end_of_epoch(runner.train_dataloader, batch_idx) or self.is_last_train_iter(runner):
            self.flush(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the buffer, so that the checkpoint holds all losses so far."""
        self.flush(runner)

    def flush(self, runner: Runner) -> None:
        """Read the buffer with one transfer and pass it to the message hub in order."""
        if not self.buffer:
            return
        values = iter(
            torch.stack([value.float().flatten()[0] for losses in self.buffer for value in losses.values()]).tolist()
        )
        for losses in self.buffer:
            for key in losses:
                runner.message_hub.update_scalar(f"train/{key}", next(values))
        self.buffer = []
