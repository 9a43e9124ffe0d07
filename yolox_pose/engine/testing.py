"""Evaluate a checkpoint on the test data of a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from yolox_pose.checkpoints.files import read_checkpoint
from yolox_pose.checkpoints.preprocessing import apply_preprocessing
from yolox_pose.coco.results import PREDICTIONS_PREFIX
from yolox_pose.engine.run import model_of
from yolox_pose.engine.tta import TTASettings, apply_tta
from yolox_pose.errors import UsageError
from yolox_pose.models.loading import load_weights, warn_of_other_config


def evaluate(
    config: Config, out: Path | None = None, *, keep_threshold: bool = False, tta: TTASettings | None = None
) -> Mapping[str, Any]:
    """Evaluate the checkpoint ``config.load_from`` on the test data of a config.

    The checkpoint may have any known layout. Its preprocessing replaces the config's.

    Args:
        config: Config to change in place.
        out: Folder for the predictions; None writes none.
        keep_threshold: Whether the config's score threshold is used in place of the checkpoint's.
        tta: Settings of test-time augmentation; None tests each image once.

    Returns:
        Metrics by name, such as ``coco/AP``; equal in every process.

    Raises:
        UsageError: If the config has no test data or no evaluator.
        DataError: If data or weights cannot be used.
    """
    absent = [key for key in ("test_dataloader", "test_evaluator") if not config.get(key)]
    if absent:
        raise UsageError(f"config {config.filename} has no {' and no '.join(absent)}")

    # Leave training out. A checkpoint's state_dict holds the averaged weights; the EMA hook would only copy the model.
    config.resume = False
    if config.get("test_cfg") is None:
        config.test_cfg = {}
    config.custom_hooks = [hook for hook in config.get("custom_hooks") or [] if not _builds(hook, "EMAHook")]
    if out is not None:
        for metric in _pose_metrics(config):
            metric.outfile_prefix = str(out / PREDICTIONS_PREFIX)

    # Apply the checkpoint's preprocessing, and test-time augmentation on top
    checkpoint = read_checkpoint(config.load_from)
    config.load_from = None
    warn_of_other_config(config, checkpoint)
    apply_preprocessing(config, checkpoint.dataset_meta, threshold=not keep_threshold)
    if tta is not None:
        apply_tta(config, tta)

    # Build the model, load the weights and test
    runner = Runner.from_cfg(config)
    model = model_of(runner)
    load_weights(model if tta is None else model.module, checkpoint)
    runner.logger.info(f"Weights of {checkpoint.layout.title} from {checkpoint.name}")
    return runner.test()


def _pose_metrics(config: Config) -> list[Any]:
    """Return the settings of this package's metrics."""
    evaluators = config.test_evaluator
    if isinstance(evaluators, Mapping):
        evaluators = evaluators.get("metrics", evaluators)  # MMEngine's own evaluator, or a metric
    if isinstance(evaluators, Mapping):
        evaluators = [evaluators]
    return [metric for metric in evaluators if _builds(metric, "CocoPoseMetric")]


def _builds(settings: Any, name: str) -> bool:
    """Tell whether settings build the class of a name, in any scope."""
    kind = settings.get("type") if isinstance(settings, Mapping) else None
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return kind.rpartition(".")[2] == name
