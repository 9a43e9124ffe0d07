"""Curves of the training so far, as a picture in the work dir."""

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
    """Draws ``curves.png`` in the work dir after every validation and at the end, over all resumes.

    A picture that cannot be drawn is one warning and never ends a training.
    """

    priority = "VERY_LOW"  # after the figures are written

    def __init__(self) -> None:
        self.failed = False

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Draw what there is."""
        self._draw(runner)

    def after_train(self, runner: Runner) -> None:
        """Likewise."""
        self._draw(runner)

    @master_only
    def _draw(self, runner: Runner) -> None:
        if self.failed:
            return
        try:
            write_atomically(Path(runner.work_dir, CURVES), draw_curves([read_history(runner.work_dir)]))
        except (DataError, ImportError, OSError) as error:
            self.failed = True
            runner.logger.warning(f"{CURVES} is not drawn: {error}")
