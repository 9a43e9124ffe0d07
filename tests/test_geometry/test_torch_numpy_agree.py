"""The numpy functions of ``geometry`` return the same as the torch functions of ``ops``."""

import numpy as np
import pytest
import torch

from tests import pose_nms_reference as reference
from yolox_pose import ops
from yolox_pose.geometry import boxes as numpy_boxes
from yolox_pose.geometry import nms as numpy_nms
from yolox_pose.geometry import oks as numpy_oks
from yolox_pose.geometry import pose_nms as numpy_pose_nms
from yolox_pose.structures.settings import NMS_TYPES, SOFT_NMS_METHODS, PostprocessSettings
from yolox_pose.structures.skeleton import COCO_PERSON

SIGMAS = np.array(COCO_PERSON.sigmas, np.float32)

DEGENERATE = np.array(
    [[5, 5, 5, 5], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 0], [9, 9, 3, 3], [0, 0, 10, 5], [-4, -4, 0, 0]],
    np.float32,
)
"""Points, lines, equal boxes, negative sides, common corners."""


def random_boxes(seed, n=60):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 40, (n, 2))], axis=1).astype(np.float32)


BOXES = {
    "random": random_boxes(0),
    "degenerate": DEGENERATE,
    "mixed": np.concatenate([random_boxes(1, 20), DEGENERATE]),
    "none": np.zeros((0, 4), np.float32),
}
every_kind_of_boxes = pytest.mark.parametrize("boxes", BOXES.values(), ids=BOXES)


def as_tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32), (416, 640)])
def test_grid_priors(height, width):
    strides = (8, 16, 32)
    expected = ops.grid_priors([(height // s, width // s) for s in strides], strides)
    np.testing.assert_array_equal(numpy_boxes.grid_priors((height, width), strides), expected)


def test_decoded_boxes():
    priors = numpy_boxes.grid_priors((64, 96), (8, 16, 32))
    encoded = np.random.default_rng(0).normal(size=(len(priors), 4)).astype(np.float32)
    expected = ops.decode_boxes(*as_tensors(encoded, priors))
    np.testing.assert_allclose(numpy_boxes.decode_boxes(encoded, priors), expected, atol=1e-4)
    assert numpy_boxes.decode_boxes(encoded[:0], priors[:0]).shape == (0, 4)


@every_kind_of_boxes
@pytest.mark.parametrize("others", BOXES.values(), ids=BOXES)
def test_iou(boxes, others):
    pairs = numpy_boxes.pairwise_iou(boxes, others)
    np.testing.assert_allclose(pairs, ops.pairwise_iou(*as_tensors(boxes, others)), atol=1e-6)
    aligned = numpy_boxes.aligned_iou(boxes, boxes[::-1])
    np.testing.assert_allclose(aligned, ops.aligned_iou(*as_tensors(boxes, boxes[::-1])), atol=1e-6)
    clear = np.abs(pairs - 0.5) > 1e-6  # rounding decides at the threshold itself
    above = numpy_boxes.iou_above(boxes[:, None], others, 0.5)
    np.testing.assert_array_equal(above[clear], (pairs > 0.5)[clear])


@every_kind_of_boxes
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.65, 1.0])
def test_nms(boxes, threshold):
    rng = np.random.default_rng(2)
    scores, labels = (rng.integers(0, 9, len(boxes)) / 10).astype(np.float32), rng.integers(0, 2, len(boxes))
    for groups in (None, labels):
        kept = numpy_nms.nms(boxes, scores, threshold, groups)
        tensors = as_tensors(boxes, scores) + ([None] if groups is None else as_tensors(groups))
        mask = ops.batched_nms(tensors[0], tensors[1], threshold, tensors[2])
        assert sorted(kept.tolist()) == mask.nonzero()[:, 0].tolist()


@pytest.mark.parametrize(("first_count", "second_count"), [(4, 3), (0, 3), (4, 0)])
def test_oks_of_training(first_count, second_count):
    """Tiny areas and people without a labeled keypoint included."""
    rng = np.random.default_rng(0)
    pred, target = (rng.uniform(0, 60, (n, 17, 2)).astype(np.float32) for n in (first_count, second_count))
    areas = np.array([0.0, 400.0, 4000.0], np.float32)[:second_count]
    labeled = rng.integers(0, 2, (second_count, 17))
    labeled[:1] = 0
    expected = ops.pairwise_oks(
        *(values[None] for values in as_tensors(pred, target, labeled, areas)), torch.from_numpy(SIGMAS)
    )
    pairs = numpy_oks.keypoint_oks(pred[:, None], target, areas, SIGMAS, labeled)
    np.testing.assert_allclose(pairs, expected[0], atol=1e-5)
    if second_count <= first_count:
        aligned = ops.keypoint_oks(*as_tensors(pred[:second_count], target, labeled, areas), torch.from_numpy(SIGMAS))
        np.testing.assert_allclose(np.diagonal(pairs), aligned[: len(np.diagonal(pairs))], atol=1e-5)


def crowd(seed, n=40):
    """Detections of a few people, with ties, absent keypoints and a box without area."""
    arrays, scores, labels = reference.random_detections(np.random.default_rng(seed), n)
    arrays = [values.astype(np.float32) for values in arrays]
    if n:
        arrays[0][n // 2, 2:] = arrays[0][n // 2, :2]
    detections = reference.as_detections(arrays, scores.astype(np.float32), labels)
    tensors = ops.DetectionTensors(*(values[None] for values in as_tensors(*detections)))
    return detections, tensors


@pytest.mark.parametrize("n", [0, 1, 40])
def test_mutual_oks(n):
    detections, tensors = crowd(3, n)
    sigmas = reference.SIGMAS.astype(np.float32)
    oks, comparable = numpy_oks.mutual_oks(detections, detections, sigmas)
    expected = ops.mutual_oks(tensors.keypoints, tensors.keypoint_scores, tensors.boxes, torch.from_numpy(sigmas))
    np.testing.assert_allclose(oks, expected[0][0], atol=1e-5)
    np.testing.assert_array_equal(comparable, expected[1][0])


@pytest.mark.parametrize("soft_nms", SOFT_NMS_METHODS)
@pytest.mark.parametrize("nms_type", NMS_TYPES)
@pytest.mark.parametrize("n", [0, 1, 40, 150])
def test_pose_nms(n, nms_type, soft_nms):
    detections, tensors = crowd(4, n)
    settings = PostprocessSettings(nms_type=nms_type, soft_nms=soft_nms, nms_thr=0.5, oks_thr=0.6, score_thr=0.05)
    sigmas = reference.SIGMAS.astype(np.float32)
    kept, scores = numpy_pose_nms.suppress_duplicates(detections, settings, sigmas)
    expected = ops.suppress_duplicates(tensors, settings, torch.from_numpy(sigmas))[0].numpy()
    found = np.full(n, -np.inf, np.float32)
    found[kept] = scores
    np.testing.assert_allclose(found, expected, atol=1e-5)
