"""Match rows with columns by similarity: optimal for the total, or greedy with columns that exclude each other.

The linear assignment problem is solved by scipy, which is imported when it is first needed. There is no fallback without
scipy, so that track ids do not depend on what is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from yolox_pose.utils.dependencies import MissingDependencyError

Solver = Callable[..., tuple[np.ndarray, np.ndarray]]
"""From a matrix to the row and column indices of the optimal assignment."""


@lru_cache(maxsize=1)
def load_solver() -> Solver:
    """Import ``scipy.optimize.linear_sum_assignment``.

    Raises:
        MissingDependencyError: If scipy is not installed.
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise MissingDependencyError("tracking needs scipy; install it with: pip install scipy") from None
    return linear_sum_assignment


def linear_assignment(
    similarity: np.ndarray, minimum: float | np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Match each row with at most one column so that the weighted sum of similarities is largest.

    Equal sums are resolved deterministically; where all similarities are equal, row i is matched with column i.

    Args:
        similarity: Non-negative similarities of shape (m, n).
        minimum: Lowest similarity of a match, before weighting, for all columns or for each, (n,). A similarity of 0 never matches.
        weights: Positive weights of the columns, (n,). None weights them equally.

    Returns:
        Row and column indices of the p matches, (p, 2) int64, in ascending order of rows.

    Raises:
        MissingDependencyError: If two rows compete for a column and scipy is not installed.
    """
    # Drop matches below the minimum, and rows and columns without any match
    gain = np.where(similarity >= minimum, similarity, 0).astype(np.float64)
    gain = gain if weights is None else gain * weights
    rows, columns = np.flatnonzero(gain.any(axis=1)), np.flatnonzero(gain.any(axis=0))
    if not len(rows):
        return np.zeros((0, 2), dtype=np.int64)
    gain = gain[np.ix_(rows, columns)]

    # The best column of each row is optimal if no two rows share one
    best = gain.argmax(axis=1)
    if len(set(best.tolist())) == len(rows):
        return np.stack([rows, columns[best]], axis=1)

    # Solve the linear assignment problem
    row, column = load_solver()(gain, maximize=True)
    matched = gain[row, column] > 0
    return np.stack([rows[row[matched]], columns[column[matched]]], axis=1)


def greedy_assignment(gain: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Match the pair of the highest gain first, then the best of those that are left, and so on.

    A match uses up its row, its column and all columns that are the same as its column.

    Args:
        gain: Non-negative gains of shape (m, n). A gain of 0 never matches; of equal gains the first one matches.
        same: Which columns exclude each other, (n, n) bool.

    Returns:
        Row and column indices of the p matches, (p, 2) int64, best first.
    """
    # Sort the candidates, best first
    rows, columns = np.nonzero(gain)
    order = np.argsort(-gain[rows, columns], kind="stable")

    # Accept each candidate whose row and column are both free
    free_rows, free_columns = np.ones(gain.shape[0], bool), np.ones(gain.shape[1], bool)
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist()):
        if free_rows[row] and free_columns[column]:
            pairs.append((row, column))
            free_rows[row] = free_columns[column] = False
            free_columns &= ~same[column]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
