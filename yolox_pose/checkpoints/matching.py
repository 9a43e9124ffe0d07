"""Match the weights of a checkpoint to a model: which tensors are used, new or dropped, and when that is an error.

A class output has one row per class. Rows are matched by class name, at any position.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor

from yolox_pose.checkpoints.layouts import HEAD, KEYPOINT_LAYERS, NATIVE, find_layout, import_name
from yolox_pose.errors import DataError
from yolox_pose.structures.classes import COCO_CLASSES

PARTS = ("backbone", "neck", "boxes", "classes", "keypoints", "other")
"""Parts of a model; objectness belongs to the boxes."""
_HEAD_PARTS = {
    "conv_reg": "boxes", "out_bbox": "boxes", "out_obj": "boxes", "conv_cls": "classes", "out_cls": "classes",
    **dict.fromkeys(KEYPOINT_LAYERS, "keypoints"),
}  # fmt: skip
CLASS_OUTPUT, KEYPOINT_OUTPUTS = f"{HEAD}out_cls.", (f"{HEAD}out_kpt.", f"{HEAD}out_kpt_vis.")
COUNTER = ".num_batches_tracked"
"""Suffix of batch norm's counters, which are not used here and which files may lack."""
SIZES_BY_STEM = {16: "nano", 24: "tiny", 32: "s", 48: "m", 64: "l", 80: "x"}
"""Model sizes by the channels of the stem."""


class WeightMatch(NamedTuple):
    """Match of a checkpoint's weights to a model.

    Attributes:
        weights: Matched tensors, in the model's shapes.
        missing: Names of the model's tensors that are not in the file.
        misshapen: Tensors with different shapes: name to (shape in the file, shape in the model).
        unused: Names of the file's tensors that the model does not have.
        classes: How the rows of the class output were matched, in words; empty if all were used in their order.
    """

    weights: dict[str, Tensor]
    missing: tuple[str, ...]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    unused: tuple[str, ...]
    classes: str = ""


def part_of(key: str) -> str:
    """Return the entry of :data:`PARTS` that a tensor of this package's name belongs to."""
    first = key.partition(".")[0]
    if first in PARTS:
        return first
    return _HEAD_PARTS.get(key.removeprefix(HEAD).partition(".")[0], "other") if key.startswith(HEAD) else "other"


def match_classes(
    source: int, target: int, source_names: Sequence[str] | None = None, target_names: Sequence[str] | None = None
) -> list[int | None] | None:
    """Find the row of the file's class output for each class of a model.

    Args:
        source: Number of classes in the file.
        target: Number of classes in the model.
        source_names: Class names of the file; by default COCO's for 80 classes.
        target_names: Class names of the model; by default COCO's for 80 classes and ``person`` for one class.

    Returns:
        A row, or None for a new class, for each class of the model. None if the classes cannot be matched.
    """
    if source_names is None or len(source_names) != source:
        source_names = COCO_CLASSES if source == len(COCO_CLASSES) else None
    if target_names is None or len(target_names) != target:
        target_names = COCO_CLASSES if target == len(COCO_CLASSES) else ("person",) if target == 1 else None
    if source_names is not None and target_names is not None:
        rows = {name: row for row, name in reversed(list(enumerate(source_names)))}
        matched = [rows.get(name) for name in target_names]
        if any(row is not None for row in matched):
            return matched
    return list(range(target)) if source == target else None


def match_weights(
    weights: Mapping[str, Tensor],
    model_state: Mapping[str, Tensor],
    *,
    remap: bool = True,
    source_classes: Sequence[str] | None = None,
    target_classes: Sequence[str] | None = None,
) -> WeightMatch:
    """Select the tensors of a file that fit a model.

    Args:
        weights: Tensors of the file, under the names of this package.
        model_state: Parameters and buffers of the model.
        remap: Whether rows of the class output are matched by class name.
        source_classes: Class names of the file, if known.
        target_classes: Class names of the model, if known.
    """
    # Match the rows of the class output
    rows, words = None, ""
    source, target = (state.get(f"{CLASS_OUTPUT}0.weight") for state in (weights, model_state))
    if remap and source is not None and target is not None:
        rows = match_classes(len(source), len(target), source_classes, target_classes)
        words = _describe_rows(rows, len(source), len(target), target_classes)

    # Sort the file's tensors by whether their shapes fit
    matched, misshapen = {}, {}
    for key, value in weights.items():
        expected = model_state.get(key)
        if expected is None:
            continue
        if rows is not None and key.startswith(CLASS_OUTPUT) and value.shape[1:] == expected.shape[1:]:
            value = _select_rows(value, expected, rows)
        if value.shape == expected.shape:
            matched[key] = value
        else:
            misshapen[key] = (tuple(value.shape), tuple(expected.shape))

    missing = tuple(key for key in model_state if key not in weights and not key.endswith(COUNTER))
    unused = tuple(key for key in weights if key not in model_state)
    return WeightMatch(matched, missing, misshapen, unused, words)


def _select_rows(value: Tensor, target: Tensor, rows: Sequence[int | None]) -> Tensor:
    """Return the rows of a class output in the model's order; new classes keep the model's rows."""
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
    matched = sum(row is not None for row in rows)
    return f"{matched} of {target} classes by name, out of the {source} of the file; {target - matched} are new"


def check_complete(
    match: WeightMatch, model_state: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str
) -> None:
    """Refuse weights that do not cover a model.

    Args:
        match: Match of the weights to the model.
        model_state: Parameters and buffers of the model.
        weights: Tensors of the file.
        name: Name of the file, for messages.

    Raises:
        DataError: If a tensor is missing or has another shape; names keys and the likely reason.
    """
    if match.missing or match.misshapen:
        raise DataError(_mismatch(match.missing, match.misshapen, model_state, weights, name))


def check_start(
    match: WeightMatch, model_state: Mapping[str, Tensor], weights: Mapping[str, Tensor], name: str
) -> None:
    """Refuse weights that a training cannot start from.

    Three things may be new: outputs for other classes or keypoints; a keypoint branch that the file lacks, or whose
    convolutions all differ; and everything but the backbone if the file holds only a backbone.

    Args:
        match: Match of the weights to the model.
        model_state: Parameters and buffers of the model.
        weights: Tensors of the file.
        name: Name of the file, for messages.

    Raises:
        DataError: If another tensor is missing or has another shape.
    """
    # Find the parts that may be new
    present = {part_of(key) for key in weights}
    new = set(PARTS) - {"backbone"} if present == {"backbone"} else {"keypoints"} - present
    branch = [key for key in weights if key.startswith(f"{HEAD}conv_pose.")]
    if branch and not any(key in match.weights for key in branch):
        new.add("keypoints")

    # Report mismatches outside of these parts
    outputs = (CLASS_OUTPUT, *KEYPOINT_OUTPUTS)
    missing = [key for key in match.missing if part_of(key) not in new]
    misshapen = {
        key: shapes
        for key, shapes in match.misshapen.items()
        if not key.startswith(outputs) and part_of(key) not in new
    }
    if missing or misshapen:
        raise DataError(_mismatch(missing, misshapen, model_state, weights, name))


def _mismatch(
    missing: Sequence[str],
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]],
    model_state: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    name: str,
) -> str:
    """Describe missing and misshapen tensors in one line, with the likely reason."""
    parts = [f"{len(missing)} are missing (such as '{missing[0]}')"] if missing else []
    for key, (file_shape, model_shape) in list(misshapen.items())[:1]:
        parts.append(
            f"{len(misshapen)} have another shape (such as '{key}', {_shape(file_shape)} in the file, {_shape(model_shape)} in the model)"
        )
    reasons = [
        f"{fact} {first or 'none'}, the model {second or 'none'}"
        for fact, first, second in _facts(weights, model_state)
        if first != second
    ]
    return (
        f"checkpoint {name} does not fit the model of the config: of its {len(model_state)} tensors {' and '.join(parts)}"
        + "".join(f"; {reason}" for reason in reasons[:1])
    )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _facts(weights: Mapping[str, Tensor], model_state: Mapping[str, Tensor]) -> Iterable[tuple[str, Any, Any]]:
    """Yield the properties in which weights and a model may differ, the likeliest first."""
    yield "it is of size", model_size(weights), model_size(model_state)
    yield "its number of classes is", _rows(weights, CLASS_OUTPUT), _rows(model_state, CLASS_OUTPUT)
    yield "its number of keypoints is", _rows(weights, KEYPOINT_OUTPUTS[1]), _rows(model_state, KEYPOINT_OUTPUTS[1])


def _rows(weights: Mapping[str, Tensor], output: str) -> int | None:
    value = weights.get(f"{output}0.weight")
    return None if value is None else len(value)


def model_size(weights: Mapping[str, Tensor]) -> str | None:
    """Return the name of the model size by the stem: ``nano`` to ``x``, or ``darknet53``; None for another model."""
    if "backbone.conv_res_block1.conv.conv.weight" in weights:
        return "darknet53"
    stem = weights.get("backbone.stem.conv.conv.weight")
    return None if stem is None else SIZES_BY_STEM.get(len(stem))


def match_table(match: WeightMatch, model_state: Mapping[str, Tensor]) -> str:
    """Format the numbers of matched, new and dropped tensors of each part as a table."""
    matched = _count(match.weights)
    new = _count(key for key in model_state if key not in match.weights)
    dropped = _count([*match.unused, *match.misshapen])
    lines = [f"{'':<10} {'matched':>7} {'new':>7} {'dropped':>7}"]
    for part in PARTS:
        if matched[part] + new[part] + dropped[part]:
            lines.append(f"{part:<10} {matched[part]:>7} {new[part]:>7} {dropped[part]:>7}")
    return "\n".join([*lines, *([match.classes] if match.classes else [])])


def _count(keys: Iterable[str]) -> Counter:
    return Counter(part_of(key) for key in keys if not key.endswith(COUNTER))


def adapt_state_dict(state_dict: dict[str, Any], model_state: Mapping[str, Tensor], prefix: str = "") -> None:
    """Convert weights of another layout for a model, in place, and log the match.

    Weights of this package's layout and of unknown layouts are not changed: torch reports what does not fit.

    Args:
        state_dict: Weights about to be loaded.
        model_state: Parameters and buffers of the model.
        prefix: Prefix of all keys, which torch adds for nested modules.
    """
    names = {key: key[len(prefix) :] for key in state_dict if key.startswith(prefix)}
    try:
        layout = find_layout(names.values())
    except DataError:
        return
    if layout is NATIVE:
        return
    renamed = ((import_name(name, layout), state_dict.pop(key)) for key, name in names.items())
    match = match_weights({name: value for name, value in renamed if name is not None}, model_state)
    state_dict.update({prefix + key: value for key, value in match.weights.items()})
    if match.missing or match.misshapen or match.unused or match.classes:
        log_match(match, model_state, layout.title)


def log_match(match: WeightMatch, model_state: Mapping[str, Tensor], title: str) -> None:
    """Log :func:`match_table` to the log of MMEngine's run."""
    print_log(f"Weights of {title}:\n{match_table(match, model_state)}", logger="current", level=logging.INFO)
