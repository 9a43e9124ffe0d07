import numpy as np

from yolox_pose.geometry.letterbox import Letterbox
from yolox_pose.structures.detections import Detections


def test_without_keypoints_there_are_zero_of_them():
    detections = Detections.create(np.zeros((3, 4)), np.ones(3), np.arange(3, dtype=np.int32))
    assert detections.keypoints.shape == (3, 0, 2) and detections.keypoint_scores.shape == (3, 0)
    assert detections.labels.dtype == np.int64
    assert detections.select(np.array([2, 0])).labels.tolist() == [2, 0]
    assert len(detections.select(slice(0, 1)).boxes) == 1


def test_back_to_the_source_clips_boxes_and_clears_absent_keypoints():
    letterbox = Letterbox((2.0, 2.0), (4, 0), (28, 20), (10, 10))
    detections = Detections(
        boxes=np.array([[0.0, 2, 14, 12], [4, 0, 24, 40]]),
        scores=np.array([0.9, 0.8]),
        labels=np.zeros(2, np.int64),
        keypoints=np.array([[[8.0, 4]], [[6, 6]]]),
        keypoint_scores=np.array([[0.7], [0.0]]),
    )
    source = letterbox.inverse_detections(detections)
    assert source.boxes.tolist() == [[0, 1, 5, 6], [0, 0, 10, 10]]
    assert source.keypoints.tolist() == [[[2, 2]], [[0, 0]]]
