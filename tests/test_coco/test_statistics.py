"""Counts of an annotation file, by hand."""

import pytest

from yolox_pose.coco.loading import load_records
from yolox_pose.coco.records import ReadOptions
from yolox_pose.coco.statistics import dataset_statistics, statistics_table


@pytest.fixture
def records(coco_folder):
    """Four images of 64 x 48: a small, a medium and a large person on the first, one without keypoints on the second."""
    folder = coco_folder(num_keypoints=2)
    people = [folder.person(i, 1, (0, 0, 30, 40)) for i in (1, 2, 3)] + [folder.person(4, 2, (0, 0, 30, 40))]
    for person, area in zip(people, (32**2 - 1, 32**2, 96**2, 96**2 - 1)):
        person["area"] = area
    people[0]["keypoints"], people[1]["keypoints"] = [1, 1, 2, 5, 5, 1], [1, 1, 2, 0, 0, 0]
    people[2]["keypoints"], people[3]["keypoints"] = [1, 1, 1, 2, 2, 2], [0] * 6
    crowd = {**folder.person(5, 3, (0, 0, 9, 9)), "iscrowd": 1}
    folder.content["annotations"] = [*people, crowd]
    folder.content["images"][3]["width"] = 100
    return load_records(folder.save(), ReadOptions(num_keypoints=2))


def test_counts(records):
    statistics = dataset_statistics(records, ["a", "b"], crowd_regions=1)
    assert statistics["images"] == 4 and statistics["images_without_instances"] == 2
    assert statistics["images_with_crowd_regions"] == statistics["crowd_regions"] == 1
    assert statistics["image_sizes"] == {"width": [64, 100], "height": [48, 48]}
    assert statistics["instances"] == 4 and statistics["instances_per_class"] == {"person": 4}
    assert statistics["instances_per_image"] == {"mean": 1.0, "max": 3}
    assert statistics["instances_without_keypoints"] == 1
    assert statistics["labeled_keypoints_per_instance"] == {"mean": 1.667, "histogram": [1, 1, 2]}
    assert statistics["sizes"] == {"small": 1, "medium": 2, "large": 1}
    assert set(statistics["box_side"].values()) == {34.6}
    assert statistics["keypoints"] == {
        "a": {"visible": 2, "hidden": 1, "unlabeled": 0},
        "b": {"visible": 1, "hidden": 1, "unlabeled": 1},
    }


def test_table(records):
    table = statistics_table(dataset_statistics(records, ["a", "b"], crowd_regions=1)).splitlines()
    assert "without instances 2, with crowd regions 1 (1 regions)" in table[0]
    assert table[1].endswith("64-100 x 48") and table[2].endswith("per image 1.00, max 3")
    assert table[3].endswith("small 1 (25%), medium 2 (50%), large 1 (25%)")
    assert table[5].split() == ["with", "keypoints", "3", "1.7", "labeled", "each"]
    assert table[7].split() == ["a", "2", "1", "0", "#" * 13 + "+" * 7]
    assert table[8].split() == ["b", "1", "1", "1", "#" * 7 + "+" * 7]
    assert len(table) == 9


def test_nothing_to_count(coco_folder):
    folder = coco_folder()
    folder.content["annotations"] = []
    empty = load_records(folder.save(), ReadOptions(require_annotations=False))
    statistics = dataset_statistics(empty, [])
    assert statistics["box_side"] == {} and statistics["instances_per_image"] == {"mean": 0.0, "max": 0}
    assert "0 (0%)" in statistics_table(statistics)
