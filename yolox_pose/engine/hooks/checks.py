"""Says once what is evidently wrong with a training, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner

from yolox_pose.registry import HOOKS

FIGURES = ("coco/AP", "coco/bbox_mAP")
"""Figures of the validation that should not stay 0."""
NOTHING = 0.0005
"""An AP below this is shown as 0.000."""


@HOOKS.register_module()
class TrainingChecksHook(Hook):
    """Warns of labels without keypoints, of steps without positives, of an AP that stays 0, and of bfloat16 on a processor
    that has no instructions for it; each is said once.

    The positives come from the log's history, so that no device is waited for.

    Args:
        steps: Steps in a row without any positive that are a warning.
        epochs: Epochs after which an AP of 0 is a warning; also at the end of a shorter training.
    """

    priority = "LOW"  # after the losses are in the history

    def __init__(self, steps: int = 100, epochs: int = 10) -> None:
        self.steps, self.epochs = steps, epochs
        self.said: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Look at the annotations and at the precision."""
        for dataset in _parts(runner.train_dataloader.dataset):
            if message := annotations_problem(dataset):
                self._say(runner, f"annotations {dataset.ann_file}", message)
        if isinstance(runner.optim_wrapper, AmpOptimWrapper) and next(runner.model.parameters()).device.type == "cpu":
            message = precision_problem(torch.backends.cpu.get_cpu_capability())
            if message:
                self._say(runner, "precision", message)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping | None = None
    ) -> None:
        """Look at the positives of the last steps."""
        history = runner.message_hub.log_scalars.get("train/positives")
        if "positives" in self.said or history is None or not self.every_n_train_iters(runner, self.steps):
            return
        values, _ = history.data
        if len(values) >= self.steps and not values[-self.steps :].any():
            self._say(
                runner,
                "positives",
                f"nothing was learned in the last {self.steps} steps: no batch had a person (or object) to find. Look at what "
                "the network is given with tools/dataset.py browse, and check the boxes with tools/dataset.py check",
            )

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        """Look at AP."""
        due = min(self.epochs, runner.max_epochs or self.epochs)
        for name in FIGURES:
            value = (metrics or {}).get(name)
            if value is not None and abs(value) < NOTHING and runner.epoch >= due:
                self._say(
                    runner,
                    name,
                    f"{name} is still 0 after {runner.epoch} epochs. Few images need weights to start from "
                    "(--load-from bundled, or a detector's); compare the annotations of training and validation "
                    "(tools/dataset.py stats), and look at curves.png: a loss that does not fall wants another learning rate",
                )

    def _say(self, runner: Runner, key: str, message: str) -> None:
        if key not in self.said:
            self.said.add(key)
            runner.logger.warning(message)


def precision_problem(capability: str) -> str | None:
    """Why bfloat16 does not pay on a processor of which torch says ``capability``, None if nothing is known against it."""
    if capability != "AVX2":
        return None
    return "this processor has no AVX-512, without which bfloat16 is computed several times slower than float32: train without --amp"


def annotations_problem(dataset: Any) -> str | None:
    """What keeps anything from being learned of a :class:`yolox_pose.datasets.coco.CocoPoseDataset`, None if nothing does."""
    records = getattr(dataset, "records", None)
    if records is None:
        return None
    where = dataset.ann_file
    if not len(records.boxes):
        return (
            f"{where}: none of the {len(records)} images has an annotation of the classes "
            f"{', '.join(map(repr, records.classes))}; name yours with train_dataloader.dataset.classes"
        )
    if dataset.skeleton is not None and not (records.visible > 0).any():
        return (
            f"{where}: none of the {len(records.boxes)} annotations has a labelled keypoint, so boxes are all that is "
            "learned; check 'keypoints' in the file (tools/dataset.py stats), or name the file that has them as keypoint_file"
        )
    return None


def _parts(dataset: Any) -> Iterable[Any]:
    """A data set, or what it wraps."""
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    wrapped = [part for part in inner if part is not None]
    if not wrapped:
        yield dataset
    for part in wrapped:
        yield from _parts(part)
