"""Turn lists of JSON values into typed numpy columns, and name the values that do not fit.

Files written by hand or by scripts hold numbers as strings, missing fields and lists of the wrong length. Each function
tries numpy on the whole list first. It looks at single values only where that fails, so that clean files read fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

INT64 = np.iinfo(np.int64)
MAX_FLOAT = int(np.finfo(np.float64).max)


class Bad(NamedTuple):
    """A value that does not fit: its position in the list and the reason."""

    position: int
    reason: str


class Column(NamedTuple):
    """Values of one field of n records. The rows that ``bad`` names hold zeros."""

    values: np.ndarray
    bad: list[Bad]


def show(value: Any, limit: int = 40) -> str:
    """Return a short one-line form of a JSON value for an error message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def is_number(value: Any) -> bool:
    """Return whether a value is a number; ``true`` and strings such as ``"12"`` are not."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def integer_column(values: Sequence[Any]) -> Column:
    """Return integers as (n,) int64, exact over the whole 64-bit range."""
    if all(type(value) is int for value in values):
        try:
            return Column(np.array(values, dtype=np.int64).reshape(-1), [])
        except OverflowError:
            pass
    reasons = [_integer_reason(value) for value in values]
    bad = [Bad(i, reason) for i, reason in enumerate(reasons) if reason]
    column = np.array([0 if reason else value for value, reason in zip(values, reasons)], dtype=np.int64)
    return Column(column.reshape(-1), bad)


def _integer_reason(value: Any) -> str | None:
    if value is None:
        return "is missing"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return f"is {show(value)}, not an integer"
    if not INT64.min <= value <= INT64.max:
        return f"is {value}, beyond 64 bits"
    return None


def number_rows(rows: Sequence[Any], width: int) -> Column:
    """Return lists of ``width`` numbers as (n, width) float64; NaN and infinity are bad."""
    array, bad = _as_array(rows, width), []
    if array is None:
        reasons = [_row_reason(row, width) for row in rows]
        bad = [Bad(i, reason) for i, reason in enumerate(reasons) if reason]
        clean = [[0.0] * width if reason else row for row, reason in zip(rows, reasons)]
        array = np.array(clean, dtype=np.float64).reshape(-1, width)
    return _finite(array, bad)


def optional_rows(rows: Sequence[Any], width: int) -> tuple[Column, np.ndarray]:
    """Return lists of ``width`` numbers as :func:`number_rows`, and (n,) bool where a list is absent.

    Absent lists are ``None`` or empty. They are not bad, and their rows hold zeros.
    """
    array = _as_array(rows, width)
    if array is not None:
        return _finite(array, []), np.zeros(len(rows), dtype=bool)
    absent = [is_absent(row) for row in rows]
    nothing = [0.0] * width
    return number_rows([nothing if empty else row for row, empty in zip(rows, absent)], width), np.array(absent, bool)


def _finite(array: np.ndarray, bad: list[Bad]) -> Column:
    """Return the column with the rows that hold NaN or infinity as bad ones."""
    infinite = np.flatnonzero(~np.isfinite(array).all(axis=1))
    array[infinite] = 0
    return Column(array, bad + [Bad(int(i), "holds NaN or infinity") for i in infinite])


def _as_array(rows: Sequence[Any], width: int) -> np.ndarray | None:
    """Return (n, width) float64, or None unless every row is a list of ``width`` numbers."""
    if not all(type(row) is list and len(row) == width for row in rows):
        return None
    try:
        array = np.array(rows)
    except (ValueError, OverflowError):
        return None
    return array.reshape(-1, width).astype(np.float64) if array.dtype.kind in "iuf" else None


def _row_reason(row: Any, width: int) -> str | None:
    if row is None:
        return "is missing"
    if not isinstance(row, (list, tuple, np.ndarray)):
        return f"is {show(row)}, not a list of {width} numbers"
    if len(row) != width:
        return f"has {len(row)} numbers, expected {width}"
    wrong = [value for value in row if not is_number(value)]
    if wrong:
        return f"holds {show(wrong[0])}, not a number"
    huge = [value for value in row if isinstance(value, int) and abs(value) > MAX_FLOAT]
    return f"holds {show(huge[0])}, beyond 64 bits" if huge else None


def optional_column(values: Sequence[Any]) -> Column:
    """Return numbers as (n,) float64, NaN where a value is None; NaN and infinity in the list are bad."""
    if set(map(type, values)) == {float}:
        return _flat(_finite(np.array(values).reshape(-1, 1), []))
    column = _flat(number_rows([[0 if value is None else value] for value in values], 1))
    column.values[[value is None for value in values]] = np.nan
    return column


def _flat(column: Column) -> Column:
    """Return a column of rows of one number as a column of numbers."""
    return Column(column.values[:, 0], column.bad)


def keypoint_column(lists: Sequence[Any], num_keypoints: int) -> Column:
    """Return keypoint lists as (n, K, 3) float64 x, y and visibility code; NaN and infinity are bad.

    Args:
        lists: The ``keypoints`` of n annotations. An absent or empty list gives zeros: nothing is labeled.
        num_keypoints: K, the number of keypoints of the skeleton.
    """
    (table, bad), _ = optional_rows(lists, 3 * num_keypoints)
    reasons = [Bad(i, _keypoint_reason(lists[i], num_keypoints) or f"keypoint list {reason}") for i, reason in bad]
    return Column(table.reshape(len(lists), num_keypoints, 3), reasons)


def _keypoint_reason(values: Any, num_keypoints: int) -> str | None:
    """Return the reason if a list is of another skeleton."""
    if not isinstance(values, (list, tuple, np.ndarray)) or len(values) == 3 * num_keypoints:
        return None
    number, rest = divmod(len(values), 3)
    if rest:
        return f"{len(values)} keypoint numbers, the skeleton's {num_keypoints} keypoints need {3 * num_keypoints}"
    return f"{number} keypoint{'s' * (number != 1)}, the skeleton has {num_keypoints}"


def is_absent(value: Any) -> bool:
    """Return whether an optional list is missing or empty."""
    return value is None or (isinstance(value, (list, tuple)) and not value)
