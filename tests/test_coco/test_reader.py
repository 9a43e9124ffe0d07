"""The one reader of COCO JSON: one message for each fault, whoever reads the file."""

import json

import numpy as np
import pytest

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.inspection import inspect_file
from yolox_pose.coco.loading import load_records
from yolox_pose.coco.reader import UNLISTED, read_coco_file
from yolox_pose.coco.records import ReadOptions
from yolox_pose.errors import DataError


def small(**changes):
    """Two images of 10 x 10 with a person each."""
    people = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [1, 2, 2, 3, 4, 1], "area": 9}
        for i in (1, 2)
    ]
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 10, "height": 10} for i in (1, 2)]
    categories = [{"id": 1, "name": "person", "keypoints": ["a", "b"]}]
    return {"images": images, "categories": categories, "annotations": people, **changes}


def reference_messages(path):
    """Error messages of training, evaluation and the data commands."""

    def message(read):
        with pytest.raises(DataError) as error:
            read()
        return str(error.value)

    def evaluate():
        truth = GroundTruth.load(path)
        truth.keypoint_table(np.arange(len(truth.ann_ids)), 2)

    return {
        message(lambda: load_records(path, ReadOptions(num_keypoints=2))),
        message(evaluate),
        message(lambda: inspect_file(path).require_records(without_problems=True)),
    }


FAULTS = {
    "annotation id": (lambda a: a.update(id="x"), "image 1: annotation at position 0: id is 'x', not an integer"),
    "category": (lambda a: a.update(category_id=3), "annotation 1 (image 1): unknown category id 3"),
    "crowd flag": (lambda a: a.update(iscrowd=2), "annotation 1 (image 1): iscrowd is 2, not 0 or 1"),
    "box": (lambda a: a.update(bbox=[1, 2, 3]), "annotation 1 (image 1): bbox has 3 numbers, expected 4"),
    "area": (lambda a: a.update(area="9"), "annotation 1 (image 1): area holds '9', not a number"),
    "keypoints": (lambda a: a.update(keypoints=[1, 2, 2]), "annotation 1 (image 1): 1 keypoint, the skeleton has 2"),
    "keypoint numbers": (
        lambda a: a["keypoints"].pop(),
        "annotation 1 (image 1): 5 keypoint numbers, the skeleton's 2 keypoints need 6",
    ),
    "keypoint": (lambda a: a["keypoints"].__setitem__(0, None), "annotation 1 (image 1): keypoint list holds None, not a number"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_all_readers_name_a_fault_alike(tmp_path, fault):
    plant, message = FAULTS[fault]
    content, path = small(), tmp_path / "bad.json"
    plant(content["annotations"][0])
    path.write_text(json.dumps(content))
    assert reference_messages(path) == {f"{path}: {message}"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": 3}, "not a COCO annotation file: 'images' is not a list of objects"),
        ({"categories": [1]}, "not a COCO annotation file: 'categories' is not a list of objects"),
        ({"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "a"}]}, "image 1: image id is used 2 times"),
        ({"images": [{"id": None, "file_name": "a"}]}, "image at position 0 ('a'): id is missing"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "category id 1 is used twice"),
    ],
)
def test_faults_of_the_lists(tmp_path, changes, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(small(**changes)))
    for read in (
        GroundTruth.load,
        lambda path: load_records(path, ReadOptions(num_keypoints=2)),
        lambda path: inspect_file(path).require_records(without_problems=True),
    ):
        with pytest.raises(DataError) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: {message}")


def test_annotations_are_required_unless_the_caller_says_so():
    content = small()
    del content["annotations"]
    with pytest.raises(DataError, match="annotations: not a COCO annotation file: 'annotations' is missing"):
        read_coco_file(content)
    assert len(read_coco_file(content, require_annotations=False).annotations) == 0


def test_of_images_with_the_same_id_the_first_counts():
    images = [{"id": 2, "width": 20}, {"id": 1, "width": 10}, {"id": 2, "width": 99}, {"id": 1, "width": 98}]
    file = read_coco_file(small(images=images))
    assert file.images.ids.tolist() == [2, 1] and [entry["width"] for entry in file.images.entries] == [20, 10]
    assert file.annotations.image_index.tolist() == [1, 0]
    assert [(problem.image_id, problem.message) for problem in file.problems] == [
        (1, "image id is used 2 times"), (2, "image id is used 2 times"),
    ]  # fmt: skip


def test_of_annotations_with_the_same_id_the_first_is_good():
    content = small()
    content["annotations"].append({**content["annotations"][0], "image_id": 2})
    file = read_coco_file(content)
    assert file.annotations.good.tolist() == [True, True, False]
    assert [str(problem) for problem in file.problems] == [
        "annotations: annotation 1 (image 2): annotation id is used twice"
    ]


def test_an_unreadable_id_does_not_hide_the_annotation_of_id_0():
    content = small()
    content["annotations"][0]["id"], content["annotations"][1]["id"] = None, 0
    assert read_coco_file(content).annotations.good.tolist() == [False, True]


def test_references_are_positions():
    content = small(categories=[{"id": 9, "name": "dog"}, {"id": 1, "name": "person"}])
    content["annotations"][0]["category_id"] = 8
    file = read_coco_file(content)
    assert file.annotations.category_index.tolist() == [UNLISTED, 1]
    assert file.annotations.image_index.tolist() == [0, 1]


def test_nothing_is_said_about_references_to_a_list_that_cannot_be_used():
    file = read_coco_file(small(categories=[{"id": "1", "name": "person"}], images=[{"id": "1", "file_name": "a"}]))
    assert [problem.kind for problem in file.problems] == ["id", "category"]


def test_only_the_first_problem_of_an_annotation_is_noted():
    content = small()
    content["annotations"][0] |= {"iscrowd": 5, "bbox": None}
    file = read_coco_file(content)
    boxes = file.annotations.boxes(np.arange(2), required=True)
    assert np.isnan(boxes[0]).all() and boxes[1].tolist() == [1, 2, 3, 4]
    assert [problem.kind for problem in file.problems] == ["crowd"]


def test_columns_of_some_rows_name_the_right_annotations():
    content = small()
    content["annotations"][1] |= {"bbox": "none", "area": -1, "keypoints": None}
    file = read_coco_file(content)
    rows = np.array([1, 0])
    assert file.annotations.boxes(rows, required=False).tolist() == [[0] * 4, [1, 2, 3, 4]]
    assert file.annotations.areas(rows).tolist() == [-1, 9]
    assert file.annotations.has_keypoint_list(rows).tolist() == [False, True]
    assert file.annotations.keypoints(rows, 2)[0].tolist() == [[0] * 3] * 2
    assert [(problem.ann_id, problem.kind) for problem in file.problems] == [(2, "box")]
