"""Who goes with whom: the largest total similarity (the linear assignment problem, without scipy), or the best pairs first."""

from __future__ import annotations

import numpy as np


def best_pairs(similarity: np.ndarray, minimum: float) -> np.ndarray:
    """Choose pairs, each row and column at most once, so that their similarities have the largest sum.

    Args:
        similarity: (m, n), not negative.
        minimum: Pairs below this are never chosen, nor are pairs of similarity 0.

    Returns:
        (p, 2) int64 rows and columns, by rows.
    """
    gain = np.where(similarity >= minimum, similarity, 0).astype(np.float64)
    if gain.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    favourite = gain.argmax(axis=1)
    rows = np.flatnonzero(gain[np.arange(len(gain)), favourite] > 0)
    favourite = favourite[rows]
    if len(set(favourite.tolist())) == len(rows):  # nobody gives way: no sum is larger than that of all maxima
        return np.stack([rows, favourite], axis=1)
    columns = np.flatnonzero(gain.any(axis=0))
    part = gain[np.ix_(rows, columns)]  # the others have no pair to make
    swapped = len(rows) > len(columns)
    chosen = _shortest_paths(-(part.T if swapped else part))
    pairs = np.stack([np.arange(len(chosen)), chosen], axis=1)
    pairs = pairs[:, ::-1] if swapped else pairs
    pairs = pairs[part[pairs[:, 0], pairs[:, 1]] > 0]
    pairs = pairs[np.argsort(pairs[:, 0])]
    return np.stack([rows[pairs[:, 0]], columns[pairs[:, 1]]], axis=1)


def exclusive_pairs(gain: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Take the pair of the highest gain, again and again, each row once, and each column once with all that are the same.

    Args:
        gain: (m, n), not negative; pairs without gain are never taken.
        same: (n, n) bool, which columns exclude each other.

    Returns:
        (p, 2) int64 rows and columns, best first.
    """
    rows, columns = np.nonzero(gain)
    order = np.argsort(-gain[rows, columns], kind="stable")
    free_rows, free_columns = np.ones(gain.shape[0], bool), np.ones(gain.shape[1], bool)
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist()):
        if free_rows[row] and free_columns[column]:
            pairs.append((row, column))
            free_rows[row] = free_columns[column] = False
            free_columns &= ~same[column]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _shortest_paths(cost: np.ndarray) -> np.ndarray:
    """Column of each row, (m,), with the smallest total cost of an (m, n) matrix, m <= n.

    Each row takes its cheapest column where no row before it has it. The others are joined by successive shortest
    augmenting paths: the cheapest chain of reassignments, found by Dijkstra's algorithm on costs that potentials keep
    non-negative (Crouse, On implementing 2D rectangular assignment algorithms, IEEE TAES 2016, algorithm 4 there).
    """
    rows, columns = cost.shape
    row_potential, column_potential = cost.min(axis=1), np.zeros(columns)
    owner = np.full(columns, -1)
    taken, first = np.unique(cost.argmin(axis=1), return_index=True)
    owner[taken] = first
    for row in np.setdiff1d(np.arange(rows), first).tolist():
        distance, previous = np.full(columns, np.inf), np.full(columns, -1)
        done: np.ndarray = np.zeros(columns, dtype=bool)
        current, column, reach = row, -1, 0.0
        while current >= 0:
            path = reach + cost[current] - row_potential[current] - column_potential
            shorter = ~done & (path < distance)
            distance[shorter], previous[shorter] = path[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reach, done[column], current = distance[column], True, owner[column]
        scanned = np.flatnonzero(done & (owner >= 0))
        row_potential[row] += reach
        row_potential[owner[scanned]] += reach - distance[scanned]
        column_potential[done] -= reach - distance[done]
        while column >= 0:
            before = previous[column]
            owner[column] = owner[before] if before >= 0 else row
            column = before
    taken = np.flatnonzero(owner >= 0)
    assigned = np.empty(rows, dtype=np.int64)
    assigned[owner[taken]] = taken
    return assigned
