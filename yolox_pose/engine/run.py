"""Access to the parts of a runner that several hooks need."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner


def model_of(runner: Runner) -> Any:
    """Return the model without the DDP wrapper."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def classes_of(runner: Runner) -> Any:
    """Return the class names of the training data; None if they are unknown."""
    return (getattr(runner.train_dataloader.dataset, "metainfo", None) or {}).get("classes")
