"""Ground truth of evaluations and pictures: order of images, absent fields, lookups by name."""

import json
import math

import numpy as np
import pytest

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.errors import DataError


def annotation(ann_id, image_id=5, category_id=1, **fields):
    return {"id": ann_id, "image_id": image_id, "category_id": category_id, "bbox": [0, 0, 4, 2], **fields}


def content(*annotations, images=None):
    return {
        "images": images or [{"id": 7, "file_name": "x/b.jpg"}, {"id": 5, "file_name": "a.jpg"}, {"id": 6}],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
        "annotations": list(annotations),
    }


def test_images_are_in_ascending_order_of_their_ids():
    truth = GroundTruth.load(content(annotation(1, 7), annotation(2, 5), annotation(3, 6)))
    assert truth.image_ids.tolist() == [5, 6, 7] and truth.image_index.tolist() == [2, 0, 1]
    assert truth.file_names == ["a.jpg", "", "x/b.jpg"]
    assert truth.ids_by_file_name == {"a.jpg": 5, "b.jpg": 7}
    assert truth.rows([5, 7], [1]).tolist() == [0, 1] and truth.rows([5], [18]).tolist() == []


def test_absent_boxes_and_areas_are_nan():
    truth = GroundTruth.load(
        content(annotation(1, area=8), annotation(2, bbox=[], area=None), annotation(3, bbox=None))
    )
    assert truth.boxes[0].tolist() == [0, 0, 4, 2] and np.isnan(truth.boxes[1:]).all()
    assert truth.areas[0] == 8 and np.isnan(truth.areas[1:]).all()


def test_an_absent_box_is_the_extent_of_the_labeled_keypoints():
    keypoints = [1, 2, 2, 5, 9, 1, 100, 100, 0]
    truth = GroundTruth.load(content(*(annotation(i, bbox=box) for i, box in enumerate([None, None, [0, 0, 4, 2]]))))
    table = np.reshape([keypoints, [0] * 9, keypoints], (3, 3, 3)).astype(float)
    boxes = truth.boxes_or_extents(np.arange(3), table)
    assert boxes[0].tolist() == [1, 2, 4, 7] and np.isnan(boxes[1]).all() and boxes[2].tolist() == [0, 0, 4, 2]
    with pytest.raises(DataError, match=r"annotations: annotation 1 \(image 5\): no box"):
        truth.check_boxes(np.arange(3), boxes, "no box")


def test_the_number_of_keypoints_comes_from_annotations_then_from_categories():
    data = content(annotation(1), annotation(2, keypoints=[0] * 6))
    assert GroundTruth.load(data).num_keypoints == 2 and GroundTruth.load(data).keypoint_categories() == [1]
    data["annotations"].pop()
    assert GroundTruth.load(data).num_keypoints is None and GroundTruth.load(data).keypoint_categories() == []
    data["categories"][1]["keypoints"] = ["nose", "tail", "left_ear"]
    assert GroundTruth.load(data).num_keypoints == 3 and GroundTruth.load(data).keypoint_categories() == [18]


def test_keypoint_lists_are_read_for_some_annotations():
    truth = GroundTruth.load(
        content(annotation(1), annotation(2, keypoints=[1, 2, 2]), annotation(3, keypoints=[0] * 6))
    )
    assert truth.keypoint_table(np.array([0, 1]), 1).tolist() == [[[0, 0, 0]], [[1, 2, 2]]]
    with pytest.raises(DataError, match=r"annotation 3 \(image 5\): 2 keypoints, the skeleton has 1$"):
        truth.keypoint_table(np.array([1, 2]), 1)


def test_ids_of_classes_by_name_else_in_order():
    truth = GroundTruth.load(content())
    assert truth.ids_of_classes(["dog", "person"]) == [18, 1]
    assert truth.ids_of_classes(["class 0", "class 1"]) == [1, 18]
    assert truth.ids_of_classes(["class 0", "class 1", "class 2"]) == [1, 2, 3]


def test_annotations_of_unlisted_images_are_left_out_unchecked():
    truth = GroundTruth.load(content(annotation(1), annotation(1, 99, area=math.inf), annotation(2, 98, category_id=7)))
    assert truth.ann_ids.tolist() == [1]


def test_numpy_values_of_content_in_memory():
    point = np.array([1.5, 2.5, 2])
    truth = GroundTruth.load(
        content(annotation(np.int64(3), np.int64(5), bbox=np.array([0.0, 1, 2, 3]), keypoints=point))
    )
    assert truth.ann_ids.tolist() == [3] and truth.boxes.tolist() == [[0, 1, 2, 3]]
    assert truth.keypoint_table(np.array([0]), 1).tolist() == [[[1.5, 2.5, 2]]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": [{"id": 1}], "annotations": []}'])
def test_files_of_another_format(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(DataError, match=r"not valid JSON: .*bad\.json|bad\.json: not a COCO annotation file"):
        GroundTruth.load(tmp_path / "bad.json")


def test_missing_file_and_missing_annotations(tmp_path):
    with pytest.raises(DataError, match="annotation file not found"):
        GroundTruth.load(tmp_path / "nothing.json")
    data = content()
    del data["annotations"]
    (tmp_path / "images.json").write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"images\.json: not a COCO annotation file: 'annotations' is missing"):
        GroundTruth.load(tmp_path / "images.json")
    assert len(GroundTruth.load(tmp_path / "images.json", require_annotations=False).ann_ids) == 0
