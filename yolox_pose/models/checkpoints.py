"""Recognises the layout of weights and turns them into this package's."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

HEAD = "head.head_module."
MMDET_HEAD = "bbox_head.multi_level_"
MMDET_BRANCHES = {
    "cls_convs": "conv_cls",
    "reg_convs": "conv_reg",
    "conv_cls": "out_cls",
    "conv_reg": "out_bbox",
    "conv_obj": "out_obj",
}
"""Names of mmdet's ``YOLOXHead`` and the same layers here."""
CLASS_LAYER = re.compile(rf"^{re.escape(HEAD)}out_cls\.\d+\.(weight|bias)$")
NUM_COCO_CLASSES = 80
PERSON = 0
"""Row of 'person' among the 80 COCO classes."""


def rename_mmdet_key(key: str) -> str:
    """Name here of a parameter of mmdet's YOLOX; backbone and neck are called the same."""
    match = re.match(rf"^{re.escape(MMDET_HEAD)}(\w+?)\.(.*)$", key)
    if match and match[1] in MMDET_BRANCHES:
        return f"{HEAD}{MMDET_BRANCHES[match[1]]}.{match[2]}"
    return key


def adapt_state_dict(state_dict: dict[str, Any], own: Mapping[str, Tensor], prefix: str = "") -> None:
    """Turn the weights of an mmdet YOLOX detector into those of this model, in place.

    A detector of the 80 COCO classes gives a one-class model its person row. Layers whose shape differs otherwise stay
    as they were initialised. Weights in this package's own layout (which is mmpose's built-in one) are not touched.

    Args:
        state_dict: Weights about to be loaded.
        own: The model's parameters and buffers.
        prefix: Prefix of all keys, given by torch for nested modules.
    """
    if not any(key.startswith(prefix + MMDET_HEAD) for key in state_dict):
        return
    renamed = {prefix + rename_mmdet_key(key[len(prefix) :]): key for key in state_dict if key.startswith(prefix)}
    taken = dropped = 0
    for new, old in renamed.items():
        value = state_dict.pop(old)
        target = own.get(new[len(prefix) :])
        if target is not None and CLASS_LAYER.match(new[len(prefix) :]) and value.shape != target.shape:
            value = _person_row(value, target)
        if target is None or value is None or value.shape != target.shape:
            dropped += 1
            continue
        state_dict[new] = value
        taken += 1
    fresh = sum(key not in renamed for key in own)
    print_log(
        f"Weights of an MMDetection YOLOX detector: {taken} tensors taken, {dropped} dropped, {fresh} of the model are "
        "new (the keypoint branch).",
        logger="current",
        level=logging.INFO,
    )


def _person_row(value: Tensor, target: Tensor) -> Tensor | None:
    """The person row of an 80-class layer for a one-class model, else None."""
    if len(value) == NUM_COCO_CLASSES and len(target) == 1:
        return value[PERSON : PERSON + 1]
    return None
