"""Ground truth beside predictions."""

import json

import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.side_by_side import GroundTruth, side_by_side

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
    return GroundTruth(tmp_path / "truth.json")


def test_annotated_persons_are_drawn(truth, tmp_path):
    changed = (truth.draw(IMAGE, tmp_path / "a.jpg", PAIR) != 127).any(axis=2)
    assert changed[40, 20:60].all(), "the limb"
    assert changed[10, 40] and changed[5, 10], "the boxes"
    assert not changed[70:, 75:].any(), "crowd regions are left out"


def test_images_without_annotations_come_back_as_they_are(truth, tmp_path):
    for name in ("b.jpg", "unknown.jpg"):
        np.testing.assert_array_equal(truth.draw(IMAGE, tmp_path / name, PAIR), IMAGE)


def test_boxes_alone(truth, tmp_path):
    assert (truth.draw(IMAGE, tmp_path / "a.jpg", None) != 127).any()


def test_other_skeleton_is_refused(truth, tmp_path):
    with pytest.raises(DataError, match=r"annotation 1: 6 keypoint values, the model's skeleton needs 9"):
        truth.draw(IMAGE, tmp_path / "a.jpg", Skeleton(names=("a", "b", "c")))


def test_category_ids(truth):
    assert truth.category_ids(["dog", "person"]) == [18, 1]
    assert truth.category_ids(["class 0", "class 1"]) == [1, 18]
    assert truth.category_ids(["class 0", "class 1", "class 2"]) == [1, 2, 3]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": [{"id": 1}], "annotations": []}'])
def test_what_is_no_coco_file(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataError, match=r"bad\.json are not a COCO file"):
        GroundTruth(tmp_path / "bad.json")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        GroundTruth(tmp_path / "nothing.json")


def test_side_by_side_has_captions_above():
    both = side_by_side(IMAGE, IMAGE * 0, ("left", "right"))
    assert both.shape == (100, 160, 3)
    np.testing.assert_array_equal(both[20:, :80], IMAGE)
    assert (both[:20, :80] > 150).any() and not both[20:, 80:].any()
