"""IoU and OKS of all pairs against loops and against the torch functions."""

import numpy as np
import torch

from yolox_pose import ops
from yolox_pose.geometry.boxes import pairwise_iou, pairwise_touching
from yolox_pose.geometry.oks import keypoint_oks
from yolox_pose.structures.skeleton import COCO_PERSON

SIGMAS = np.array(COCO_PERSON.sigmas)


def test_iou_by_hand():
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], dtype=float)
    expected = [[1, 1 / 3, 0, 0], [1 / 3, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(pairwise_iou(boxes, boxes), expected)
    assert pairwise_iou(boxes[:0], boxes).shape == (0, 4)


def test_oks_is_that_of_training():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 60, (4, 17, 2)), rng.uniform(0, 60, (3, 17, 2))
    areas, labelled = rng.uniform(400, 4000, 3), rng.integers(0, 2, (3, 17))
    tensors = (torch.from_numpy(values)[None] for values in (first, second, labelled, areas))
    expected = ops.pairwise_oks(*tensors, torch.from_numpy(SIGMAS))[0].numpy()
    np.testing.assert_allclose(keypoint_oks(first[:, None], second, areas, SIGMAS, labelled), expected, atol=1e-5)


def test_oks_without_weights_counts_all_keypoints():
    pose = np.zeros((1, 17, 2))
    moved = pose + [2 * SIGMAS[0] * np.sqrt(2 * 900), 0]
    expected = np.exp(-((SIGMAS[0] / SIGMAS) ** 2)).mean()
    np.testing.assert_allclose(keypoint_oks(pose[:, None], moved, np.array([[900.0]]), SIGMAS), [[expected]])
    assert keypoint_oks(pose[:, None], moved, np.array([[900.0]]), SIGMAS, np.zeros(17)).tolist() == [[0]]


def test_boxes_touch_from_a_common_point_on():
    boxes = np.array([[0.0, 0, 10, 10], [10.0, 10, 20, 20], [10.0, 11, 20, 20], [5.0, 5, 5, 8]])
    expected = [[1, 1, 0, 1], [1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]
    assert pairwise_touching(boxes, boxes).astype(int).tolist() == expected
