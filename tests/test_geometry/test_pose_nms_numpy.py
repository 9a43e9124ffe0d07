"""Suppression by poses in numpy; parity with torch and with the definition is in ``tests/test_ops/test_pose_nms.py``."""

import numpy as np
import pytest

from tests import pose_nms_reference as reference
from tests.pose_nms_reference import as_detections
from yolox_pose.errors import UsageError
from yolox_pose.geometry.nms import greedy_survivors, nms, resolve_pairs
from yolox_pose.geometry.oks import mutual_oks
from yolox_pose.geometry.pose_nms import BLOCK, suppress_duplicates
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import NMS_TYPES, PostprocessSettings


def test_box_criterion_is_nms():
    rng = np.random.default_rng(1)
    detections, scores, labels = reference.random_detections(rng, 2 * BLOCK + 9)
    scores = rng.permutation(scores)
    settings = PostprocessSettings(nms_thr=0.6)
    kept, kept_scores = suppress_duplicates(as_detections(detections, scores, labels), settings, reference.SIGMAS)
    assert kept.tolist() == nms(detections[0], scores, 0.6, labels).tolist()
    assert kept_scores.tolist() == scores[kept].tolist()


@pytest.mark.parametrize("nms_type", NMS_TYPES)
def test_more_candidates_than_a_block(nms_type):
    rng = np.random.default_rng(2)
    detections, scores, labels = reference.random_detections(rng, 2 * BLOCK + 9)
    wanted, _ = reference.suppress(
        detections, scores, labels, reference.SIGMAS, criterion=nms_type, iou_thr=0.5, oks_thr=0.6
    )
    settings = PostprocessSettings(nms_type=nms_type, nms_thr=0.5, oks_thr=0.6)
    kept, _ = suppress_duplicates(as_detections(detections, scores, labels), settings, reference.SIGMAS)
    assert kept.tolist() == wanted


def test_oks_by_hand():
    boxes = np.array([[0.0, 0, 10, 10], [5.0, 0, 15, 10]])
    keypoints = np.array([[[1.0, 1.0]], [[1.0, 3.0]]])
    poses = Detections(boxes, np.ones(2), np.zeros(2, int), keypoints, np.ones((2, 1)))
    oks, comparable = mutual_oks(poses, poses, np.array([0.1]))
    assert oks[0, 1] == pytest.approx(np.exp(-4 / (2 * 53 * 0.04))) and comparable.all()


def test_nothing_and_unknown_names():
    arrays = (np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros((0, 5)))
    nothing = as_detections(arrays, np.zeros(0), np.zeros(0, int))
    for settings in (PostprocessSettings(nms_type="oks"), PostprocessSettings(nms_type="oks", soft_nms="linear")):
        kept, scores = suppress_duplicates(nothing, settings, reference.SIGMAS)
        assert kept.shape == scores.shape == (0,) and kept.dtype == np.int64
    with pytest.raises(UsageError, match="nms_type must be one of box, oks, box_oks"):
        suppress_duplicates(nothing, PostprocessSettings(nms_type="pose"), reference.SIGMAS)


@pytest.mark.parametrize("seed", range(30))
def test_survivors_are_those_that_no_better_survivor_suppresses(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 7)
    same = np.triu(rng.uniform(size=(n, n)) < 0.4, 1)
    expected = []
    for i in range(n):
        expected.append(not any(expected[k] and same[k, i] for k in range(i)))
    assert greedy_survivors(same).tolist() == expected


def test_a_relation_that_never_settles_ends():
    """A candidate that suppresses itself would go on and off for ever."""
    assert resolve_pairs(np.array([0]), np.array([0]), 3).shape == (3,)


@pytest.mark.parametrize(("nms_thr", "expected"), [(0.5, [0.9, 0.8]), (0.49, [0.9, 0.4])])
def test_linear_soft_nms_leaves_an_overlap_at_the_threshold_alone(nms_thr, expected):
    boxes = np.array([[0.0, 0, 10, 10], [0.0, 0, 10, 5]])
    detections = Detections.create(boxes, np.array([0.9, 0.8]), np.zeros(2, int))
    settings = PostprocessSettings(nms_thr=nms_thr, soft_nms="linear")
    _, scores = suppress_duplicates(detections, settings, reference.SIGMAS)
    assert scores.tolist() == pytest.approx(expected)


def test_soft_nms_drops_a_score_at_the_threshold():
    boxes = np.array([[0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10]])
    detections = Detections.create(boxes, np.array([0.9, 0.5, 0.25]), np.zeros(3, int))
    settings = PostprocessSettings(score_thr=0.5, soft_nms="linear")
    kept, scores = suppress_duplicates(detections, settings, reference.SIGMAS)
    assert kept.tolist() == [0] and scores.tolist() == [0.9]
