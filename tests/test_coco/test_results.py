"""COCO results: from columns to records and back, by hand."""

import numpy as np
import pytest

from yolox_pose.coco.results import Predictions, box_records, keypoint_records
from yolox_pose.errors import DataError

PREDICTIONS = Predictions(
    image_ids=np.array([1, 2]),
    category_ids=np.array([3, 3]),
    scores=np.array([0.5, 0.25]),
    keypoints=np.array([[[1.0, 2.0, 0.5]], [[3.0, 4.0, 0.75]]]),
    boxes=np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 2.0, 1.0]]),
)


def test_boxes_are_written_as_xywh_and_read_as_xyxy():
    records = box_records(PREDICTIONS)
    assert records[0] == {"image_id": 1, "category_id": 3, "score": 0.5, "bbox": [1, 2, 3, 6]}
    np.testing.assert_array_equal(Predictions.load(records).boxes, PREDICTIONS.boxes)


def test_keypoint_records_hold_no_box():
    records = keypoint_records(PREDICTIONS)
    assert records[1] == {"image_id": 2, "category_id": 3, "score": 0.25, "keypoints": [3, 4, 0.75]}
    loaded = Predictions.load(records)
    np.testing.assert_array_equal(loaded.keypoints, PREDICTIONS.keypoints)
    assert loaded.boxes is None


def test_a_record_of_another_length_is_named():
    records = box_records(PREDICTIONS)
    records[1]["bbox"] = [0, 0, 1]
    with pytest.raises(DataError, match="record 1 has 3 numbers as bbox, expected 4"):
        Predictions.load(records)
