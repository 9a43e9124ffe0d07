"""YOLO label lines by hand, and label files through COCO format and back."""

import json

import pytest

from yolox_pose.coco.loading import load_records
from yolox_pose.coco.records import ReadOptions
from yolox_pose.coco.yolo_labels import coco_from_list, folder_from_records, image_ids, parse_label_line
from yolox_pose.errors import DataError


def test_a_line_with_visibility_codes():
    row = parse_label_line("3 0.5 0.25 0.2 0.1 0.4 0.3 1 0 0 0", 2, "a.txt: line 1")
    assert row.first == 3 and row.box.tolist() == [0.5, 0.25, 0.2, 0.1]
    assert row.keypoints.tolist() == [[0.4, 0.3, 1], [0, 0, 0]]


def test_without_codes_only_a_keypoint_at_the_origin_is_not_labeled():
    row = parse_label_line("0 0.5 0.5 0.2 0.2 0 0 0 0.3 0.4 0", 3, "a.txt: line 1")
    assert row.keypoints.tolist() == [[0, 0, 0], [0, 0.3, 2], [0.4, 0, 2]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "4 columns, 1 keypoints need 8 or 7"),
        ("0 0.5 0.5 0.2 0.2 0.5 0.5 3", "visibility is not 0, 1 or 2"),
        ("0 0.5 0.5 0.2 nan 0.5 0.5 1", "not finite"),
        ("0 0.5 0.5 0.2 wide 0.5 0.5 1", "wide"),
    ],
)
def test_wrong_lines_are_named(line, message):
    with pytest.raises(DataError, match=f"a.txt: line 1: .*{message}"):
        parse_label_line(line, 1, "a.txt: line 1")


def test_a_list_file_becomes_coco_annotations_and_label_files_again(tmp_path):
    line = "0.5 0.25 0.2 0.1 0.4 0.3 1 0 0 0"
    (tmp_path / "list.txt").write_text(f"7 {line}\n")
    dataset = coco_from_list(tmp_path / "list.txt", ["a", "b"], size=(200, 100))
    (annotation,) = dataset["annotations"]
    assert dataset["images"] == [{"id": 7, "file_name": "000000000007.jpg", "width": 200, "height": 100}]
    assert annotation["bbox"] == [80, 20, 40, 10] and "area" not in annotation
    assert annotation["keypoints"] == [80, 30, 1, 0, 0, 0] and annotation["num_keypoints"] == 1

    (tmp_path / "annotations.json").write_text(json.dumps(dataset))
    records = load_records(tmp_path / "annotations.json", ReadOptions(num_keypoints=2))
    assert folder_from_records(records, tmp_path / "labels") == (1, 1)
    columns = (tmp_path / "labels" / "000000000007.txt").read_text().split()
    assert [float(column) for column in columns] == pytest.approx([0, *map(float, line.split())])


def test_file_names_are_image_ids_if_all_are_different_numbers():
    assert image_ids(["7", "000012"]) == [7, 12]
    assert image_ids(["7", "007"]) == image_ids(["a", "7"]) == [1, 2]
