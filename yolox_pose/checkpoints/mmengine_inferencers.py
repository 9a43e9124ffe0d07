"""Give MMEngine's inferencers the input size, padding and normalization that a checkpoint was trained with."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.registry import MODELS

from yolox_pose.checkpoints import preprocessing
from yolox_pose.compat.mmengine_infer import on_model_built


@on_model_built
def complete_config(cfg: Any, model: Any, device: str) -> None:
    """Complete the test pipeline and the data preprocessor, in place.

    A config without ``LetterboxResize`` in its pipeline is not changed.

    Args:
        cfg: Config of the inferencer.
        model: Model built from the config, with the ``dataset_meta`` of its checkpoint if there is one.
        device: Device of the model.
    """
    if not any(preprocessing.letterboxes(cfg)):
        return
    before = copy.deepcopy(cfg["model"].get("data_preprocessor"))
    preprocessing.apply_preprocessing(cfg, getattr(model, "dataset_meta", None) or {}, threshold=False)
    preprocessing.name_input_sizes(cfg)
    if cfg["model"].get("data_preprocessor") != before:
        model.data_preprocessor = MODELS.build(cfg["model"]["data_preprocessor"]).to(device)
