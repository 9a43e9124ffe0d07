"""NMS by poses against the definition, pair by pair, and against the numpy version."""

import numpy as np
import pytest
import torch

from tests import pose_nms_reference as reference
from yolox_pose.errors import UsageError
from yolox_pose.geometry.pose_nms import suppress_duplicates as suppress_in_numpy
from yolox_pose.ops import DetectionTensors, batched_nms, compare_detections, mutual_oks, suppress_duplicates
from yolox_pose.structures.settings import NMS_TYPES, SOFT_NMS_METHODS, PostprocessSettings

SIGMAS = torch.tensor(reference.SIGMAS, dtype=torch.float32)


def tensors(*arrays):
    return [torch.as_tensor(np.asarray(array), dtype=torch.float32) for array in arrays]


def suppress(boxes, scores, labels=None, keypoints=None, visibility=None, sigmas=SIGMAS, **settings):
    """Call ``suppress_duplicates``; without labels all detections compete."""
    labels = torch.zeros(scores.shape, dtype=torch.long) if labels is None else labels
    detections = DetectionTensors(boxes, scores, labels, keypoints, visibility)
    return suppress_duplicates(detections, PostprocessSettings(**{"score_thr": 0.0, **settings}), sigmas)


@pytest.mark.parametrize("soft_nms", SOFT_NMS_METHODS)
@pytest.mark.parametrize("nms_type", NMS_TYPES)
def test_equal_to_the_definition_and_to_numpy_for_crowded_batches(nms_type, soft_nms):
    rng = np.random.default_rng(3)
    batch = [reference.random_detections(rng, 40) for _ in range(3)]
    boxes, keypoints, visibility = (torch.stack(tensors(*(d[0][i] for d in batch))) for i in range(3))
    scores = torch.stack(tensors(*(d[1] for d in batch)))
    labels = torch.tensor(np.stack([d[2] for d in batch]))
    settings = {"nms_type": nms_type, "nms_thr": 0.5, "oks_thr": 0.6, "soft_nms": soft_nms, "score_thr": 0.0}
    found = suppress(boxes, scores, labels, keypoints, visibility, **settings)
    for image, (detections, given, classes) in enumerate(batch):
        wanted, values = reference.suppress(
            detections, given, classes, reference.SIGMAS, criterion=nms_type, iou_thr=0.5, oks_thr=0.6, soft=soft_nms
        )
        assert 3 < len(wanted) <= 40 and (soft_nms != "none" or len(wanted) < 40)
        final = torch.full((40,), -torch.inf)
        final[wanted] = torch.tensor(values, dtype=torch.float32)
        assert torch.allclose(found[image], final, atol=1e-5)
        kept, kept_scores = suppress_in_numpy(
            reference.as_detections(detections, given, classes), PostprocessSettings(**settings), reference.SIGMAS
        )
        assert kept.tolist() == wanted
        assert kept_scores == pytest.approx(values, abs=1e-9)


def test_two_people_in_one_box_stay_two():
    # the same box twice, poses that lie half a box apart: boxes say one person, poses say two
    boxes = torch.tensor([[[0.0, 0, 40, 80], [2.0, 0, 42, 80], [1.0, 0, 41, 80]]])
    left, right = torch.full((5, 2), 10.0), torch.full((5, 2), 30.0)
    keypoints = torch.stack([left, right, left + 0.5])[None]
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    pose = {"keypoints": keypoints, "visibility": torch.ones(1, 3, 5), "sigmas": SIGMAS}

    def kept(**options):
        return (suppress(boxes, scores, nms_thr=0.65, **options) > -torch.inf)[0].tolist()

    assert kept(nms_type="box") == [True, False, False]
    assert kept(nms_type="oks", oks_thr=0.7, **pose) == [True, True, False]
    assert kept(nms_type="box_oks", oks_thr=0.7, **pose) == [True, True, False]


def test_box_oks_needs_both():
    # poses agree, boxes do not: a person whose legs one detection missed
    boxes = torch.tensor([[[0.0, 0, 40, 80], [0.0, 0, 40, 40]]])
    pose = {"keypoints": torch.zeros(1, 2, 5, 2) + 20, "visibility": torch.ones(1, 2, 5), "sigmas": SIGMAS}
    scores = torch.tensor([[0.9, 0.8]])
    for nms_type, survivors in (("oks", 1), ("box_oks", 2)):
        final = suppress(boxes, scores, nms_type=nms_type, nms_thr=0.65, oks_thr=0.7, **pose)
        assert int((final > -torch.inf).sum()) == survivors


def test_oks_by_hand():
    # area 0.53 * 100 = 53; the one shared keypoint is 1 px apart, sigma 0.1: exp(-1 / (2 * 53 * 0.04))
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    keypoints = torch.tensor([[[5.0, 5.0], [0, 0]], [[6.0, 5.0], [9, 9]]])
    visibility = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    oks, comparable = mutual_oks(keypoints, visibility, boxes, torch.tensor([0.1, 0.1]))
    assert oks[0, 1] == pytest.approx(np.exp(-1 / (2 * 53 * 0.04)), abs=1e-6)
    assert torch.equal(oks, oks.T) and comparable.all()
    assert oks.diagonal().tolist() == pytest.approx([1, 1])


def test_detections_without_keypoints_are_compared_by_boxes():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 9], [40.0, 0, 50, 10]]])
    scores = torch.tensor([[0.9, 0.8, 0.7]])
    blind = {"keypoints": torch.rand(1, 3, 5, 2), "visibility": torch.zeros(1, 3, 5), "sigmas": SIGMAS}
    for options in (blind, {"keypoints": torch.zeros(1, 3, 0, 2), "visibility": torch.zeros(1, 3, 0)}, {}):
        final = suppress(boxes, scores, nms_type="oks", nms_thr=0.5, oks_thr=0.5, **options)
        assert (final > -torch.inf).tolist() == [[True, False, True]]


def test_criterion_box_is_batched_nms():
    rng = np.random.default_rng(0)
    (boxes, *_), scores, labels = reference.random_detections(rng, 60)
    boxes, scores = tensors(boxes[None], scores[None])
    labels = torch.tensor(labels[None])
    final = suppress(boxes, scores, labels, nms_type="box", nms_thr=0.6)
    assert torch.equal(final > -torch.inf, batched_nms(boxes, scores, 0.6, labels))


def test_soft_scores_by_hand():
    # IoU of the first two 0.5, the third apart; linear leaves 0.8 * 0.5, gaussian 0.8 * exp(-0.25 / 0.5)
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 5], [20.0, 0, 30, 10]]])
    scores = torch.tensor([[0.9, 0.8, 0.5]])
    common = {"nms_type": "box", "nms_thr": 0.4}
    linear = suppress(boxes, scores, soft_nms="linear", **common)
    assert linear[0].tolist() == pytest.approx([0.9, 0.4, 0.5])
    gaussian = suppress(boxes, scores, soft_nms="gaussian", soft_sigma=0.5, **common)
    assert gaussian[0].tolist() == pytest.approx([0.9, 0.8 * np.exp(-0.5), 0.5])
    dropped = suppress(boxes, scores, soft_nms="linear", score_thr=0.45, **common)
    assert (dropped > -torch.inf).tolist() == [[True, False, True]]
    assert (suppress(boxes, scores, soft_nms="linear", max_per_img=1, **common) > -torch.inf).sum() == 1


def test_nothing_to_suppress():
    empty = suppress(torch.zeros(2, 0, 4), torch.zeros(2, 0), nms_type="box", nms_thr=0.5)
    assert empty.shape == (2, 0)
    none = torch.full((1, 2), -torch.inf)
    for soft_nms in SOFT_NMS_METHODS:
        assert torch.equal(suppress(torch.ones(1, 2, 4), none, soft_nms=soft_nms, nms_thr=0.5), none)


def test_unknown_names_are_refused():
    detections = DetectionTensors(torch.zeros(1, 1, 4), torch.ones(1, 1), torch.zeros(1, 1).long())
    with pytest.raises(UsageError, match="nms_type must be one of box, oks, box_oks"):
        compare_detections(detections, PostprocessSettings(nms_type="pose"))
    with pytest.raises(UsageError, match="soft_nms must be one of none, linear, gaussian"):
        suppress_duplicates(detections, PostprocessSettings(soft_nms="median"))


@pytest.mark.parametrize(("nms_thr", "expected"), [(0.5, [0.9, 0.8]), (0.49, [0.9, 0.4])])
def test_linear_soft_nms_leaves_an_overlap_at_the_threshold_alone(nms_thr, expected):
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 5]]])
    scores = suppress(boxes, torch.tensor([[0.9, 0.8]]), nms_thr=nms_thr, soft_nms="linear")
    assert scores[0].tolist() == pytest.approx(expected)


def test_soft_nms_drops_a_score_at_the_threshold():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20.0, 0, 30, 10], [40.0, 0, 50, 10]]])
    scores = suppress(boxes, torch.tensor([[0.9, 0.5, 0.25]]), score_thr=0.5, soft_nms="linear")
    assert (scores > -torch.inf).tolist() == [[True, False, False]]
