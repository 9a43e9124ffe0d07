"""Ground truth beside predictions."""

import json

import numpy as np
import pytest

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.errors import DataError
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.side_by_side import draw_ground_truth, side_by_side

PAIR = Skeleton(names=("left_hand", "right_hand"), links=((0, 1),))
IMAGE = np.full((80, 80, 3), 127, np.uint8)


@pytest.fixture
def truth(tmp_path):
    annotations = [
        {"id": 1, "image_id": 5, "category_id": 1, "bbox": [10, 10, 60, 60], "keypoints": [20, 40, 2, 60, 40, 2]},
        {"id": 2, "image_id": 5, "category_id": 1, "bbox": [5, 5, 20, 20]},
        {"id": 3, "image_id": 5, "category_id": 1, "bbox": [0, 0, 80, 80], "iscrowd": 1},
    ]
    content = {
        "images": [{"id": 5, "file_name": "x/a.jpg"}, {"id": 6, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": annotations,
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return GroundTruth.load(tmp_path / "truth.json")


def test_annotated_persons_are_drawn(truth):
    changed = (draw_ground_truth(IMAGE, truth, "a.jpg", PAIR) != 127).any(axis=2)
    assert changed[40, 20:60].all(), "the limb"
    assert changed[10, 40] and changed[5, 10], "the boxes"
    assert not changed[70:, 75:].any(), "crowd regions are left out"


def test_images_without_annotations_come_back_as_they_are(truth):
    for name in ("b.jpg", "unknown.jpg"):
        np.testing.assert_array_equal(draw_ground_truth(IMAGE, truth, name, PAIR), IMAGE)


def test_boxes_alone(truth):
    assert (draw_ground_truth(IMAGE, truth, "a.jpg", None) != 127).any()


def test_other_skeleton_is_refused(truth):
    with pytest.raises(DataError, match=r"annotation 1 \(image 5\): 2 keypoints, the skeleton has 3"):
        draw_ground_truth(IMAGE, truth, "a.jpg", Skeleton(names=("a", "b", "c")))


def test_side_by_side_has_captions_above():
    both = side_by_side(IMAGE, IMAGE * 0, ("left", "right"))
    assert both.shape == (100, 160, 3)
    np.testing.assert_array_equal(both[20:, :80], IMAGE)
    assert (both[:20, :80] > 150).any() and not both[20:, 80:].any()
