"""What a training wrote of itself, as curves: losses, figures of the validation, assignment, learning rate."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolox_pose.errors import DataError

SCALARS = "*/vis_data/scalars.json"
"""Where MMEngine's runs write, one folder a start or resume, named by the time."""
ASSIGNMENT = ("positives", "oks", "unmatched")
"""Statistics of the loss (:func:`yolox_pose.ops.yolox_losses`)."""
FIGURES = ("AP", "AP50", "AP75", "AR", "bbox_AP", "bbox_mAP", "bbox_mAP_50")
"""Validation figures that are drawn, without their prefix."""
LOG_RANGE = 30
"""A quotient of the largest and smallest total loss from which on its axis is logarithmic."""


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


def draw_curves(histories: Sequence[History]) -> bytes:
    """Draw the curves of one training, its losses apart, or of several over each other.

    Returns:
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2)
    single = len(histories) == 1
    losses = sorted({key for history in histories for record in history.train for key in record if "loss" in key})
    _draw(axes[0, 0], histories, "train", "iter", losses if single else ["loss"], "loss", "iteration")
    figures = [name for history in histories for record in history.val for name in record if _is_figure(name)]
    chosen = list(dict.fromkeys(figures)) if single else list(dict.fromkeys(figures))[:1]
    _draw(axes[0, 1], histories, "val", "step", chosen, "validation", "epoch")
    _draw(axes[1, 0], histories, "train", "iter", ASSIGNMENT if single else ["oks"], "assignment", "iteration")
    rates = ["lr"] + (["grad_norm"] if single else [])
    _draw(axes[1, 1], histories, "train", "iter", rates, "learning rate, norm of the gradient", "iteration")
    total = [record["loss"] for history in histories for record in history.train if record.get("loss", 0) > 0]
    if total and (not single or max(total) > LOG_RANGE * min(total)):
        axes[0, 0].set_yscale("log")
    axes[1, 1].set_yscale("log")
    figure.suptitle(", ".join(history.name for history in histories))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _is_figure(name: str) -> bool:
    return name.rpartition("/")[2] in FIGURES


def _draw(
    axis: Any, histories: Iterable[History], part: str, over: str, names: Iterable[str], title: str, label: str
) -> None:
    """One line a name and training, over those records that have it."""
    drawn = 0
    for history in histories:
        for name in names:
            points = [(r[over], r[name]) for r in getattr(history, part) if _is_number(r, name)]
            if not points:
                continue
            words = name if len(list(names)) > 1 else f"{history.name} {name}"
            axis.plot(*zip(*points), "o-" if part == "val" else "-", label=words, markersize=4, linewidth=1.2)
            drawn += 1
    axis.set_title(title)
    axis.set_xlabel(label)
    axis.grid(alpha=0.3)
    if drawn:
        axis.legend(fontsize="small")
    else:
        axis.text(0.5, 0.5, "nothing yet", ha="center", va="center", transform=axis.transAxes, color="gray")


def _is_number(record: Mapping[str, Any], name: str) -> bool:
    value = record.get(name)
    return isinstance(value, int | float) and abs(value) < float("inf")
