"""Complete the config of MMEngine's and MMPose's inferencers.

They build the test pipeline without the data set, so that ``LetterboxResize`` lacks the data set's ``input_size``, and they
load weights without the padding and normalization of the checkpoint. Remove this file when MMEngine builds the pipeline
through the data set.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Completion = Callable[[Any, Any, str], None]
"""Function of the config, the model built from it, and the device; it changes config and model in place."""

_completions: list[Completion] = []


def on_model_built(function: Completion) -> Completion:
    """Register a function that inferencers call after they build the model and before they build the pipeline."""
    _completions.append(function)
    return function


def fill() -> str:
    """Patch the inferencers to call the registered functions, and return a description."""
    from mmengine.infer import BaseInferencer

    BaseInferencer._init_model = _with_completions(BaseInferencer._init_model)
    return "inferencers take input size, padding and normalization as training did"


def _with_completions(init: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(init)
    def init_model(self: Any, cfg: Any, weights: str | None, device: str = "cpu") -> Any:
        model = init(self, cfg, weights, device)
        for complete in _completions:
            complete(cfg, model, device)
        return model

    return init_model
