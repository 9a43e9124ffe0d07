import numpy as np
import pytest

from yolox_pose.coco.columns import integer_column, keypoint_column, number_rows, optional_column, optional_rows, show


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
        ([1, 10**400], f"holds {str(10**400)[:37]}..., beyond 64 bits"),
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
    assert optional_column([]).values.shape == (0,)
    assert optional_rows([], 4)[0].values.shape == (0, 4) and optional_rows([], 4)[1].shape == (0,)
    assert keypoint_column([], 17).values.shape == (0, 17, 3)


def test_optional_numbers():
    column = optional_column([1.5, None, "2", 7, 10**400, float("inf")])
    np.testing.assert_array_equal(column.values, [1.5, np.nan, 0, 7, 0, 0])
    assert [(i, reason.partition(",")[0]) for i, reason in column.bad] == [
        (2, "holds '2'"), (4, f"holds {str(10**400)[:37]}..."), (5, "holds NaN or infinity"),
    ]  # fmt: skip
    assert optional_column([0.5, float("nan")]).bad == [(1, "holds NaN or infinity")]
    assert optional_column([2.5, 3]).values.tolist() == [2.5, 3]


def test_optional_rows_tell_absent_lists_from_bad_ones():
    (values, bad), absent = optional_rows([[1, 2], None, [], "", [3]], 2)
    assert values.tolist() == [[1, 2], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert absent.tolist() == [False, True, True, False, False] and [i for i, _ in bad] == [3, 4]
    (values, bad), absent = optional_rows([[1, float("inf")], [3, 4]], 2)
    assert values.tolist() == [[0, 0], [3, 4]] and [i for i, _ in bad] == [0] and not absent.any()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0] * 9, "3 keypoints, the skeleton has 2"),
        ([0] * 3, "1 keypoint, the skeleton has 2"),
        ([0] * 7, "7 keypoint numbers, the skeleton's 2 keypoints need 6"),
        ([0] * 5 + ["x"], "keypoint list holds 'x', not a number"),
        ("abcdef", "keypoint list is 'abcdef', not a list of 6 numbers"),
        (6, "keypoint list is 6, not a list of 6 numbers"),
    ],
)
def test_keypoint_lists_refused(values, reason):
    column = keypoint_column([[1, 2, 2, 3, 4, 1], values, None], 2)
    assert column.bad == [(1, reason)]
    assert column.values.tolist() == [[[1, 2, 2], [3, 4, 1]], [[0] * 3] * 2, [[0] * 3] * 2]


def test_bounds_of_64_bits_beside_bad_values():
    column = integer_column([2**63 - 1, "x", -(2**63)])
    assert column.values.tolist() == [2**63 - 1, 0, -(2**63)] and [bad.position for bad in column.bad] == [1]
    largest = int(np.finfo(np.float64).max)
    assert optional_column([largest, None]).bad == []


def test_show_is_short():
    assert show(list(range(1000))) == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11..." and show(3) == "3"
    assert show("x" * 38) == repr("x" * 38) and len(show("x" * 39)) == 40
