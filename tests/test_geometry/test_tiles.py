"""Tiles of images and the detections merged from them, on cases that can be checked by hand."""

import numpy as np
import pytest

from yolox_pose.errors import UsageError
from yolox_pose.geometry.tiles import Tiles, as_tiles, merge_tiles, tile_grid
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings

SETTINGS, SIGMAS = PostprocessSettings(), np.array([0.1, 0.1])


def detections(boxes, scores, labels=None):
    """Return detections with a keypoint at two corners of each box."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    labels = np.zeros(len(boxes)) if labels is None else np.array(labels)
    ones = np.ones((len(boxes), 2), np.float32)
    return Detections.create(boxes, np.array(scores, np.float32), labels, boxes.reshape(-1, 2, 2).copy(), ones)


@pytest.mark.parametrize(
    ("size", "tiles", "expected"),
    [
        ((100, 50), Tiles(1, 2, 0.0), [[0, 0, 50, 50], [50, 0, 100, 50]]),
        ((150, 40), Tiles(1, 2, 0.5), [[0, 0, 100, 40], [50, 0, 150, 40]]),
        ((70, 70), Tiles(2, 2, 0.25), [[0, 0, 40, 40], [30, 0, 70, 40], [0, 30, 40, 70], [30, 30, 70, 70]]),
        ((2, 1), Tiles(3, 3, 0.0), [[0, 0, 1, 1], [1, 0, 2, 1]]),
    ],
)
def test_tiles_overlap_by_their_share(size, tiles, expected):
    assert tile_grid(size, tiles).tolist() == expected


@pytest.mark.parametrize("size", [(641, 427), (37, 1000), (1, 1)])
@pytest.mark.parametrize("tiles", [Tiles(3, 2), Tiles(5, 7, 0.6), Tiles(1, 4, 0.0)])
def test_tiles_cover_the_image_and_nothing_else(size, tiles):
    covered = np.zeros(size[::-1], bool)
    for x1, y1, x2, y2 in tile_grid(size, tiles):
        assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]
        covered[y1:y2, x1:x2] = True
    assert covered.all()


def test_tiles_are_checked():
    assert as_tiles(None, 0.25) is None and as_tiles(1, 0.25) is None
    assert as_tiles(2, 0.1) == Tiles(2, 2, 0.1) and as_tiles((1, 3), 0) == Tiles(1, 3, 0)
    for tiles, overlap in ((0, 0.25), ((2, -1), 0.25), (33, 0.25), (2, 1.0), (2, -0.1)):
        with pytest.raises(UsageError, match=r"tiles must be|overlap of tiles must be"):
            as_tiles(tiles, overlap)


def test_detections_of_tiles_are_moved_and_those_cut_off_are_dropped():
    grid = tile_grid((150, 40), Tiles(1, 2, 0.5))  # 0 to 100 and 50 to 150
    left = detections([[0, 0, 20, 40], [80, 5, 100, 35]], [0.6, 0.9])  # the first touches the image's border only
    right = detections([[30, 5, 60, 35], [1, 5, 30, 35]], [0.8, 0.7])
    merged = merge_tiles(detections([], []), [left, right], grid, (150, 40), SETTINGS, SIGMAS)
    assert merged.boxes.tolist() == [[80, 5, 110, 35], [0, 0, 20, 40]]
    assert merged.keypoints.tolist() == [[[80, 5], [110, 35]], [[0, 0], [20, 40]]]
    np.testing.assert_allclose(merged.scores, [0.8, 0.6])


def test_missing_keypoints_stay_zero():
    part = detections([[10, 10, 20, 20]], [0.9])
    part = part._replace(keypoints=part.keypoints * 0, keypoint_scores=part.keypoint_scores * 0)
    merged = merge_tiles(detections([], []), [part], np.array([[50, 0, 100, 50]]), (100, 50), SETTINGS, SIGMAS)
    assert merged.boxes.tolist() == [[60, 10, 70, 20]] and not merged.keypoints.any()


def test_the_best_of_duplicates_is_kept_by_boxes_and_by_poses():
    grid = np.array([[0, 0, 100, 100]])
    whole = detections([[10, 10, 40, 80], [60, 10, 90, 80]], [0.5, 0.9])
    shifted = detections([[12, 10, 42, 80], [60, 10, 90, 80]], [0.8, 0.4])
    merged = merge_tiles(whole, [shifted], grid, (100, 100), SETTINGS, SIGMAS)
    assert merged.boxes.tolist() == [[60, 10, 90, 80], [12, 10, 42, 80]]

    # The same pose in a box that is much larger
    larger = shifted._replace(boxes=np.array([[5, 5, 60, 95], [60, 10, 90, 80]], np.float32))
    assert len(merge_tiles(whole, [larger], grid, (100, 100), SETTINGS, SIGMAS).scores) == 2
    other = shifted._replace(labels=np.array([1, 1]))
    assert len(merge_tiles(whole, [other], grid, (100, 100), SETTINGS, SIGMAS).scores) == 4, "of another class"


def test_at_most_max_per_img_are_kept():
    few = SETTINGS._replace(max_per_img=1)
    parts = [detections([[10, 10, 40, 80]], [0.5]), detections([[60, 10, 90, 80]], [0.9])]
    merged = merge_tiles(parts[0], parts[1:], np.array([[0, 0, 100, 100]]), (100, 100), few, SIGMAS)
    assert merged.boxes.tolist() == [[60, 10, 90, 80]]


def test_objects_without_keypoints_are_merged_by_their_boxes():
    boxes, scores = np.array([[10.0, 10, 40, 80]], np.float32), np.array([0.5], np.float32)
    plain = Detections.create(boxes, scores, np.zeros(1))
    merged = merge_tiles(plain, [plain], np.array([[0, 0, 100, 100]]), (100, 100), SETTINGS, np.zeros(0))
    assert merged.boxes.tolist() == boxes.tolist() and merged.keypoints.shape == (1, 0, 2)
