"""Files that results are written to while they arrive."""

import csv
import json

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.inference.results import PoseResult
from yolox_pose.inference.writers import CocoFile, CsvFile, write_crops
from yolox_pose.structures.skeleton import Skeleton


def result(n, **options):
    boxes = np.array([[10, 20, 30, 60], [-5, 70, 20, 90]], np.float32)[:n]
    return PoseResult(
        np.arange(n * 4, dtype=np.float32).reshape(n, 2, 2), np.full((n, 2), 0.5, np.float32), boxes,
        np.full(n, 0.75, np.float32), np.zeros(n, np.int64), Skeleton(("left_eye", "nose")),
        held_image=np.arange(100 * 80 * 3, dtype=np.uint32).reshape(100, 80, 3).astype(np.uint8), **options,
    )  # fmt: skip


@pytest.mark.parametrize("counts", [[0], [2], [0, 1, 0, 2, 0], [1, 1]])
def test_coco_file_is_whole_after_every_image(tmp_path, counts):
    expected = []
    with CocoFile(tmp_path / "r.json") as file:
        for image, n in enumerate(counts):
            file.write(result(n), image)
            expected += result(n).to_coco(image)
            assert json.loads((tmp_path / "r.json").read_text()) == expected
    assert json.loads((tmp_path / "r.json").read_text()) == expected


def test_files_without_results_are_not_made(tmp_path):
    with CocoFile(tmp_path / "r.json"), CsvFile(tmp_path / "t.csv"):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="cannot be written"), CocoFile(tmp_path / "no" / "r.json") as file:
        file.write(result(1), 0)


def test_table(tmp_path):
    with CsvFile(tmp_path / "t.csv") as file:
        file.write(result(0), 1)  # nobody: no row
        file.write(
            result(2, frame=3, time=0.12, track_ids=np.array([7, 9]), low_score=np.array([False, True])), "film_000003"
        )
        file.write(result(1), 139)
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["image_id"] for row in rows] == ["film_000003", "film_000003", "139"]
    assert rows[1]["track_id"] == "9" and rows[1]["person"] == "1" and rows[1]["time"] == "0.12"
    assert [row["low_score"] for row in rows] == ["0", "1", ""]
    assert rows[2]["track_id"] == rows[2]["frame"] == "" and rows[2]["class"] == "person"
    assert [float(rows[1][key]) for key in ("x1", "y2", "nose_x", "nose_y", "nose_score")] == [-5, 90, 6, 7, 0.5]


def test_crops_are_the_undrawn_persons(tmp_path):
    people = result(2)
    first, second = people.crops(margin=0)
    assert np.array_equal(first, people.image[20:60, 10:30]) and np.array_equal(second, people.image[70:90, 0:20])
    write_crops(tmp_path, people, 5)
    write_crops(tmp_path, result(1, track_ids=np.array([12])), "a")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["5_0.jpg", "5_1.jpg", "a_id12.jpg"]
    assert cv2.imread(str(tmp_path / "5_0.jpg")).shape == (48, 24, 3), "a tenth more on every side"


def test_boxes_outside_the_image_give_a_pixel():
    outside = result(1)
    outside.boxes[:] = [500, 500, 600, 600]
    assert outside.crops()[0].shape == (1, 1, 3)


def test_ids_of_images_and_frames():
    assert (
        result(1, name="000139.jpg").image_id == 139 and result(1, name="film.mp4", frame=12).image_id == "film_000012"
    )
    with pytest.raises(ValueError, match="image_id="):
        _ = result(1).image_id
