"""Counted nouns and suggestions."""

import pytest

from yolox_pose.utils.text import counted, did_you_mean


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (1, "images", "1 image"),
        (0, "images", "0 images"),
        (2000, "images", "2,000 images"),
        (1, "boxes clipped", "1 box clipped"),
        (1, "batches", "1 batch"),
        (1, "keypoint lists matched", "1 keypoint list matched"),
        (1, "frames", "1 frame"),
        (1, "people without keypoints", "1 person without keypoints"),
        (2, "people", "2 people"),
    ],
)
def test_counted(number, nouns, text):
    assert counted(number, nouns) == text


def test_did_you_mean():
    assert did_you_mean("Tarin", ["train", "test"]) == "; did you mean 'train'?"
    assert did_you_mean("xyz", ["train", "test"]) == ""
