"""Hook that draws training curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.checkpoints.files import write_atomically
from yolox_pose.errors import DataError
from yolox_pose.registry import HOOKS
from yolox_pose.visualization.curves import draw_curves, read_history

CURVES = "curves.png"


@HOOKS.register_module()
class CurvesHook(Hook):
    """Draw ``curves.png`` in the work dir after each validation and at the end, over all resumed runs.

    A failure is one warning and does not stop the training.
    """

    priority = "VERY_LOW"  # after the metrics are written

    def __init__(self) -> None:
        self.failed = False

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Draw the curves so far."""
        self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Draw the complete curves."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        if self.failed:
            return
        try:
            write_atomically(Path(runner.work_dir, CURVES), draw_curves([read_history(runner.work_dir)]))
        except (DataError, ImportError, OSError) as error:
            self.failed = True
            runner.logger.warning(f"{CURVES} cannot be drawn: {error}")
