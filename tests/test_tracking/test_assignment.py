"""Linear assignment and greedy assignment, against brute force and scipy."""

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest

from yolox_pose.tracking import Tracker, linear_assignment
from yolox_pose.tracking.assignment import greedy_assignment, load_solver
from yolox_pose.utils.dependencies import MissingDependencyError


def brute_force(similarity, minimum):
    """Return the largest total over all assignments of different columns to rows."""
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
    pairs = linear_assignment(similarity, 0.3)
    chosen = similarity[pairs[:, 0], pairs[:, 1]]
    assert (chosen >= 0.3).all() and len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert chosen.sum() == pytest.approx(brute_force(similarity, 0.3))


@pytest.mark.parametrize("shape", [(300, 300), (40, 250), (250, 40)])
def test_total_equals_scipy_for_crowds(shape):
    from scipy.optimize import linear_sum_assignment

    similarity = np.random.default_rng(0).uniform(size=shape)
    pairs = linear_assignment(similarity, 0.0)
    expected = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
    assert similarity[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(expected)


def test_the_total_is_maximized_rather_than_the_best_pair():
    assert linear_assignment(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.05).tolist() == [[0, 1], [1, 0]]


def test_equal_similarities_are_matched_in_order():
    for shape in ((4, 4), (3, 5), (5, 3)):
        expected = [[i, i] for i in range(min(shape))]
        assert linear_assignment(np.full(shape, 0.5), 0.3).tolist() == expected


def test_the_minimum_itself_is_enough():
    assert linear_assignment(np.array([[0.3]]), 0.3).tolist() == [[0, 0]]


def test_rows_without_a_match_keep_the_indices_of_the_others():
    similarity = np.array([[0.1, 0.1, 0.1], [0.1, 0.9, 0.8], [0.1, 0.8, 0.1], [0.1, 0.2, 0.1]])
    assert linear_assignment(similarity, 0.3).tolist() == [[1, 2], [2, 1]]


def test_scipy_is_imported_only_for_rows_that_compete():
    code = (
        "import sys, numpy as np; from yolox_pose.tracking import linear_assignment;"
        "linear_assignment(np.eye(3), 0.5); print('scipy' in sys.modules);"
        "linear_assignment(np.ones((2, 2)), 0.5); print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_tracker_without_scipy_names_the_extra(monkeypatch, request):
    request.addfinalizer(load_solver.cache_clear)
    load_solver.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingDependencyError, match=r"^tracking needs scipy; .* pip install scipy$"):
        Tracker()


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_nothing_to_match(shape):
    assert linear_assignment(np.zeros(shape), 0.0).shape == (0, 2)


def test_weights_decide_between_columns_but_not_whether_they_match():
    similarity = np.array([[0.6, 0.7]])
    assert linear_assignment(similarity, 0.5).tolist() == [[0, 1]]
    assert linear_assignment(similarity, 0.5, np.array([0.9, 0.3])).tolist() == [[0, 0]]
    assert linear_assignment(similarity, 0.65, np.array([0.9, 0.3])).tolist() == [[0, 1]]
    assert linear_assignment(similarity, np.array([0.5, 0.8])).tolist() == [[0, 0]], "a minimum for each column"


def test_a_greedy_match_uses_up_all_columns_that_are_the_same():
    same = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)  # the middle one is like both others
    gain = np.array([[0.9, 0.5, 0.2], [0.8, 0.7, 0.1]])
    assert greedy_assignment(gain, same).tolist() == [[0, 0], [1, 2]]
    assert greedy_assignment(gain[:, [1, 0, 2]], same[np.ix_([1, 0, 2], [1, 0, 2])]).tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize("seed", range(30))
def test_greedy_equals_brute_force(seed):
    """Each pair is the best of those that the pairs before it leave."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(0, 6, 2)
    gain = rng.uniform(size=(m, n)) * (rng.uniform(size=(m, n)) < 0.7)
    same = rng.uniform(size=(n, n)) < 0.3
    same = same | same.T | np.eye(n, dtype=bool)
    pairs = greedy_assignment(gain, same).tolist()
    left = gain.copy()
    for row, column in pairs:
        assert left[row, column] == left.max() > 0
        left[row] = 0
        left[:, same[column]] = 0
    assert not left.any()
