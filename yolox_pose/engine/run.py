"""What several hooks ask of a run."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


def model_of(runner: Runner) -> Any:
    """The model, without what distributes it over processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def classes_of(runner: Runner) -> Any:
    """Class names of the training data; None where they are not known."""
    return (getattr(runner.train_dataloader.dataset, "metainfo", None) or {}).get("classes")
