"""Hook that logs skipped steps and stops a run whose loss stays NaN or Inf."""

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
    """Log how many steps were skipped, and stop the run if the loss is NaN or Inf several times in a row.

    Args:
        patience: Number of failed checks in a row that stops the run.
        interval: Number of iterations between two checks; each check waits for the device.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, patience: int = 5, interval: int = 10) -> None:
        self.patience, self.interval, self.failures, self.skipped = patience, interval, 0, 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Check the loss.

        Raises:
            YOLOXPoseError: If it was NaN or Inf ``patience`` times in a row; names the images.
        """
        if outputs is None or not self.every_n_train_iters(runner, self.interval):
            return
        self._log_skipped(runner)
        loss = outputs.get("loss")
        finite = loss is None or bool(torch.isfinite(torch.as_tensor(loss)).all())
        self.failures = 0 if finite else self.failures + 1
        if self.failures >= self.patience:
            images = _image_ids((data_batch or {}).get("data_samples") or [])
            raise YOLOXPoseError(
                f"the loss was not finite in {self.failures} checks in a row (iteration {runner.iter + 1}, images "
                f"{images}): lower the learning rate, check the annotations of these images, or train without --amp"
            )

    def _log_skipped(self, runner: Runner) -> None:
        skip = getattr(getattr(runner.optim_wrapper, "optimizer", None), "skip", None)
        count = 0 if skip is None or skip.skipped is None else int(skip.skipped)
        if count > self.skipped:
            runner.logger.warning(
                f"{count - self.skipped} steps up to iteration {runner.iter + 1} were skipped, {count} so far: a gradient "
                "was not finite"
            )
        self.skipped = count


def _image_ids(samples: Sequence[Any]) -> list[Any]:
    return [sample.metainfo.get("img_id") for sample in samples]
