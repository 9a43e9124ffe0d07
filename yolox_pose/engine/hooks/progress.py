"""Hook that shows one progress bar for a whole training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from yolox_pose.registry import HOOKS

REFRESH = 10.0
"""Seconds between two updates of the bar if it is written to a file instead of a terminal."""


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show epoch, iterations, remaining time, loss and the last validation metric. The log file still gets the log lines.

    Args:
        metric: Validation metric to show.
        smoothing: Weight of a new loss in the moving average that is shown.
    """

    priority = "VERY_LOW"

    def __init__(self, metric: str = "coco/AP", smoothing: float = 0.05) -> None:
        self.metric, self.smoothing = metric, smoothing
        self.loss: torch.Tensor | None = None  # stays on the device until the bar is drawn
        self.value: float | None = None
        self.bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        """Open the bar at the iteration where the run starts or resumes."""
        interval = 0.2 if sys.stderr.isatty() else REFRESH
        self.bar = tqdm(
            total=runner.max_iters, initial=runner.iter, desc="training", unit="it", mininterval=interval,
            dynamic_ncols=True, disable=not is_main_process(),
        )  # fmt: skip

    def before_train_epoch(self, runner: Runner) -> None:
        """Show the epoch."""
        assert self.bar is not None
        self.bar.set_description(f"epoch {runner.epoch + 1}/{runner.max_epochs}", refresh=False)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Advance the bar."""
        if outputs and "loss" in outputs:
            loss = torch.as_tensor(outputs["loss"]).detach()
            self.loss = loss if self.loss is None else self.loss + self.smoothing * (loss - self.loss)
        assert self.bar is not None
        if self.bar.update():
            self._show()

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Show the validation metric."""
        self.value = (metrics or {}).get(self.metric, self.value)
        if self.bar is not None:
            self._show()

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        assert self.bar is not None
        self._show()
        self.bar.close()

    def _show(self) -> None:
        assert self.bar is not None
        shown = {"loss": None if self.loss is None else float(self.loss), self.metric.rpartition("/")[2]: self.value}
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in shown.items() if value is not None}, refresh=False)
