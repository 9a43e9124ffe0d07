"""Fewer threads while other processes use the same processor cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.ops.threads import TorchThreads, torch_threads
from yolox_pose.registry import HOOKS


@HOOKS.register_module()
class ThreadsHook(Hook):
    """Adapts PyTorch's number of threads between iterations on a CPU, and logs one line when it first lowers it.

    Args:
        threads: Sets the number; None takes that of the process.
    """

    priority = "VERY_LOW"

    def __init__(self, threads: TorchThreads | None = None) -> None:
        self.threads = threads

    def before_run(self, runner: Runner) -> None:
        """Begin to watch, unless a GPU does the work."""
        if next(runner.model.parameters()).device.type != "cpu":
            self.threads = None
        elif self.threads is None:
            self.threads = torch_threads()
        self._check(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping | None = None
    ) -> None:
        """Adapt the number for the next step."""
        self._check(runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Adapt the number for the next batch."""
        self._check(runner)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None
    ) -> None:
        """Adapt the number for the next batch."""
        self._check(runner)

    def _check(self, runner: Runner) -> None:
        if self.threads is not None and (message := self.threads.check()):
            runner.logger.warning(message)
