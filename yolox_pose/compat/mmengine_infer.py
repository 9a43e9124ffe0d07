"""MMEngine's inferencers, MMPose's among them, with what stands beside the transforms of the test pipeline.

They build the transforms and nothing else of the data set, so ``LetterboxResize`` would not hear of the data set's
``input_size`` and fall back to its own default, and they load the weights of a checkpoint but not what it says of padding and
normalisation. Configs whose pipeline has no ``LetterboxResize`` are left alone. May go when MMEngine builds the pipeline
through the data set.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any


def fill() -> str:
    """Complete the config between the model, which is built first, and the pipeline. Returns what was done."""
    from mmengine.infer import BaseInferencer

    BaseInferencer._init_model = _with_whole_config(BaseInferencer._init_model)
    return "inferencers take input size, padding and normalisation as training did"


def _with_whole_config(init: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(init)
    def init_model(self: Any, cfg: Any, weights: str | None, device: str = "cpu") -> Any:
        from yolox_pose.checkpoints import origin  # that package installs this one first

        model = init(self, cfg, weights, device)
        if not any(origin.letterboxes(cfg)):
            return model
        before = copy.deepcopy(cfg["model"].get("data_preprocessor"))
        origin.apply_origin(cfg, getattr(model, "dataset_meta", None) or {}, threshold=False)
        origin.name_input_sizes(cfg)
        if cfg["model"].get("data_preprocessor") != before:
            from mmengine.registry import MODELS

            model.data_preprocessor = MODELS.build(cfg["model"]["data_preprocessor"]).to(device)
        return model

    return init_model
