"""Plot training curves from log files: losses, validation metrics, assignment, learning rate."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yolox_pose.errors import DataError

Record = dict[str, float]
"""One line of a log file."""

SCALARS = "*/vis_data/scalars.json"
"""Log files of MMEngine's runs: one folder for each start or resume, named by its time."""
ASSIGNMENT = ("positives", "oks", "unmatched")
"""Statistics of the assignment (:func:`yolox_pose.ops.yolox_losses`)."""
PLOTTED_METRICS = ("AP", "AP50", "AP75", "AR", "bbox_AP", "bbox_mAP", "bbox_mAP_50")
"""Validation metrics that are plotted, without their prefix."""
MAX_MARKED_POINTS = 40
"""Lines with fewer points mark each of them."""


class History(NamedTuple):
    """Log of a training run.

    Attributes:
        name: Name of the run.
        train: Training records with ``iter``, ``epoch``, losses and so on.
        val: Validation records with ``step`` (the epoch) and metrics such as ``coco/AP``.
    """

    name: str
    train: list[Record]
    val: list[Record]


class _Panel(NamedTuple):
    """One of the four plots.

    Attributes:
        title: Title of the plot.
        part: ``'train'`` or ``'val'``, the records that are plotted.
        names: Keys of the values, one line each.
    """

    title: str
    part: str
    names: tuple[str, ...]


_AXES = {"train": ("iter", "iteration"), "val": ("step", "epoch")}
"""Key and label of the horizontal axis for each part of a history."""


def read_history(work_dir: str | os.PathLike[str]) -> History:
    """Read the log files of a training run.

    Where a later start or resume repeats steps, its records replace the earlier ones.

    Args:
        work_dir: Folder of the run.

    Raises:
        DataError: If the folder holds no log file.
    """
    folder = Path(work_dir)
    train: list[Record] = []
    val: list[Record] = []
    for file in sorted(folder.glob(SCALARS)):
        # Split the records of this start or resume
        records = _read_records(file)
        new_train = [record for record in records if "iter" in record]
        new_val = [record for record in records if "iter" not in record and "step" in record]

        # Append them, and drop earlier records of the same or later steps
        train = _append(train, new_train, "iter")
        if new_train:
            first_epoch = new_train[0].get("epoch", 0)
            val = [record for record in val if record["step"] < first_epoch]
        val = _append(val, new_val, "step")
    if not train and not val:
        raise DataError(f"{folder} holds no training log ({SCALARS})")
    return History(folder.resolve().name, train, val)


def draw_curves(histories: Sequence[History]) -> bytes:
    """Plot the curves of one run with all its losses, or compare several runs with one line each.

    Args:
        histories: Logs of the runs.

    Returns:
        Content of a PNG file.
    """
    # Plot the panels
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplots(2, 2).flat
    for axis, panel in zip(axes, _panels(histories)):
        _plot(axis, panel, histories)

    # Scale the axes
    if len(histories) == 1 and any(record.get("loss", 0) > 0 for record in histories[0].train):
        axes[0].set_yscale("log")  # the loss terms differ by orders of magnitude
    axes[1].set_ylim(bottom=0)
    axes[3].set_yscale("log")

    # Encode the picture
    figure.suptitle(", ".join(history.name for history in histories))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _read_records(file: Path) -> list[Record]:
    """Read the records of a log file. A last line that was cut off when the run was killed is ignored."""
    records = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def _append(older: list[Record], newer: list[Record], key: str) -> list[Record]:
    """Append newer records to those older ones that lie before them by a key."""
    first = newer[0][key] if newer else float("inf")
    return [record for record in older if record[key] < first] + newer


def _panels(histories: Sequence[History]) -> tuple[_Panel, ...]:
    """Return the four plots: all values of a single run, or one line for each of several runs."""
    losses = {key for history in histories for record in history.train for key in record if "loss" in key}
    val_keys = (key for history in histories for record in history.val for key in record)
    metrics = tuple(dict.fromkeys(key for key in val_keys if key.rpartition("/")[2] in PLOTTED_METRICS))
    single = len(histories) == 1
    return (
        _Panel("loss", "train", tuple(sorted(losses)) if single else ("loss",)),
        _Panel("validation", "val", metrics if single else metrics[:1]),
        _Panel("assignment (positives: per instance)", "train", ASSIGNMENT if single else ("oks",)),
        _Panel("learning rate, gradient norm", "train", ("lr", "grad_norm") if single else ("lr",)),
    )


def _plot(axis: Any, panel: _Panel, histories: Sequence[History]) -> None:
    """Plot a line for each run and value, over the records that have the value."""
    # Plot the lines
    key, label = _AXES[panel.part]
    for history in histories:
        for name in panel.names:
            records = getattr(history, panel.part)
            points = [(record[key], record[name]) for record in records if _is_finite(record, name)]
            if points:
                legend = name if len(histories) == 1 else f"{history.name} {name}"
                style = "o-" if len(points) < MAX_MARKED_POINTS else "-"
                axis.plot(*zip(*points), style, label=legend, markersize=3, linewidth=1.2)

    # Label the axes
    axis.set_title(panel.title)
    axis.set_xlabel(label)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    if axis.lines:
        axis.legend(fontsize="small")
    else:
        axis.text(0.5, 0.5, "no data yet", ha="center", va="center", transform=axis.transAxes, color="gray")


def _is_finite(record: Mapping[str, Any], name: str) -> bool:
    value = record.get(name)
    return isinstance(value, int | float) and abs(value) < float("inf")
