"""Pictures of annotations: which images, and what is drawn into them."""

import cv2
import numpy as np
import pytest

from yolox_pose.coco.loading import load_records
from yolox_pose.coco.records import ReadOptions
from yolox_pose.errors import DataError, UsageError
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.visualization.browse import (
    LabeledImage,
    annotated_image,
    choose_images,
    draw_labeled_image,
    write_image,
)

IDS = np.array([30, 10, 20, 40])


def test_chosen_images_keep_the_order_they_are_asked_for_in():
    assert choose_images(IDS, [20, 30], number=1, seed=0) == [2, 0]
    with pytest.raises(UsageError, match="image 5 is not in the annotation file"):
        choose_images(IDS, [20, 5], number=1, seed=0)


def test_random_images_are_in_file_order_and_depend_on_the_seed():
    choices = [choose_images(IDS, None, number=2, seed=seed) for seed in range(8)]
    assert all(len(choice) == 2 and choice == sorted(choice) for choice in choices)
    assert choices[0] == choose_images(IDS, [], number=2, seed=0) and len(set(map(tuple, choices))) > 1
    assert choose_images(IDS, None, number=9, seed=0) == [0, 1, 2, 3]


def test_an_image_with_its_annotations(coco_folder):
    folder = coco_folder()
    folder.content["annotations"].append(folder.person(99, 1, bbox=(0, 0, 10, 10), iscrowd=1))
    records = load_records(folder.save(), ReadOptions())
    image = annotated_image(records, folder.root / "images", 0)
    assert image.image_id == 1 and image.file_name == "000000000001.jpg" and image.img.shape == (48, 64, 3)
    assert image.boxes.tolist() == [[8, 6, 32, 36]] and image.keypoints.shape == (1, 17, 2)
    assert image.crowd.dtype == bool and image.crowd[:10, :10].all() and image.crowd.sum() == 100
    assert annotated_image(records, folder.root / "images", 1).crowd is None


def labeled(**changes):
    fields = {
        "image_id": 1,
        "img": np.full((60, 80, 3), 100, np.uint8),
        "boxes": np.array([[10.0, 10, 70, 50]]),
        "labels": np.array([0]),
        "keypoints": np.zeros((1, 0, 2)),
        "visible": np.zeros((1, 0)),
        "crowd": None,
    }
    return LabeledImage(**{**fields, **changes})


def test_crowd_regions_are_tinted():
    crowd = np.zeros((60, 80), bool)
    crowd[20:30, 20:30] = True
    out = draw_labeled_image(labeled(crowd=crowd, boxes=np.zeros((0, 4)), keypoints=np.zeros((0, 0, 2))), None, ["a"])
    assert out[25, 25].tolist() == [84, 84, 152] and (out[~crowd] == 100).all()  # 0.6 of the image, 0.4 of the tint


def test_tags_name_the_class_where_there_are_several():
    def drawn(classes):
        return (draw_labeled_image(labeled(), None, classes, zoom=4) != 100).any(axis=2).sum()

    assert drawn(["person", "dog"]) > drawn(["person"]) > 0


def test_hidden_keypoints_are_drawn_hollow():
    keypoints = np.full((1, 17, 2), 40.0)
    pictures = [
        draw_labeled_image(labeled(keypoints=keypoints, visible=np.full((1, 17), code)), COCO_PERSON, ["a"], zoom=4)
        for code in (0, 1, 2)
    ]
    middles = [picture[160, 160].max() for picture in pictures]
    assert middles[0] == 100 and middles[1] < 60 and middles[2] == 255


def test_images_are_written_as_their_name_says(tmp_path):
    img = np.full((6, 8, 3), 7, np.uint8)
    write_image(tmp_path / "a.png", img)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png")), img)
    with pytest.raises((DataError, cv2.error)):
        write_image(tmp_path / "a.unknown", img)
