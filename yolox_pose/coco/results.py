"""Read and write COCO results files; detections of many images as columns.

Shape letters: N detections (of all images), K keypoints. Boxes are xyxy pixels here and xywh in files, as COCO
has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError, UsageError
from yolox_pose.utils.json_files import read_json, write_json

METRICS_FILE = "metrics.json"
PREDICTIONS_PREFIX = "predictions"
STREAMING_PREFIX = "streaming"
"""First part of the names of streaming metrics, and last part of the names of their predictions files."""
RESULT_FILES = (
    METRICS_FILE,
    *(
        f"{PREDICTIONS_PREFIX}{kind}.json"
        for kind in ("", "_bbox", *(f"_{STREAMING_PREFIX}{k}" for k in ("", "_bbox")))
    ),
)
"""Files that ``tools/test.py --out`` writes."""


class Predictions(NamedTuple):
    """N detections of any number of images.

    Attributes:
        image_ids: Image ids of shape (N,), int64.
        category_ids: Category ids of the annotation file, shape (N,), int64.
        scores: Scores of shape (N,), float64.
        keypoints: x and y in pixels of the source image and score, shape (N, K, 3), float64; None without keypoints.
        boxes: Boxes of shape (N, 4), float64, xyxy in pixels of the source image; None without boxes.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    scores: np.ndarray
    keypoints: np.ndarray | None = None
    boxes: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> Predictions:
        """Return the detections at ``rows`` (positions or a mask), in that order."""
        if rows.dtype == bool and rows.all():
            return self
        ids, categories, scores, *others = self
        keypoints, boxes = (None if column is None else column[rows] for column in others)
        return Predictions(ids[rows], categories[rows], scores[rows], keypoints, boxes)

    @classmethod
    def load(cls, source: PredictionsSource) -> Predictions:
        """Read COCO results from a file or a list of dicts; predictions are returned as they are.

        Raises:
            DataError: If the file cannot be read or a record is malformed. The message names its position.
        """
        if isinstance(source, Predictions):
            return source
        if isinstance(source, (str, Path)):
            return _from_records(read_json(source, "predictions file"), str(source))
        return _from_records(source, "predictions")

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """Join several tables. Without any part the table is empty and has neither keypoints nor boxes."""
        if not parts:
            return _from_records([], "predictions")
        ids, categories, scores, *others = zip(*parts)
        keypoints, boxes = (None if any(c is None for c in column) else np.concatenate(column) for column in others)
        return cls(np.concatenate(ids), np.concatenate(categories), np.concatenate(scores), keypoints, boxes)


PredictionsSource = str | Path | Sequence[Mapping[str, Any]] | Predictions


def _from_records(records: Any, name: str) -> Predictions:
    if not isinstance(records, Sequence):
        raise DataError(f"{name}: not in COCO results format, which is a list of records")
    return Predictions(
        image_ids=_column(records, "image_id", name).astype(np.int64),
        category_ids=_column(records, "category_id", name).astype(np.int64),
        scores=_column(records, "score", name).astype(np.float64),
        keypoints=_keypoints(records, name),
        boxes=_boxes(records, name),
    )


def _column(records: Sequence[Mapping[str, Any]], key: str, name: str) -> np.ndarray:
    """Return (N,) numbers, int64 or float64. Ids never pass through float, which rounds those beyond 2^53."""
    try:
        column = np.asarray([record[key] for record in records], dtype=None if records else np.int64)
    except (KeyError, TypeError, ValueError):
        column = np.empty(0, object)
    if column.ndim != 1 or column.dtype.kind not in ("iu" if key != "score" else "iuf"):
        for i, record in enumerate(records):
            value = record.get(key) if isinstance(record, Mapping) else None
            if isinstance(value, bool) or not isinstance(value, (int, float) if key == "score" else int):
                raise DataError(f"{name}: record {i} has the {key} {value!r}, expected a number")
        raise DataError(f"{name}: {key} is not a number that fits 64 bits")
    return column


def _keypoints(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray | None:
    """Return (N, K, 3) keypoints; those of a record with a ``bbox`` alone have score 0, so that it never counts."""
    first = next((i for i, record in enumerate(records) if "keypoints" in record), None)
    if first is None:
        return None
    length = len(records[first]["keypoints"])
    if length == 0 or length % 3:
        raise DataError(f"{name}: record {first} has {length} keypoint numbers, expected x, y, score of each keypoint")
    nothing = [0.0] * length
    filled = [{"keypoints": nothing} if "keypoints" not in r and "bbox" in r else r for r in records]
    return _table(filled, "keypoints", length, name).reshape(len(records), -1, 3)


def _boxes(records: Sequence[Mapping[str, Any]], name: str) -> np.ndarray | None:
    if not records or not all("bbox" in record for record in records):
        return None
    boxes = _table(records, "bbox", 4, name)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _table(records: Sequence[Mapping[str, Any]], key: str, length: int, name: str) -> np.ndarray:
    """Return the lists of a field as (N, length) float64."""
    for i, record in enumerate(records):
        count = len(record.get(key) or ())
        if count != length:
            raise DataError(f"{name}: record {i} has {count} numbers as {key}, expected {length}")
    try:
        return np.asarray([record[key] for record in records], np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: {key} of a record holds something that is not a number") from None


def keypoint_records(predictions: Predictions) -> list[dict[str, Any]]:
    """Return COCO keypoint results. They have no ``bbox``, from which COCO's tools would compute the area."""
    if predictions.keypoints is None:
        return []
    rows, num_keypoints, _ = predictions.keypoints.shape
    return _records(predictions, "keypoints", predictions.keypoints.reshape(rows, 3 * num_keypoints).tolist())


def box_records(predictions: Predictions) -> list[dict[str, Any]]:
    """Return COCO detection results, with a ``bbox`` (xywh) for each detection."""
    if predictions.boxes is None:
        return []
    return _records(predictions, "bbox", to_xywh(predictions.boxes).tolist())


def _records(predictions: Predictions, key: str, values: list) -> list[dict[str, Any]]:
    columns = (predictions.image_ids.tolist(), predictions.category_ids.tolist(), predictions.scores.tolist(), values)
    return [{"image_id": i, "category_id": c, "score": s, key: value} for i, c, s, value in zip(*columns)]


def to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert (N, 4) xyxy boxes to (N, 4) xywh."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def check_output_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Return the folder for results, unless it holds other results.

    Raises:
        UsageError: If ``folder`` is a file, or already holds results and ``overwrite`` is not given.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    present = [name for name in RESULT_FILES if (folder / name).exists()]
    if present and not overwrite:
        raise UsageError(f"{folder / present[0]} exists; choose another folder or give --overwrite")
    return folder


def metrics_table(metrics: Mapping[str, float]) -> str:
    """Return aligned lines of name and value. -1 is shown as a dash, because the metric is undefined."""
    width = max((len(name) for name in metrics), default=0)
    shown = {name: "     -" if value == -1 else f"{value:6.4f}" for name, value in metrics.items()}
    return "\n".join(f"{name:<{width}}  {value}" for name, value in shown.items())


def write_metrics(path: str | Path, metrics: Mapping[str, Any]) -> Path:
    """Write metrics as JSON, for example ``{"coco/AP": 0.641, ...}``, and return the path."""
    return write_json(path, {key: float(value) for key, value in metrics.items()}, indent=2)


def write_predictions(prefix: str | Path, predictions: Predictions, poses: Predictions | None = None) -> list[Path]:
    """Write ``PREFIX.json`` in COCO results format: keypoints, or boxes without keypoints.

    With both, the boxes go to ``PREFIX_bbox.json``, in the same order.

    Args:
        prefix: Path without the ending.
        predictions: All detections.
        poses: Detections that have keypoints; None for all.

    Returns:
        The paths of the files written.
    """
    if predictions.keypoints is None:
        return [write_json(f"{prefix}.json", box_records(predictions))]
    written = [write_json(f"{prefix}.json", keypoint_records(predictions if poses is None else poses))]
    if predictions.boxes is not None:
        written.append(write_json(f"{prefix}_bbox.json", box_records(predictions)))
    return written
