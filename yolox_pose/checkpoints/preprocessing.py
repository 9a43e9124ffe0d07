"""What weights assume of their input. It travels in a checkpoint as ``dataset_meta['preprocessing']``, plain values.

==================  =====================================================================
``centered``        whether the padding is on both sides of the image, or right and bottom
``pad_value``       grey level of the padding
``channel_order``   ``'bgr'`` or ``'rgb'``
``mean``, ``std``   of 0 to 255, three values in that order, or None for none
==================  =====================================================================

Beside it, ``dataset_meta['score_thr']`` is the threshold that the origin evaluates with. Keys that a file does not have say
nothing: the config decides. Where both speak, the checkpoint wins, with one log line.
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
"""Name of the transform of a config's test pipeline that says how images are fitted into the network's input."""

_PLAIN = {"pad_value": PAD_VALUE, "channel_order": "bgr", "mean": None, "std": None}
_ORIGINS: dict[str, tuple[bool, float]] = {
    "mmpose": (True, 0.01),
    "mmdet": (False, 0.01),
    "mmyolo": (False, 0.001),
    "megvii": (False, 0.01),
    "megvii-darknet53": (False, 0.01),
}
"""Whether the origin pads centred, and its score threshold, by the names of layouts. All take BGR images, 0 to 255."""

LEGACY = {"channel_order": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
"""Megvii's weights before version 0.1.1: RGB, divided by 255, ImageNet's mean and deviation (``data_augment.py`` of 0.1.0)."""

_THRESHOLD = re.compile(r"\bscore_thr\s*=\s*([0-9.]+(?:e-?\d+)?)")


def describe_preprocessing(
    layout: Layout, weights: Mapping[str, Any], meta: Mapping[str, Any], legacy: bool = False
) -> dict[str, Any]:
    """The ``dataset_meta`` of a file, with what its layout implies where it says nothing itself.

    Args:
        layout: Of the file.
        weights: Under our names.
        meta: ``meta`` of the file, empty if it has none.
        legacy: Whether these are Megvii's weights before version 0.1.1.
    """
    stored = meta.get("dataset_meta")
    found = plain(stored) if isinstance(stored, Mapping) else {}
    found = {key.lower() if key == "CLASSES" else key: value for key, value in found.items()}
    if not found.get("classes") and number_of_classes(weights) == len(COCO_CLASSES):
        found["classes"] = list(COCO_CLASSES)
    preprocessing = dict(found.get("preprocessing") or {})
    if layout.name in _ORIGINS:
        centered, threshold = _ORIGINS[layout.name]
        preprocessing = {"centered": centered, **_PLAIN, **preprocessing}
        own_threshold = _THRESHOLD.search(str(meta.get("cfg", "")))
        found.setdefault("score_thr", float(own_threshold[1]) if own_threshold else threshold)
    if legacy:
        preprocessing |= LEGACY
    if preprocessing:
        found["preprocessing"] = preprocessing
    return found


def number_of_classes(weights: Mapping[str, Any]) -> int | None:
    """C of weights under our names; None if they have no class output."""
    output = weights.get(f"{HEAD}out_cls.0.weight")
    return None if output is None else len(output)


def plain(value: Any) -> Any:
    """Copy of nested values as what a checkpoint may hold: dicts, lists, strings, numbers; the rest becomes text."""
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
    """The ``preprocessing`` of a checkpoint, checked.

    Raises:
        DataError: If a value is not of the kind that the module's table says.
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
    """Make a config test as a checkpoint was trained: padding, channels, normalisation, score threshold.

    Args:
        config: Whole config; changed in place.
        dataset_meta: Of the checkpoint.
        threshold: Whether the score threshold is taken, too.
    """
    stored = stored_preprocessing(dataset_meta)
    for transform in letterboxes(config):
        adopt_letterbox(transform, stored)
    adopt_normalization(config["model"].setdefault("data_preprocessor", {}), stored)
    test_cfg = config["model"].get("test_cfg")
    found = dataset_meta.get("score_thr")
    if threshold and found is not None and test_cfg is not None and test_cfg.get("score_thr") != found:
        logger.warning(
            "score threshold %s, as the checkpoint's origin has it (config: %s)", found, test_cfg.get("score_thr")
        )
        test_cfg["score_thr"] = found


def letterboxes(config: Mapping[str, Any]) -> Iterator[MutableMapping[str, Any]]:
    """The letterbox transforms of the pipelines that a config tests with, through data sets that wrap others."""
    for dataset in _tested_datasets(config):
        yield from (t for t in dataset.get("pipeline") or () if is_letterbox(t))


def name_input_sizes(config: Mapping[str, Any]) -> None:
    """Give letterbox transforms that name no ``input_size`` that of their data set, for those who build them without it."""
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
    """Whether these are the settings of the letterbox transform."""
    return isinstance(transform, Mapping) and str(transform.get("type", "")).split(".")[-1] == LETTERBOX_TRANSFORM


def adopt_letterbox(transform: MutableMapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Set padding side and level of a letterbox transform to those of a checkpoint, with a log line if they differ."""
    centered = stored.get("centered", transform.get("centered", True))
    if centered != transform.get("centered", True):
        transform["centered"] = centered
        logger.warning("padding is %s, as the checkpoint was trained", "centred" if centered else "right and bottom")
    level = stored.get("pad_value", transform.get("pad_value", PAD_VALUE))
    if level != transform.get("pad_value", PAD_VALUE):
        transform["pad_value"] = level
        logger.warning("padding is of grey level %s, as the checkpoint was trained", level)


def adopt_normalization(preprocessor: MutableMapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Set channel order and normalisation of a data preprocessor's settings likewise."""
    wanted = {key: preprocessor.get(key) for key in ("mean", "std")} | {
        "bgr_to_rgb": preprocessor.get("bgr_to_rgb", False)
    }
    before = dict(wanted)
    wanted |= {key: stored[key] for key in ("mean", "std") if key in stored}
    if "channel_order" in stored:
        wanted["bgr_to_rgb"] = stored["channel_order"] == "rgb"
    if wanted == before:
        return
    preprocessor.update(wanted)
    order = "RGB" if wanted["bgr_to_rgb"] else "BGR"
    if wanted["mean"] is None and wanted["std"] is None:
        logger.warning("images are %s, 0 to 255, as the checkpoint was trained", order)
    else:
        logger.warning(
            "images are %s, minus %s, by %s, as the checkpoint was trained", order, wanted["mean"], wanted["std"]
        )
