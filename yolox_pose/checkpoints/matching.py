"""Which weights of a checkpoint a model takes, what stays new, what is dropped, and when that is an error.

A class output has one row a class: the rows of classes that both sides know by name are taken, wherever they stand.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor

from yolox_pose.checkpoints.layouts import HEAD, KEYPOINT_LAYERS, OWN, find_layout, to_own
from yolox_pose.errors import DataError
from yolox_pose.structures.classes import COCO_CLASSES

PARTS = ("backbone", "neck", "boxes", "classes", "keypoints", "other")
"""What a model consists of; objectness belongs to the boxes."""
_HEAD_PARTS = {
    "conv_reg": "boxes", "out_bbox": "boxes", "out_obj": "boxes", "conv_cls": "classes", "out_cls": "classes",
    **dict.fromkeys(KEYPOINT_LAYERS, "keypoints"),
}  # fmt: skip
CLASS_OUTPUT, KEYPOINT_OUTPUTS = f"{HEAD}out_cls.", (f"{HEAD}out_kpt.", f"{HEAD}out_kpt_vis.")
COUNTER = ".num_batches_tracked"
"""Batch norm's counter, which nothing here depends on and which files may lack."""
SIZES_BY_STEM = {16: "nano", 24: "tiny", 32: "s", 48: "m", 64: "l", 80: "x"}
"""Model sizes by the channels of the stem."""


class WeightMatch(NamedTuple):
    """Weights as a model can take them.

    Attributes:
        weights: What it takes, in its shapes.
        missing: Tensors of the model that are not in the file.
        misshapen: Tensors of another shape: (in the file, in the model).
        unused: Tensors of the file that the model does not have.
        classes: How the rows of the class output were taken, in words; empty if they were all taken as they are.
    """

    weights: dict[str, Tensor]
    missing: tuple[str, ...]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    unused: tuple[str, ...]
    classes: str = ""


def part_of(key: str) -> str:
    """The entry of :data:`PARTS` that a tensor belongs to, by our name of it."""
    first = key.partition(".")[0]
    if first in PARTS:
        return first
    return _HEAD_PARTS.get(key.removeprefix(HEAD).partition(".")[0], "other") if key.startswith(HEAD) else "other"


def match_classes(
    source: int, target: int, source_names: Sequence[str] | None = None, target_names: Sequence[str] | None = None
) -> list[int | None] | None:
    """For every class of a model the row of the file's class output that is its own.

    Args:
        source: Classes of the file.
        target: Classes of the model.
        source_names: Their names; 80 without names are COCO's.
        target_names: Likewise; one without a name is a person, if the file knows persons.

    Returns:
        A row or None for each class; None if nothing says which classes correspond.
    """
    if source_names is None or len(source_names) != source:
        source_names = COCO_CLASSES if source == len(COCO_CLASSES) else None
    if target_names is None or len(target_names) != target:
        target_names = COCO_CLASSES if target == len(COCO_CLASSES) else ("person",) if target == 1 else None
    if source_names is not None and target_names is not None:
        rows = {name: row for row, name in reversed(list(enumerate(source_names)))}
        found = [rows.get(name) for name in target_names]
        if any(row is not None for row in found):
            return found
    return list(range(target)) if source == target else None


def match_weights(
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    *,
    remap: bool = True,
    source_classes: Sequence[str] | None = None,
    target_classes: Sequence[str] | None = None,
) -> WeightMatch:
    """Select what a model can take.

    Args:
        weights: Of the file, under our names.
        own: The model's parameters and buffers.
        remap: Whether rows of the class output may be selected; else it is taken as it is.
        source_classes: Class names of the file, where they are known.
        target_classes: Class names of the model, where they are known.
    """
    rows, words = None, ""
    there, here = weights.get(f"{CLASS_OUTPUT}0.weight"), own.get(f"{CLASS_OUTPUT}0.weight")
    if remap and there is not None and here is not None:
        rows = match_classes(len(there), len(here), source_classes, target_classes)
        words = _describe_rows(rows, len(there), len(here), target_classes)
    taken, misshapen = {}, {}
    for key, value in weights.items():
        target = own.get(key)
        if target is None:
            continue
        if rows is not None and key.startswith(CLASS_OUTPUT) and value.shape[1:] == target.shape[1:]:
            value = _select_rows(value, target, rows)
        if value.shape == target.shape:
            taken[key] = value
        else:
            misshapen[key] = (tuple(value.shape), tuple(target.shape))
    missing = tuple(key for key in own if key not in weights and not key.endswith(COUNTER))
    return WeightMatch(taken, missing, misshapen, tuple(key for key in weights if key not in own), words)


def _select_rows(value: Tensor, target: Tensor, rows: Sequence[int | None]) -> Tensor:
    """Rows of a class output in the model's order; classes without one keep the model's."""
    if list(rows) == list(range(len(value))):
        return value
    selected = target.detach().clone()
    for row, origin in enumerate(rows):
        if origin is not None:
            selected[row] = value[origin]
    return selected


def _describe_rows(
    rows: Sequence[int | None] | None, source: int, target: int, target_names: Sequence[str] | None
) -> str:
    if rows is None:
        return f"{source} classes in the file, {target} in the model, and no names in common: the class output is new"
    if list(rows) == list(range(source)):
        return ""
    if target == 1:
        return f"{(target_names or ('person',))[0]} is row {rows[0]} of the {source} classes of the file"
    taken = sum(row is not None for row in rows)
    return f"{taken} of {target} classes by name, out of the {source} of the file; {target - taken} are new"


def check_complete(fit: WeightMatch, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights that do not fill a model.

    Raises:
        DataError: If a tensor is missing or of another shape; names keys and, where it can be told, the reason.
    """
    if fit.missing or fit.misshapen:
        raise DataError(_complaint(fit.missing, fit.misshapen, own, weights, name))


def check_start(fit: WeightMatch, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights that a training cannot start from.

    New may be: the outputs for other classes or keypoints, a keypoint branch that the file does not have at all or has
    with other convolutions throughout, and all but the backbone if the file holds nothing else.

    Raises:
        DataError: If anything else is missing or of another shape.
    """
    held = {part_of(key) for key in weights}
    new = set(PARTS) - {"backbone"} if held == {"backbone"} else {"keypoints"} - held
    branch = [key for key in weights if key.startswith(f"{HEAD}conv_pose.")]
    if branch and not any(key in fit.weights for key in branch):
        new.add("keypoints")
    outputs = (CLASS_OUTPUT, *KEYPOINT_OUTPUTS)
    missing = [key for key in fit.missing if part_of(key) not in new]
    misshapen = {
        key: shapes for key, shapes in fit.misshapen.items() if not key.startswith(outputs) and part_of(key) not in new
    }
    if missing or misshapen:
        raise DataError(_complaint(missing, misshapen, own, weights, name))


def _complaint(
    missing: Sequence[str],
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    own: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    name: str,
) -> str:
    parts = [f"{len(missing)} are missing (such as '{missing[0]}')"] if missing else []
    for key, (there, here) in list(misshapen.items())[:1]:
        parts.append(
            f"{len(misshapen)} have another shape (such as '{key}', {_shape(there)} in the file, {_shape(here)} in the model)"
        )
    reasons = [
        f"{what} {first or 'none'}, the model {second or 'none'}"
        for what, first, second in _facts(weights, own)
        if first != second
    ]
    return (
        f"checkpoint {name} does not fit the model of the config: of its {len(own)} tensors {' and '.join(parts)}"
        + "".join(f"; {reason}" for reason in reasons[:1])
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _facts(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Iterable[tuple[str, Any, Any]]:
    """What weights and a model may differ in, the most telling first."""
    yield "it is of size", model_size(weights), model_size(own)
    yield "its number of classes is", _rows(weights, CLASS_OUTPUT), _rows(own, CLASS_OUTPUT)
    yield "its number of keypoints is", _rows(weights, KEYPOINT_OUTPUTS[1]), _rows(own, KEYPOINT_OUTPUTS[1])


def _rows(weights: Mapping[str, Tensor], output: str) -> int | None:
    value = weights.get(f"{output}0.weight")
    return None if value is None else len(value)


def model_size(weights: Mapping[str, Tensor]) -> str | None:
    """Name of the model size, ``nano`` to ``x`` or ``darknet53``, by the stem under our names; None for another."""
    if "backbone.conv_res_block1.conv.conv.weight" in weights:
        return "darknet53"
    stem = weights.get("backbone.stem.conv.conv.weight")
    return None if stem is None else SIZES_BY_STEM.get(len(stem))


def fit_table(fit: WeightMatch, own: Mapping[str, Tensor]) -> str:
    """What was taken, what is new and what was dropped, as a short table; counts are tensors."""
    taken = _count(fit.weights)
    new = _count(key for key in own if key not in fit.weights)
    dropped = _count([*fit.unused, *fit.misshapen])
    lines = [f"{'':<10} {'taken':>7} {'new':>7} {'dropped':>7}"]
    for part in PARTS:
        if taken[part] + new[part] + dropped[part]:
            lines.append(f"{part:<10} {taken[part]:>7} {new[part]:>7} {dropped[part]:>7}")
    return "\n".join([*lines, *([fit.classes] if fit.classes else [])])


def _count(keys: Iterable[str]) -> Counter:
    return Counter(part_of(key) for key in keys if not key.endswith(COUNTER))


def adapt_state_dict(state_dict: dict[str, Any], own: Mapping[str, Tensor], prefix: str = "") -> None:
    """Turn weights of another layout into those of a model, in place; what is taken, new and dropped is logged.

    Weights under our names are not touched, nor those of no known layout: torch says what does not fit of them.

    Args:
        state_dict: Weights about to be loaded.
        own: The model's parameters and buffers.
        prefix: Prefix of all keys, given by torch for nested modules.
    """
    names = {key: key[len(prefix) :] for key in state_dict if key.startswith(prefix)}
    try:
        layout = find_layout(names.values())
    except DataError:
        return
    if layout is OWN:
        return
    values = {to_own(name, layout): state_dict.pop(key) for key, name in names.items()}
    values.pop(None, None)
    fit = match_weights(values, own)
    state_dict.update({prefix + key: value for key, value in fit.weights.items()})
    if fit.missing or fit.misshapen or fit.unused or fit.classes:
        log_fit(fit, own, layout.title)


def log_fit(fit: WeightMatch, own: Mapping[str, Tensor], title: str) -> None:
    """Log :func:`fit_table` where MMEngine's run logs."""
    print_log(f"Weights of {title}:\n{fit_table(fit, own)}", logger="current", level=logging.INFO)
