"""Complete the config of MMEngine's inferencers, MMPose's among them.

They build the transforms of the test pipeline without the data set, so ``LetterboxResize`` would not get the data set's
``input_size``, and they load the weights of a checkpoint without its padding and normalization. May go when MMEngine
builds the pipeline through the data set.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Completion = Callable[[Any, Any, str], None]
"""Called with the config, the model that was built from it, and the device; changes config and model in place."""

_completions: list[Completion] = []


def on_model_built(function: Completion) -> Completion:
    """Register a function that an inferencer calls between building its model and its pipeline."""
    _completions.append(function)
    return function


def fill() -> str:
    """Call the registered functions whenever an inferencer has built its model. Return what was done."""
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
