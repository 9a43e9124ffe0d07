"""Inspect an annotation file for the data commands: its skeleton, its records and all of its problems."""

import json

import cv2
import numpy as np
import pytest

from yolox_pose.coco.image_files import missing_files, stored_size, undecodable_images
from yolox_pose.coco.inspection import check_report, inspect_file, stated_skeleton, unreadable
from yolox_pose.coco.loading import load_records
from yolox_pose.coco.problems import Problem, first_problem
from yolox_pose.coco.reader import read_coco_file
from yolox_pose.coco.records import ReadOptions
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.skeleton import COCO_PERSON


def content(categories, *keypoint_lists):
    annotations = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}
        | ({} if values is None else {"keypoints": values})
        for i, values in enumerate(keypoint_lists)
    ]
    images = [{"id": 1, "file_name": "1.png", "width": 9, "height": 9}]
    return {"images": images, "categories": categories, "annotations": annotations}


def skeleton_of(categories, *lists, **options):
    return stated_skeleton(read_coco_file(content(categories, *lists)), **options)


PERSON = {"id": 1, "name": "person", "keypoints": ["a", "b", "c"], "skeleton": [[1, 2], [2, 3]]}
DOG = {"id": 2, "name": "dog", "keypoints": ["nose", "tail"]}


def test_names_and_links_come_from_the_first_category_that_has_them():
    assert skeleton_of([{"id": 3, "name": "cup"}, PERSON, DOG]).names == ("a", "b", "c")
    assert skeleton_of([PERSON]).links == ((0, 1), (1, 2))
    assert skeleton_of([PERSON, DOG], classes=["dog"]).names == ("nose", "tail")
    assert skeleton_of([PERSON, DOG], classes=["cup"]) is None


def test_the_longest_list_counts_where_no_category_names_keypoints():
    cup = {"id": 1, "name": "cup"}
    assert skeleton_of([cup], [0] * 6, None, [0] * 12, [0] * 9).names == tuple(f"keypoint {k}" for k in range(4))
    assert skeleton_of([cup], [0] * 51) is COCO_PERSON
    assert skeleton_of([cup], None) is None and skeleton_of([cup]) is None


def test_a_number_of_keypoints_overrides_the_names():
    assert skeleton_of([PERSON], num_keypoints=3).names == ("a", "b", "c")
    assert skeleton_of([PERSON], num_keypoints=2).names == ("keypoint 0", "keypoint 1")
    assert skeleton_of([PERSON], num_keypoints=0) is None
    assert skeleton_of([PERSON], num_keypoints=17).names[16] == "keypoint 16"
    assert skeleton_of([{**PERSON, "keypoints": list(COCO_PERSON.names)}]) is COCO_PERSON


@pytest.mark.parametrize("links", [[[1, 9]], [[0, 1]], [1], "x", None, [["a", "b"]]])
def test_links_to_nowhere_leave_points_alone(links):
    skeleton = skeleton_of([{**PERSON, "skeleton": links}])
    assert skeleton.names == ("a", "b", "c") and skeleton.links == ()


def test_records_problems_and_crowds(coco_folder):
    folder = coco_folder()
    folder.content["annotations"][0]["iscrowd"] = 1
    folder.content["annotations"][1]["bbox"] = None
    inspection = inspect_file(folder.save(), image_root=folder.root / "images")
    assert inspection.crowd_regions == 1
    assert inspection.keypoint_names == tuple(f"point{k}" for k in range(17))
    assert inspection.records.ann_ids.tolist() == [30, 40] and [p.ann_id for p in inspection.problems] == [20]
    assert inspection.require_records() is inspection.records
    with pytest.raises(DataError, match=r"annotation 20 \(image 2\): bbox is missing$"):
        inspection.require_records(without_problems=True)
    assert (
        check_report(inspection, "x")
        .splitlines()[-1]
        .endswith("4 images, 2 usable instances, 17 keypoints: 1 problem (1 box)")
    )


def test_a_file_of_another_format_is_one_problem(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(DataError) as error:
        inspect_file(tmp_path / "a.json")
    inspection = unreadable(tmp_path / "a.json", error.value)
    assert [str(problem) for problem in inspection.problems] == [str(error.value)]
    with pytest.raises(DataError, match="not a COCO annotation file"):
        inspection.require_records()
    assert "0 images, 0 usable instances, 0 keypoints: 1 problem (1 file)" in check_report(inspection, "")


def test_a_keypoint_file_must_have_keypoints(tmp_path):
    for name, data in {"a.json": content([PERSON]), "b.json": content([{"id": 1, "name": "person"}], None)}.items():
        (tmp_path / name).write_text(json.dumps(data))
    with pytest.raises(UsageError, match=r"b\.json has no keypoints"):
        inspect_file(tmp_path / "a.json", keypoint_file=tmp_path / "b.json")


def test_images_are_decoded_on_demand_and_known_faults_are_not_repeated(coco_folder):
    folder = coco_folder()
    path, images = folder.save(), folder.root / "images"
    (images / "1.png").unlink()
    (images / "2.png").write_bytes(b"no image")
    cv2.imwrite(str(images / "3.png"), np.zeros((5, 6, 3), np.uint8))
    assert [(p.kind, p.image_id) for p in inspect_file(path, image_root=images).problems] == [("missing_file", 1)]
    decoded = inspect_file(path, image_root=images, decode_workers=2)
    assert [(p.kind, p.image_id) for p in decoded.problems] == [("missing_file", 1), ("image", 2), ("image", 3)]
    assert "6x5" in decoded.problems[2].message and "64x48" in decoded.problems[2].message


def test_image_files(coco_folder):
    folder = coco_folder()
    root, ids = folder.root / "images", np.array([1, 7, 8, 9])
    problems = missing_files("f", ids, ["1.png", "", "none/2.png", "x.png"], root)
    assert [(p.image_id, p.file) for p in problems] == [(9, "f"), (8, "f")]  # by folders
    assert problems[1].message.endswith("2.png")
    assert stored_size(root, "1.png") == (64, 48) and stored_size(root, "x.png") is None
    (root / "4.png").write_bytes(b"?")
    assert stored_size(root, "4.png") is None
    records = load_records(folder.save(), ReadOptions())
    assert [p.image_id for p in undecodable_images("f", records, root, [])] == [4]
    assert undecodable_images("f", records, root, [Problem("f", "image", "", 4)]) == []


def test_the_first_problem_counts_the_others():
    problems = [Problem("f", "box", "bad", 3, i) for i in range(3)]
    assert str(first_problem(problems[:1])) == "f: annotation 0 (image 3): bad"
    assert str(first_problem(problems[:2])).endswith("bad (and 1 more problem; yolox-pose dataset check lists all)")
    assert str(first_problem(problems)).endswith("bad (and 2 more problems; yolox-pose dataset check lists all)")
    assert str(Problem("f", "id", "bad", None, 4)) == "f: annotation 4: bad"
    assert str(Problem("f", "id", "bad", 4)) == "f: image 4: bad" and str(Problem("f", "file", "bad")) == "f: bad"
    assert [p.concerns_file for p in (Problem("f", "file", ""), problems[0], Problem("f", "id", "", 4))] == [1, 0, 0]
