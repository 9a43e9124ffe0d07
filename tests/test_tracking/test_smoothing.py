"""The One-Euro filter: less jitter at rest, little lag in motion."""

import numpy as np
import pytest

from yolox_pose.tracking import KeypointSmoother

BOX = np.array([[0.0, 0.0, 100.0, 100.0]])
FPS = 30


def smoothed(points, ids=(1,), fps=FPS):
    """Return the positions (frames, 2) of a keypoint after the filter."""
    smoother = KeypointSmoother(fps=fps)
    return np.array([smoother.update(p.reshape(1, 1, 2), BOX, np.array(ids))[0, 0] for p in points])


def test_rest_is_steadier():
    points = np.random.default_rng(0).normal(50, 1.0, (300, 2))
    assert np.diff(smoothed(points), axis=0).std() < 0.4 * np.diff(points, axis=0).std()
    assert np.abs(smoothed(points)[30:].mean(0) - 50).max() < 0.3


def test_motion_lags_by_little():
    points = np.stack([np.linspace(0, 200, 2 * FPS), np.zeros(2 * FPS)], axis=1)  # one size per second
    lag = (points - smoothed(points))[FPS:, 0]
    assert 0 < lag.max() < 100 / 25, "less than 1/25 s"


def test_size_of_the_person_sets_the_scale():
    points = np.random.default_rng(0).normal(50, 1.0, (50, 2))
    near, far = KeypointSmoother(), KeypointSmoother()
    for p in points:
        small = near.update(p.reshape(1, 1, 2), BOX, np.array([1]))
        large = far.update(10 * p.reshape(1, 1, 2), 10 * BOX, np.array([1]))
        np.testing.assert_allclose(10 * small, large)


def test_one_step_by_hand():
    """Constants of the paper: alpha = 1 / (1 + 1 / (2 pi f dt)), speed filtered with 1 Hz."""
    smoother = KeypointSmoother(fps=10)
    smoother.update(np.zeros((1, 1, 2)), BOX, np.array([1]))
    x = smoother.update(np.array([[[10.0, 0.0]]]), BOX, np.array([1]))[0, 0, 0]
    tau = 2 * np.pi * 0.1
    speed = (10 / 0.1) * tau / (1 + tau)
    cutoff = 1.5 + 6.0 * speed / 100
    assert x == pytest.approx(10 * (tau * cutoff) / (1 + tau * cutoff))


def test_persons_are_apart_and_start_anew_after_an_absence():
    smoother = KeypointSmoother(fps=FPS)
    two = np.array([[[0.0, 0.0]], [[50.0, 50.0]]])
    boxes = np.repeat(BOX, 2, axis=0)
    smoother.update(two, boxes, np.array([1, 2]))
    swapped = smoother.update(two[::-1], boxes, np.array([2, 1]))
    np.testing.assert_allclose(swapped, two[::-1])
    for _ in range(FPS):
        smoother.update(two[:0], boxes[:0], np.array([], dtype=int))
    np.testing.assert_array_equal(smoother.update(two[1:], BOX, np.array([1])), two[1:])


def test_a_person_is_remembered_for_the_whole_memory():
    smoother = KeypointSmoother()  # remembers 0.5 s
    smoother.update(np.zeros((1, 1, 2)), BOX, np.array([1]), time=0.0)
    smoother.update(np.zeros((0, 1, 2)), BOX[:0], np.array([], dtype=int), time=0.5)
    moved = smoother.update(np.full((1, 1, 2), 10.0), BOX, np.array([1]), time=0.75)
    assert (moved < 10).all()


def test_untracked_persons_stay_as_they_are_and_types_too():
    smoother = KeypointSmoother()
    for x in (0.0, 10.0):
        points = np.full((1, 3, 2), x, np.float32)
        found = smoother.update(points, BOX, np.array([-1]))
        assert found.dtype == np.float32 and np.array_equal(found, points) and found is not points
    with pytest.raises(ValueError, match="fps"):
        KeypointSmoother(fps=0)
