"""The linear assignment against brute force and scipy, and taking the best first against brute force."""

from itertools import permutations

import numpy as np
import pytest

from yolox_pose.tracking import best_pairs
from yolox_pose.tracking.assignment import exclusive_pairs


def brute_force(similarity, minimum):
    """Largest total over all ways to give rows different columns."""
    gain = np.where(similarity >= minimum, similarity, 0)
    gain = gain if gain.shape[0] <= gain.shape[1] else gain.T
    rows = range(gain.shape[0])
    return max(
        sum(gain[r, c] for r, c in zip(rows, columns)) for columns in permutations(range(gain.shape[1]), len(rows))
    )


@pytest.mark.parametrize("seed", range(40))
def test_total_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(size=rng.integers(1, 6, 2)).round(1)  # many ties
    pairs = best_pairs(similarity, 0.3)
    chosen = similarity[pairs[:, 0], pairs[:, 1]]
    assert (chosen >= 0.3).all() and len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert chosen.sum() == pytest.approx(brute_force(similarity, 0.3))


@pytest.mark.parametrize("shape", [(300, 300), (40, 250), (250, 40)])
def test_total_equals_scipy_for_crowds(shape):
    optimize = pytest.importorskip("scipy.optimize")
    similarity = np.random.default_rng(0).uniform(size=shape)
    pairs = best_pairs(similarity, 0.0)
    expected = similarity[optimize.linear_sum_assignment(similarity, maximize=True)].sum()
    assert similarity[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(expected)


def test_the_total_counts_and_not_the_best_pair():
    assert best_pairs(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.05).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_nothing_to_pair(shape):
    assert best_pairs(np.zeros(shape), 0.0).shape == (0, 2)


def test_with_a_column_go_all_that_are_the_same():
    same = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)  # the middle one is like both others
    gain = np.array([[0.9, 0.5, 0.2], [0.8, 0.7, 0.1]])
    assert exclusive_pairs(gain, same).tolist() == [[0, 0], [1, 2]]
    assert exclusive_pairs(gain[:, [1, 0, 2]], same[np.ix_([1, 0, 2], [1, 0, 2])]).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("seed", range(30))
def test_best_first_equals_brute_force(seed):
    """Each taken pair is the best of those that the pairs before it leave."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(0, 6, 2)
    gain = rng.uniform(size=(m, n)) * (rng.uniform(size=(m, n)) < 0.7)
    same = rng.uniform(size=(n, n)) < 0.3
    same = same | same.T | np.eye(n, dtype=bool)
    taken = exclusive_pairs(gain, same).tolist()
    left = gain.copy()
    for row, column in taken:
        assert left[row, column] == left.max() > 0
        left[row] = 0
        left[:, same[column]] = 0
    assert not left.any()
