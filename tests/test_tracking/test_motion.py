"""The filter of the tracker: how much weight a detection gets, against values by hand."""

import numpy as np
import pytest

from yolox_pose.tracking import motion

WHOLE, HALF = [[100.0, 100, 200, 300]], [[150.0, 100, 200, 300]]  # the left half is hidden


def seen_for(frames, box=WHOLE, seconds=0.04):
    state = motion.start(np.array(box))
    for _ in range(frames):
        state = motion.correct(motion.predict(state, seconds), np.array(box))
    return state


def test_the_extent_is_a_mean_at_first_and_follows_slowly_later():
    state = motion.start(np.array(WHOLE))
    sides = []
    for _ in range(2):
        state = motion.correct(motion.predict(state, 0.0), np.array([[100.0, 100, 230, 330]]))
        sides.append(state.extent[0].tolist())
    assert sides == [[pytest.approx(115), pytest.approx(215)], [pytest.approx(120), pytest.approx(220)]]
    spread = motion.predict(seen_for(200), 0.04).spread[0]
    # the fixed point of p = p / (p + 1) + q
    drift = motion.EXTENT_DRIFT * 0.04
    assert spread == pytest.approx((drift + np.sqrt(drift**2 + 4 * drift)) / 2, rel=1e-3)


def test_two_predictions_equal_one_over_both_times():
    state = motion.start(np.array(WHOLE))._replace(velocity=np.array([[3.0, -2.0]]))
    at_once, in_steps = motion.predict(state, 0.5), motion.predict(motion.predict(state, 0.2), 0.3)
    for expected, values in zip(at_once, in_steps):
        np.testing.assert_allclose(values, expected)


def test_of_who_is_half_hidden_the_center_hardly_moves():
    """The center of the half box is 25 px off; half of the missing 50 px counts as additional noise."""
    state = motion.predict(seen_for(50), 0.04)
    variance = state.covariance[0, 0]
    size = np.sqrt(100 * 200)
    expected = 25 * variance / (variance + motion.POSITION_NOISE**2 + (25 / size) ** 2)
    moved = motion.correct(state, np.array(HALF)).center[0] - state.center[0]
    assert moved == pytest.approx([expected, 0]) and expected < 5
    same_size = motion.correct(state, np.array(WHOLE) + [25.0, 0, 25, 0]).center[0] - state.center[0]
    assert same_size[0] > 2 * expected, "a person who is as wide as before has moved"


def test_boxes_without_area_are_no_division_by_zero():
    state = motion.correct(motion.predict(motion.start(np.zeros((1, 4))), 0.04), np.zeros((1, 4)))
    assert all(np.isfinite(values).all() for values in state)
