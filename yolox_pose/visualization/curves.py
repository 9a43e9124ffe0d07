"""What a training wrote of itself, as curves: losses, figures of the validation, assignment, learning rate."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolox_pose.errors import DataError

SCALARS = "*/vis_data/scalars.json"
"""Where MMEngine's runs write, one folder a start or resume, named by the time."""
ASSIGNMENT = ("positives", "oks", "unmatched")
"""Statistics of the loss (:func:`yolox_pose.ops.yolox_losses`)."""
FIGURES = ("AP", "AP50", "AP75", "AR", "bbox_AP", "bbox_mAP", "bbox_mAP_50")
"""Validation figures that are drawn, without their prefix."""
FEW_POINTS = 40
"""Lines of fewer points show them."""


class History(NamedTuple):
    """Log lines of a training.

    Attributes:
        name: Of the training.
        train: One record a log line, with ``iter``, ``epoch``, losses and so on.
        val: One a validation, with ``step`` (the epoch) and figures such as ``coco/AP``.
    """

    name: str
    train: list[dict[str, float]]
    val: list[dict[str, float]]


def read_history(work_dir: str | os.PathLike[str]) -> History:
    """Read the log lines of a training; where a later start or resume went over steps again, its own count.

    Raises:
        DataError: If the folder has none.
    """
    folder = Path(work_dir)
    train: list[dict[str, float]] = []
    val: list[dict[str, float]] = []
    for file in sorted(folder.glob(SCALARS)):
        records = _read_lines(file)
        newer = [record for record in records if "iter" in record]
        figures = [record for record in records if "iter" not in record and "step" in record]
        train = _continued(train, newer, "iter")
        first = newer[0].get("epoch", 0) if newer else None
        val = [record for record in val if first is None or record["step"] < first]
        val = _continued(val, figures, "step")
    if not train and not val:
        raise DataError(f"{folder} holds no log of a training ({SCALARS})")
    return History(folder.resolve().name, train, val)


def _read_lines(file: Path) -> list[dict[str, float]]:
    """Records of a file; a last line that a kill left half-written is no record."""
    records = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _continued(older: list[dict[str, float]], newer: list[dict[str, float]], key: str) -> list[dict[str, float]]:
    first = newer[0][key] if newer else float("inf")
    return [record for record in older if record[key] < first] + newer


class _Panel(NamedTuple):
    title: str
    part: str  # 'train' or 'val'
    names: tuple[str, ...]


_AXES = {"train": ("iter", "iteration"), "val": ("step", "epoch")}
"""Entry of a record that a panel is drawn over, and what it is called."""


def draw_curves(histories: Sequence[History]) -> bytes:
    """Draw the curves of one training, its losses apart, or of several over each other.

    Returns:
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2).flat
    for axis, panel in zip(axes, _panels(histories)):
        _draw(axis, panel, histories)
    if len(histories) == 1 and any(record.get("loss", 0) > 0 for record in histories[0].train):
        axes[0].set_yscale("log")  # terms of very different size
    axes[1].set_ylim(bottom=0)
    axes[3].set_yscale("log")
    figure.suptitle(", ".join(history.name for history in histories))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _panels(histories: Sequence[History]) -> tuple[_Panel, ...]:
    """What is drawn: of one training all there is, of several one line each."""
    losses = {key for history in histories for record in history.train for key in record if "loss" in key}
    found = (key for history in histories for record in history.val for key in record)
    figures = tuple(dict.fromkeys(key for key in found if key.rpartition("/")[2] in FIGURES))
    single = len(histories) == 1
    return (
        _Panel("loss", "train", tuple(sorted(losses)) if single else ("loss",)),
        _Panel("validation", "val", figures if single else figures[:1]),
        _Panel("assignment (positives: per instance)", "train", ASSIGNMENT if single else ("oks",)),
        _Panel("learning rate, norm of the gradient", "train", ("lr", "grad_norm") if single else ("lr",)),
    )


def _draw(axis: Any, panel: _Panel, histories: Sequence[History]) -> None:
    """One line a name and training, over those records that have it."""
    over, label = _AXES[panel.part]
    for history in histories:
        for name in panel.names:
            points = [
                (record[over], record[name]) for record in getattr(history, panel.part) if _is_number(record, name)
            ]
            if points:
                words = name if len(histories) == 1 else f"{history.name} {name}"
                style = "o-" if len(points) < FEW_POINTS else "-"
                axis.plot(*zip(*points), style, label=words, markersize=3, linewidth=1.2)
    axis.set_title(panel.title)
    axis.set_xlabel(label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend(fontsize="small")
    else:
        axis.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axis.transAxes, color="gray")


def _is_number(record: Mapping[str, Any], name: str) -> bool:
    value = record.get(name)
    return isinstance(value, int | float) and abs(value) < float("inf")
