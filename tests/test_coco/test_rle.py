import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from yolox_pose.coco.rle import crowd_rle, decode_rle, merge_rles, rle_total


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_rle_total_is_the_number_of_pixels(width, height, seed, density):
    mask = (np.random.default_rng(seed).random((height, width)) < density).astype(np.uint8)
    counts = mask_utils.encode(np.asfortranarray(mask))["counts"]
    assert rle_total(counts) == width * height
    assert rle_total(counts.decode()) == width * height


def test_long_runs():
    mask = np.zeros((1000, 2000), np.uint8)
    mask[100:900, 1500:] = 1
    assert rle_total(mask_utils.encode(np.asfortranarray(mask))["counts"]) == 2_000_000


@pytest.mark.parametrize("counts", ["\x01", "é", b"\xff", "P", "O"])
def test_damaged_strings_are_refused(counts):
    with pytest.raises(ValueError):
        rle_total(counts)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [5, 4], "counts": [20]}, "RLE size"),
        ({"counts": [20]}, "RLE size"),
        ({"size": [4, 5], "counts": [19]}, "RLE covers 19 pixels, the image has 20"),
        ({"size": [4, 5], "counts": [-1, 21]}, "non-negative integers"),
        ({"size": [4, 5]}, "no counts"),
        ({"size": [4, 5], "counts": "ZZZZ"}, "RLE"),
        ([[0, 0, 1, 1]], "at least 3 points"),
        ([[0, 0, 1, 1, 2, 2, 3]], "at least 3 points"),
        ([[0, 0, 1, 1, 2, "2"]], "finite numbers"),
        ([[0, 0, 1, 1, 2, float("nan")]], "finite numbers"),
        ("polygon", "neither RLE nor polygons"),
        (None, "neither segmentation nor box"),
    ],
)
def test_bad_regions_are_refused_before_pycocotools_sees_them(segmentation, message):
    with pytest.raises(ValueError, match=message):
        crowd_rle(segmentation, None, width=5, height=4)


def test_box_and_empty_segmentation():
    for empty in (None, []):
        rle = crowd_rle(empty, np.array([1.0, 2.0, 3.0, 1.0]), width=6, height=5)
        expected = np.zeros((5, 6), np.uint8)
        expected[2:3, 1:4] = 1
        np.testing.assert_array_equal(decode_rle(merge_rles([rle]), 6, 5), expected)
