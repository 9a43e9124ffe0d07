import json

import pytest

from yolox_pose.structures.classes import COCO_CLASSES, default_category_ids, get_classes


def test_names_and_lists():
    assert get_classes("coco") == COCO_CLASSES and len(set(COCO_CLASSES)) == 80
    assert get_classes(["cat", "dog"]) == ("cat", "dog")


def test_slips_are_named():
    with pytest.raises(ValueError, match="unknown list of classes 'person'; known: coco"):
        get_classes("person")
    with pytest.raises(ValueError, match="'cat' is named twice"):
        get_classes(["cat", "dog", "cat"])


@pytest.mark.parametrize("name", ["coco_mini", "coco_ci32"])
def test_order_is_that_of_the_published_file(shared_data, name):
    file = shared_data / name / "annotations" / "instances_val2017.json"
    categories = sorted(json.loads(file.read_text())["categories"], key=lambda category: category["id"])
    assert tuple(category["name"] for category in categories) == COCO_CLASSES
    assert tuple(category["id"] for category in categories) == default_category_ids(COCO_CLASSES)


def test_other_categories_count_from_one():
    assert default_category_ids(["cat", "dog"]) == (1, 2)
    assert default_category_ids(COCO_CLASSES)[::79] == (1, 90)
