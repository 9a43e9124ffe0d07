"""Suppression by poses in numpy; parity with torch and with the definition is in ``tests/test_ops/test_pose_nms.py``."""

import numpy as np
import pytest

from tests import pose_nms_reference as reference
from yolox_pose.geometry.nms import nms
from yolox_pose.geometry.pose_nms import (
    BLOCK,
    CRITERIA,
    Poses,
    Suppression,
    greedy_survivors,
    mutual_oks,
    suppress_poses,
)


def test_box_criterion_is_nms():
    rng = np.random.default_rng(1)
    detections, scores, labels = reference.random_detections(rng, 2 * BLOCK + 9)
    scores = rng.permutation(scores)
    kept, kept_scores = suppress_poses(Poses(*detections), scores, reference.SIGMAS, Suppression("box", 0.6), labels)
    assert kept.tolist() == nms(detections[0], scores, 0.6, labels).tolist()
    assert kept_scores.tolist() == scores[kept].tolist()


@pytest.mark.parametrize("criterion", CRITERIA)
def test_more_candidates_than_a_block(criterion):
    rng = np.random.default_rng(2)
    detections, scores, labels = reference.random_detections(rng, 2 * BLOCK + 9)
    wanted, _ = reference.suppress(
        detections, scores, labels, reference.SIGMAS, criterion=criterion, iou_thr=0.5, oks_thr=0.6
    )
    kept, _ = suppress_poses(Poses(*detections), scores, reference.SIGMAS, Suppression(criterion, 0.5, 0.6), labels)
    assert kept.tolist() == wanted


def test_oks_by_hand():
    boxes = np.array([[0.0, 0, 10, 10], [5.0, 0, 15, 10]])
    poses = Poses(boxes, np.array([[[1.0, 1.0]], [[1.0, 3.0]]]), np.ones((2, 1)))
    oks, comparable = mutual_oks(poses, poses, np.array([0.1]))
    assert oks[0, 1] == pytest.approx(np.exp(-4 / (2 * 53 * 0.04))) and comparable.all()


def test_nothing_and_unknown_names():
    nothing = Poses(np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros((0, 5)))
    for settings in (Suppression("oks"), Suppression("oks", soft="linear")):
        kept, scores = suppress_poses(nothing, np.zeros(0), reference.SIGMAS, settings)
        assert kept.shape == scores.shape == (0,) and kept.dtype == np.int64
    with pytest.raises(ValueError, match="criterion must be one of box, oks, box_oks"):
        suppress_poses(nothing, np.zeros(0), reference.SIGMAS, Suppression("pose"))


@pytest.mark.parametrize("seed", range(30))
def test_survivors_are_those_that_no_better_survivor_suppresses(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 7)
    same = np.triu(rng.uniform(size=(n, n)) < 0.4, 1)
    expected = []
    for i in range(n):
        expected.append(not any(expected[k] and same[k, i] for k in range(i)))
    assert greedy_survivors(same).tolist() == expected
