"""Merging of views by hand, and that agreement changes nothing."""

import pytest
import torch

from yolox_pose.ops import DetectionTensors, compare_detections, fuse_views
from yolox_pose.ops.fusion import flip_boxes, flip_keypoints
from yolox_pose.structures.settings import PostprocessSettings


def merge(boxes, scores, views, num_views, labels=None, threshold=0.5, **pose):
    boxes, scores, views = torch.tensor(boxes), torch.tensor(scores), torch.tensor(views)
    labels = torch.zeros_like(views) if labels is None else torch.tensor(labels)
    detections = DetectionTensors(boxes, scores, labels, **pose)
    _, duplicate = compare_detections(detections, PostprocessSettings(nms_thr=threshold))
    return fuse_views(detections, views, duplicate, num_views)


def test_flip_is_its_own_inverse_and_swaps_sides():
    boxes = torch.tensor([[1.0, 2, 5, 9]])
    keypoints = torch.tensor([[[1.0, 2], [5.0, 9]]])
    assert flip_boxes(boxes, 11).tolist() == [[6, 2, 10, 9]]
    assert flip_keypoints(keypoints, 11, torch.tensor([1, 0])).tolist() == [[[6, 9], [10, 2]]]
    assert torch.equal(flip_boxes(flip_boxes(boxes, 7), 7), boxes)
    swap = torch.tensor([1, 0])
    assert torch.equal(flip_keypoints(flip_keypoints(keypoints, 7, swap), 7, swap), keypoints)


def test_views_that_agree_give_exactly_their_answer():
    torch.manual_seed(0)
    corner = torch.rand(6, 2) * 900
    boxes = torch.cat([corner, corner + 7.7], 1)
    scores = torch.rand(6).sort(descending=True).values
    keypoints, visibility = torch.rand(6, 5, 2) * 1000, torch.rand(6, 5)
    together = [torch.cat([part] * 4) for part in (boxes, scores, torch.zeros(6).long())]
    views = torch.arange(4).repeat_interleave(6)
    detections = DetectionTensors(*together, torch.cat([keypoints] * 4), torch.cat([visibility] * 4))
    _, duplicate = compare_detections(detections, PostprocessSettings(nms_thr=0.9))
    found = fuse_views(detections, views, duplicate, 4)
    assert torch.equal(found.boxes, boxes) and torch.equal(found.keypoints, keypoints)
    assert torch.allclose(found.scores, scores, atol=1e-7) and torch.equal(found.keypoint_scores, visibility)


def test_averages_by_hand():
    # one object in two views, scores 0.6 and 0.2: weights 3/4 and 1/4; keypoint 0 is sure in the second view alone
    keypoints = torch.tensor([[[0.0, 0.0], [8.0, 0]], [[4.0, 0.0], [4.0, 0]]])
    visibility = torch.tensor([[0.0, 0.5], [1.0, 0.5]])
    found = merge(
        [[0.0, 0, 10, 10], [0.0, 0, 10, 8]], [0.6, 0.2], [0, 1], 2, keypoints=keypoints, keypoint_scores=visibility
    )
    assert found.boxes.tolist() == [[0, 0, 10, pytest.approx(9.5)]]
    assert found.scores.tolist() == pytest.approx([0.4])
    assert found.keypoints[0].tolist() == [[pytest.approx(4), 0], [pytest.approx(7), 0]]
    assert found.keypoint_scores[0].tolist() == pytest.approx([0.25, 0.5])


def test_keypoints_that_no_view_is_sure_of_are_averaged_by_scores():
    keypoints = torch.tensor([[[0.0, 0.0]], [[4.0, 0.0]]])
    found = merge([[0.0, 0, 9, 9]] * 2, [0.5, 0.5], [0, 1], 2, keypoints=keypoints, keypoint_scores=torch.zeros(2, 1))
    assert found.keypoints.tolist() == [[[2, 0]]] and found.keypoint_scores.tolist() == [[0]]


def test_what_one_view_alone_sees_counts_less():
    boxes = [[0.0, 0, 10, 10], [0.0, 0, 10, 10], [50.0, 0, 60, 10]]
    found = merge(boxes, [0.5, 0.5, 0.9], [0, 1, 1], 2)
    assert found.scores.tolist() == pytest.approx([0.5, 0.45])
    assert found.boxes.tolist() == [[0, 0, 10, 10], [50, 0, 60, 10]]


def test_a_view_gives_its_best_detection_of_an_object_only():
    boxes = [[0.0, 0, 10, 10], [0.0, 0, 10, 9], [0.0, 0, 10, 8]]
    found = merge(boxes, [0.9, 0.6, 0.3], [0, 1, 1], 2)
    assert found.scores.tolist() == pytest.approx([0.75])
    assert found.boxes[0, 3].item() == pytest.approx(10 * 0.6 + 9 * 0.4)


def test_classes_stay_apart_and_nothing_is_nothing():
    found = merge([[0.0, 0, 10, 10]] * 2, [0.8, 0.6], [0, 1], 2, labels=[0, 1])
    assert found.labels.tolist() == [0, 1] and found.scores.tolist() == pytest.approx([0.4, 0.3])
    nothing = DetectionTensors(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
    empty = fuse_views(nothing, torch.zeros(0).long(), torch.zeros(0, 0).bool(), 2)
    assert empty.boxes.shape == (0, 4)


def test_boxes_without_area_are_kept():
    found = merge([[5.0, 5, 5, 5]] * 2, [0.8, 0.6], [0, 1], 2)
    assert found.scores.tolist() == pytest.approx([0.4, 0.3])
