"""Hook that warns of evident problems of a training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner

from yolox_pose.registry import HOOKS

WATCHED_METRICS = ("coco/AP", "coco/bbox_mAP")
"""Validation metrics that should not stay 0."""

SMALLEST_AP = 0.0005
"""An AP below this value is printed as 0.000."""


@HOOKS.register_module()
class TrainingChecksHook(Hook):
    """Warn once of each of these problems.

    * No annotation has labeled keypoints, or there are no annotations.
    * Many steps in a row have no positives. They are read from the log's history, without waiting for the device.
    * AP stays 0.
    * The training uses bfloat16 on a processor without AVX-512.

    Args:
        steps: Number of steps in a row without positives that leads to a warning.
        epochs: Number of epochs with an AP of 0 that leads to a warning; a shorter training warns at its end.
    """

    priority = "LOW"  # after the losses are in the history

    def __init__(self, steps: int = 100, epochs: int = 10) -> None:
        self.steps, self.epochs = steps, epochs
        self.warned: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check annotations and precision."""
        for dataset in _parts(runner.train_dataloader.dataset):
            if message := annotations_problem(dataset):
                self._warn(runner, f"annotations {dataset.ann_file}", message)
        if isinstance(runner.optim_wrapper, AmpOptimWrapper) and next(runner.model.parameters()).device.type == "cpu":
            message = precision_problem(torch.backends.cpu.get_cpu_capability())
            if message:
                self._warn(runner, "precision", message)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping | None = None
    ) -> None:
        """Check the positives of the last steps."""
        history = runner.message_hub.log_scalars.get("train/positives")
        if "positives" in self.warned or history is None or not self.every_n_train_iters(runner, self.steps):
            return
        values, _ = history.data
        if len(values) >= self.steps and not values[-self.steps :].any():
            self._warn(
                runner,
                "positives",
                f"nothing was learned in the last {self.steps} steps: no batch had a person (or object) to find. Look at what "
                "the network is given with yolox-pose dataset browse, and check the boxes with yolox-pose dataset check",
            )

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Check AP."""
        due = min(self.epochs, runner.max_epochs or self.epochs)
        for name in WATCHED_METRICS:
            value = (metrics or {}).get(name)
            if value is not None and abs(value) < SMALLEST_AP and runner.epoch >= due:
                self._warn(
                    runner,
                    name,
                    f"{name} is still 0 after {runner.epoch} epochs. Few images need weights to start from "
                    "(--load-from bundled, or a detector's); compare the annotations of training and validation "
                    "(yolox-pose dataset stats), and look at curves.png: a loss that does not fall wants another learning rate",
                )

    def _warn(self, runner: Runner, key: str, message: str) -> None:
        if key not in self.warned:
            self.warned.add(key)
            runner.logger.warning(message)


def precision_problem(capability: str) -> str | None:
    """Return why bfloat16 is slow with a CPU capability of torch, or None if it is not known to be slow."""
    if capability != "AVX2":
        return None
    return "this processor has no AVX-512: bfloat16 is several times slower than float32, so train without --amp"


def annotations_problem(dataset: Any) -> str | None:
    """Return why a :class:`yolox_pose.datasets.coco.CocoPoseDataset` teaches nothing or no keypoints, or None."""
    records = getattr(dataset, "records", None)
    if records is None:
        return None
    path = dataset.ann_file
    if not len(records.boxes):
        return (
            f"{path}: none of the {len(records)} images has an annotation of the classes "
            f"{', '.join(map(repr, records.classes))}; name yours with train_dataloader.dataset.classes"
        )
    if dataset.skeleton is not None and not (records.visible > 0).any():
        return (
            f"{path}: none of the {len(records.boxes)} annotations has a labelled keypoint, so boxes are all that is "
            "learned; check 'keypoints' in the file (yolox-pose dataset stats), or name the file that has them as keypoint_file"
        )
    return None


def _parts(dataset: Any) -> Iterable[Any]:
    """Yield a data set, or the data sets that it wraps."""
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    wrapped = [part for part in inner if part is not None]
    if not wrapped:
        yield dataset
    for part in wrapped:
        yield from _parts(part)
