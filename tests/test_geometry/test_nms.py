"""NMS against the textbook greedy loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolox_pose.geometry.boxes import iou_above
from yolox_pose.geometry.nms import BLOCK, nms


def brute_force(boxes, scores, threshold, labels=None):
    """The definition, one pair at a time."""

    def iou(a, b):
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height / union if union > 0 else 0.0

    boxes, kept = boxes.tolist(), []  # numbers of Python are several times as fast as those of numpy
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        same = [j for j in kept if labels is None or labels[i] == labels[j]]
        if all(iou(boxes[i], boxes[j]) <= threshold for j in same):
            kept.append(i)
    return kept


def random_boxes(rng, n, side=200.0):
    corner = rng.uniform(0, side, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(5, side / 2, (n, 2))], axis=1)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2 * BLOCK + 20), st.floats(0.05, 0.95), st.integers(1, 4))
def test_equals_the_greedy_loop(seed, n, threshold, num_classes):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, n), rng.integers(0, 20, n) / 20  # many equal scores
    labels = rng.integers(0, num_classes, n)
    assert nms(boxes, scores, threshold).tolist() == brute_force(boxes, scores, threshold)
    assert nms(boxes, scores, threshold, labels).tolist() == brute_force(boxes, scores, threshold, labels)


def test_a_chain_of_overlaps_longer_than_a_block():
    """Every box covers only the next: every second one survives, across the border between blocks too."""
    start = np.arange(2 * BLOCK + 7, dtype=np.float32)[:, None] * [[3.0, 0.0]]
    boxes = np.concatenate([start, start + 10], axis=1)
    scores = np.linspace(1, 0.1, len(boxes))
    assert nms(boxes, scores, 0.5).tolist() == list(range(0, len(boxes), 2))


def test_equal_boxes_keep_the_lower_index():
    assert nms(np.tile([[0, 0, 10, 10]], (5, 1)), np.full(5, 0.5), 0.5).tolist() == [0]


def test_classes_do_not_suppress_each_other():
    boxes, scores = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]]), np.array([0.5, 0.9, 0.7])
    assert nms(boxes, scores, 0.5, labels=np.array([0, 1, 0])).tolist() == [1, 2]


def test_overlap_at_the_threshold_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 5]])
    assert nms(boxes, np.array([0.9, 0.8]), 0.5).tolist() == [0, 1]
    assert nms(boxes, np.array([0.9, 0.8]), 0.49).tolist() == [0]


def test_nothing_and_boxes_without_area():
    kept = nms(np.zeros((0, 4)), np.zeros(0), 0.5)
    assert kept.shape == (0,) and kept.dtype == np.int64
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5, labels=np.zeros(0)).shape == (0,)
    assert nms(np.array([[5, 5, 5, 5], [5, 5, 5, 5], [9, 9, 3, 3]]), np.ones(3), 0.5).tolist() == [0, 1, 2]


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="belong together"):
        nms(np.zeros((3, 4)), np.zeros(2), 0.5)
    with pytest.raises(ValueError, match="belong together"):
        nms(np.zeros((3, 4)), np.zeros(3), 0.5, labels=np.zeros(4))


def test_overlaps_by_hand():
    first, second = np.tile([[0.0, 0, 10, 10]], (3, 1)), np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert iou_above(first, second, 0.3).tolist() == [True, True, False]
    assert iou_above(first, second, 0.34).tolist() == [True, False, False]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 1.0])
@pytest.mark.parametrize("spread", [2, 30, 400])
def test_many_boxes_on_few_persons(threshold, spread):
    """Boxes of very different widths, whole coordinates (many sides in one place), float32 as networks give them."""
    rng = np.random.default_rng(spread)
    corner = rng.integers(0, spread, (4 * BLOCK, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 300, (4 * BLOCK, 2))], axis=1).astype(np.float32)
    scores = rng.uniform(size=len(boxes))
    kept, order = [], np.argsort(-scores, kind="stable")
    for i in order:
        if not iou_above(np.repeat(boxes[i][None], len(kept), 0), boxes[kept], threshold).any():
            kept.append(i)
    assert nms(boxes, scores, threshold).tolist() == kept
