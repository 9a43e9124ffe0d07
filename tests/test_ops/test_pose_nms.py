"""Suppression by poses against the definition, pair by pair, and against the numpy version."""

import numpy as np
import pytest
import torch

from tests import pose_nms_reference as reference
from yolox_pose.geometry.pose_nms import Poses, Suppression
from yolox_pose.geometry.pose_nms import suppress_poses as suppress_in_numpy
from yolox_pose.ops import batched_nms, compare_detections, suppress_poses
from yolox_pose.ops.pose_nms import CRITERIA, SOFT_METHODS, mutual_oks

SIGMAS = torch.tensor(reference.SIGMAS, dtype=torch.float32)


def tensors(*arrays):
    return [torch.as_tensor(np.asarray(array), dtype=torch.float32) for array in arrays]


@pytest.mark.parametrize("soft", SOFT_METHODS)
@pytest.mark.parametrize("criterion", CRITERIA)
def test_equal_to_the_definition_and_to_numpy_for_crowded_batches(criterion, soft):
    rng = np.random.default_rng(3)
    batch = [reference.random_detections(rng, 40) for _ in range(3)]
    boxes, keypoints, visibility = (torch.stack(tensors(*(d[0][i] for d in batch))) for i in range(3))
    scores = torch.stack(tensors(*(d[1] for d in batch)))
    labels = torch.tensor(np.stack([d[2] for d in batch]))
    found = suppress_poses(
        boxes, scores, labels, soft=soft, criterion=criterion, iou_threshold=0.5, oks_threshold=0.6,
        keypoints=keypoints, visibility=visibility, sigmas=SIGMAS,
    )  # fmt: skip
    numpy_settings = Suppression(criterion, 0.5, 0.6, soft)
    for image, (detections, given, classes) in enumerate(batch):
        wanted, values = reference.suppress(
            detections, given, classes, reference.SIGMAS, criterion=criterion, iou_thr=0.5, oks_thr=0.6, soft=soft
        )
        assert 3 < len(wanted) <= 40 and (soft != "none" or len(wanted) < 40)
        final = torch.full((40,), -torch.inf)
        final[wanted] = torch.tensor(values, dtype=torch.float32)
        assert torch.allclose(found[image], final, atol=1e-5)
        kept, kept_scores = suppress_in_numpy(Poses(*detections), given, reference.SIGMAS, numpy_settings, classes)
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
        return (suppress_poses(boxes, scores, iou_threshold=0.65, **options) > -torch.inf)[0].tolist()

    assert kept(criterion="box") == [True, False, False]
    assert kept(criterion="oks", oks_threshold=0.7, **pose) == [True, True, False]
    assert kept(criterion="box_oks", oks_threshold=0.7, **pose) == [True, True, False]


def test_box_oks_needs_both():
    # poses agree, boxes do not: a person whose legs one detection missed
    boxes = torch.tensor([[[0.0, 0, 40, 80], [0.0, 0, 40, 40]]])
    pose = {"keypoints": torch.zeros(1, 2, 5, 2) + 20, "visibility": torch.ones(1, 2, 5), "sigmas": SIGMAS}
    scores = torch.tensor([[0.9, 0.8]])
    for criterion, survivors in (("oks", 1), ("box_oks", 2)):
        final = suppress_poses(boxes, scores, criterion=criterion, iou_threshold=0.65, oks_threshold=0.7, **pose)
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
        final = suppress_poses(boxes, scores, criterion="oks", iou_threshold=0.5, oks_threshold=0.5, **options)
        assert (final > -torch.inf).tolist() == [[True, False, True]]


def test_criterion_box_is_batched_nms():
    rng = np.random.default_rng(0)
    (boxes, *_), scores, labels = reference.random_detections(rng, 60)
    boxes, scores = tensors(boxes[None], scores[None])
    labels = torch.tensor(labels[None])
    final = suppress_poses(boxes, scores, labels, criterion="box", iou_threshold=0.6)
    assert torch.equal(final > -torch.inf, batched_nms(boxes, scores, 0.6, labels))


def test_soft_scores_by_hand():
    # IoU of the first two 0.5, the third apart; linear leaves 0.8 * 0.5, gaussian 0.8 * exp(-0.25 / 0.5)
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 10, 5], [20.0, 0, 30, 10]]])
    scores = torch.tensor([[0.9, 0.8, 0.5]])
    common = {"criterion": "box", "iou_threshold": 0.4}
    linear = suppress_poses(boxes, scores, soft="linear", **common)
    assert linear[0].tolist() == pytest.approx([0.9, 0.4, 0.5])
    gaussian = suppress_poses(boxes, scores, soft="gaussian", soft_sigma=0.5, **common)
    assert gaussian[0].tolist() == pytest.approx([0.9, 0.8 * np.exp(-0.5), 0.5])
    dropped = suppress_poses(boxes, scores, soft="linear", score_thr=0.45, **common)
    assert (dropped > -torch.inf).tolist() == [[True, False, True]]
    assert (suppress_poses(boxes, scores, soft="linear", max_count=1, **common) > -torch.inf).sum() == 1


def test_nothing_to_suppress():
    empty = suppress_poses(torch.zeros(2, 0, 4), torch.zeros(2, 0), criterion="box", iou_threshold=0.5)
    assert empty.shape == (2, 0)
    none = torch.full((1, 2), -torch.inf)
    for soft in SOFT_METHODS:
        assert torch.equal(suppress_poses(torch.ones(1, 2, 4), none, soft=soft, iou_threshold=0.5), none)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="criterion must be one of box, oks, box_oks"):
        compare_detections(torch.zeros(1, 4), criterion="pose", iou_threshold=0.5)
    with pytest.raises(ValueError, match="soft-NMS must be one of linear, gaussian"):
        suppress_poses(torch.zeros(1, 1, 4), torch.ones(1, 1), soft="median", iou_threshold=0.5)
