"""Tells of skipped steps, and stops a run whose loss is no longer a number, naming the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.errors import YOLOXPoseError
from yolox_pose.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossGuard(Hook):
    """Log how many steps were skipped, and stop the run when the loss has not been finite several times in a row.

    Args:
        patience: Checks in a row that may fail.
        interval: Iterations between two checks; each check waits for the device.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, patience: int = 5, interval: int = 10) -> None:
        self.patience, self.interval, self.failures, self.skipped = patience, interval, 0, 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Check the loss.

        Raises:
            YOLOXPoseError: If it was not finite ``patience`` times in a row.
        """
        if outputs is None or not self.every_n_train_iters(runner, self.interval):
            return
        self._tell_skipped(runner)
        loss = outputs.get("loss")
        finite = loss is None or bool(torch.isfinite(torch.as_tensor(loss)).all())
        self.failures = 0 if finite else self.failures + 1
        if self.failures >= self.patience:
            images = _image_ids((data_batch or {}).get("data_samples") or [])
            raise YOLOXPoseError(
                f"the loss was not finite in {self.failures} checks in a row (iteration {runner.iter + 1}, images "
                f"{images}): lower the learning rate, check the annotations of these images, or train without --amp"
            )

    def _tell_skipped(self, runner: Runner) -> None:
        skip = getattr(getattr(runner.optim_wrapper, "optimizer", None), "skip", None)
        count = 0 if skip is None or skip.skipped is None else int(skip.skipped)
        if count > self.skipped:
            runner.logger.warning(
                f"{count - self.skipped} steps up to iteration {runner.iter + 1} were skipped, {count} so far: a gradient "
                "was not finite"
            )
        self.skipped = count


def _image_ids(samples: Sequence) -> list:
    return [sample.metainfo.get("img_id") for sample in samples]
