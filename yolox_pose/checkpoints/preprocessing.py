"""Preprocessing that weights assume, stored in a checkpoint as ``dataset_meta['preprocessing']`` with plain values.

==================  ==============================================================================
``centered``        whether the padding is on both sides of the image, or on the right and bottom
``pad_value``       gray level of the padding
``channel_order``   ``'bgr'`` or ``'rgb'``
``mean``, ``std``   three values each on the scale 0 to 255, in that order; None for no normalization
==================  ==============================================================================

``dataset_meta['score_thr']`` is the score threshold of the original evaluation. The config decides about keys that a file
lacks. If both have a value, the checkpoint's is used, with one log line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from yolox_pose.checkpoints.layouts import HEAD, Layout
from yolox_pose.errors import DataError
from yolox_pose.structures.classes import COCO_CLASSES
from yolox_pose.structures.constants import PAD_VALUE

logger = logging.getLogger(__name__)

LETTERBOX_TRANSFORM = "LetterboxResize"
"""Name of the transform that fits images into the network's input."""

_PLAIN = {"pad_value": PAD_VALUE, "channel_order": "bgr", "mean": None, "std": None}
_LAYOUT_DEFAULTS: dict[str, tuple[bool, float]] = {
    "mmpose": (True, 0.01),
    "mmdet": (False, 0.01),
    "mmyolo": (False, 0.001),
    "megvii": (False, 0.01),
    "megvii-darknet53": (False, 0.01),
}
"""Centered padding and score threshold of each layout's original code. All expect BGR images, 0 to 255."""

LEGACY = {"channel_order": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
"""Preprocessing of Megvii's weights before version 0.1.1: RGB, ImageNet's mean and std (``data_augment.py`` of 0.1.0)."""

_THRESHOLD = re.compile(r"\bscore_thr\s*=\s*([0-9.]+(?:e-?\d+)?)")


def describe_preprocessing(
    layout: Layout, weights: Mapping[str, Any], meta: Mapping[str, Any], legacy: bool = False
) -> dict[str, Any]:
    """Return the ``dataset_meta`` of a file, completed with the defaults of its layout.

    Args:
        layout: Layout of the file.
        weights: Tensors under the names of this package.
        meta: ``meta`` of the file, empty if it has none.
        legacy: Whether these are Megvii's weights before version 0.1.1.
    """
    # Copy the stored values; MMDetection 2 wrote CLASSES
    stored = meta.get("dataset_meta")
    dataset_meta = plain(stored) if isinstance(stored, Mapping) else {}
    dataset_meta = {key.lower() if key == "CLASSES" else key: value for key, value in dataset_meta.items()}
    if not dataset_meta.get("classes") and number_of_classes(weights) == len(COCO_CLASSES):
        dataset_meta["classes"] = list(COCO_CLASSES)

    # Add the layout's defaults; the score threshold of the stored config precedes them
    preprocessing = dict(dataset_meta.get("preprocessing") or {})
    if layout.name in _LAYOUT_DEFAULTS:
        centered, threshold = _LAYOUT_DEFAULTS[layout.name]
        preprocessing = {"centered": centered, **_PLAIN, **preprocessing}
        config_threshold = _THRESHOLD.search(str(meta.get("cfg", "")))
        dataset_meta.setdefault("score_thr", float(config_threshold[1]) if config_threshold else threshold)
    if legacy:
        preprocessing |= LEGACY
    if preprocessing:
        dataset_meta["preprocessing"] = preprocessing
    return dataset_meta


def number_of_classes(weights: Mapping[str, Any]) -> int | None:
    """Return the number of classes of weights; None if they have no class output."""
    output = weights.get(f"{HEAD}out_cls.0.weight")
    return None if output is None else len(output)


def plain(value: Any) -> Any:
    """Copy nested values as dicts, lists, strings and numbers, which a checkpoint may hold; others become text."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, int) else str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # arrays, numpy numbers
        return value.tolist()
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def stored_preprocessing(dataset_meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``preprocessing`` of a checkpoint.

    Raises:
        DataError: If a value does not fit the table of this module.
    """
    stored = dict(dataset_meta.get("preprocessing") or {})
    checks = {
        "centered": lambda v: isinstance(v, bool),
        "pad_value": lambda v: isinstance(v, int | float) and 0 <= v <= 255,
        "channel_order": lambda v: v in ("bgr", "rgb"),
        "mean": _three_numbers,
        "std": lambda v: _three_numbers(v) and (v is None or min(v) > 0),
    }
    for key, check in checks.items():
        if key in stored and not check(stored[key]):
            raise DataError(f"the checkpoint's preprocessing cannot be used: '{key}' is {stored[key]!r}")
    return stored


def _three_numbers(value: Any) -> bool:
    return value is None or (
        isinstance(value, Sequence) and len(value) == 3 and all(isinstance(v, int | float) for v in value)
    )


def apply_preprocessing(
    config: MutableMapping[str, Any], dataset_meta: Mapping[str, Any], *, threshold: bool = True
) -> None:
    """Set padding, channel order, normalization and score threshold of a config to those of a checkpoint.

    Args:
        config: Whole config; changed in place.
        dataset_meta: ``dataset_meta`` of the checkpoint.
        threshold: Whether the score threshold is changed as well.
    """
    stored = stored_preprocessing(dataset_meta)
    for transform in letterboxes(config):
        adopt_letterbox(transform, stored)
    adopt_normalization(config["model"].setdefault("data_preprocessor", {}), stored)
    test_cfg = config["model"].get("test_cfg")
    score_thr = dataset_meta.get("score_thr")
    if threshold and score_thr is not None and test_cfg is not None and test_cfg.get("score_thr") != score_thr:
        logger.warning("score threshold %s, from the checkpoint (config: %s)", score_thr, test_cfg.get("score_thr"))
        test_cfg["score_thr"] = score_thr


def letterboxes(config: Mapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """Yield the letterbox transforms of a config's validation and test pipelines, also inside of wrapped data sets."""
    for dataset in _tested_datasets(config):
        yield from (t for t in dataset.get("pipeline") or () if is_letterbox(t))


def name_input_sizes(config: Mapping[str, Any]) -> None:
    """Set the ``input_size`` of letterbox transforms without one to that of their data set."""
    for dataset in _tested_datasets(config):
        for transform in dataset.get("pipeline") or ():
            if is_letterbox(transform) and dataset.get("input_size") is not None:
                transform.setdefault("input_size", tuple(dataset["input_size"]))


def _tested_datasets(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    datasets = [(config.get(name) or {}).get("dataset") for name in ("test_dataloader", "val_dataloader")]
    for dataset in (*datasets, {"pipeline": config.get("test_pipeline")}):
        while dataset:
            yield dataset
            dataset = dataset.get("dataset")


def is_letterbox(transform: Any) -> bool:
    """Tell whether settings build the letterbox transform."""
    return isinstance(transform, Mapping) and str(transform.get("type", "")).split(".")[-1] == LETTERBOX_TRANSFORM


def adopt_letterbox(transform: MutableMapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Set padding side and gray level of a letterbox transform to those of a checkpoint; log a change."""
    centered = stored.get("centered", transform.get("centered", True))
    if centered != transform.get("centered", True):
        transform["centered"] = centered
        logger.warning("padding is %s, as the checkpoint was trained", "centered" if centered else "right and bottom")
    level = stored.get("pad_value", transform.get("pad_value", PAD_VALUE))
    if level != transform.get("pad_value", PAD_VALUE):
        transform["pad_value"] = level
        logger.warning("padding has gray level %s, as the checkpoint was trained", level)


def adopt_normalization(preprocessor: MutableMapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Set channel order and normalization of a data preprocessor to those of a checkpoint; log a change."""
    before = {
        "mean": preprocessor.get("mean"),
        "std": preprocessor.get("std"),
        "bgr_to_rgb": preprocessor.get("bgr_to_rgb", False),
    }
    after = before | {key: stored[key] for key in ("mean", "std") if key in stored}
    if "channel_order" in stored:
        after["bgr_to_rgb"] = stored["channel_order"] == "rgb"
    if after == before:
        return
    preprocessor.update(after)
    order = "RGB" if after["bgr_to_rgb"] else "BGR"
    if after["mean"] is None and after["std"] is None:
        logger.warning("images are %s, 0 to 255, as the checkpoint was trained", order)
    else:
        logger.warning(
            "images are %s, minus %s, by %s, as the checkpoint was trained", order, after["mean"], after["std"]
        )
