"""Results: drawn, as COCO entries, and written without overwriting the source."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolox_pose.errors import UsageError
from yolox_pose.inference.results import PoseResult
from yolox_pose.structures.skeleton import Skeleton

PAIR = Skeleton(names=("left_hand", "right_hand"), links=((0, 1),))


def make(n=2, num_keypoints=2, **changes):
    """Return a result with n persons."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 40, (n, 2))
    fields = {
        "keypoints": rng.uniform(0, 80, (n, num_keypoints, 2)).astype(np.float32),
        "keypoint_scores": rng.uniform(0, 1, (n, num_keypoints)).astype(np.float32),
        "boxes": np.concatenate([corner, corner + 30], axis=1).astype(np.float32),
        "scores": np.linspace(0.9, 0.5, n).astype(np.float32),
        "labels": np.zeros(n, np.int64),
        "skeleton": PAIR if num_keypoints else None,
        "held_image": np.full((80, 80, 3), 127, np.uint8),
    }
    return PoseResult(**{**fields, **changes})


def test_length_and_plot():
    result = make()
    picture = result.plot(kpt_thr=0.0)
    assert len(result) == 2 and picture.shape == (80, 80, 3) and (picture != 127).any()
    assert (result.image == 127).all(), "the image itself is not drawn into"


@pytest.mark.parametrize("num_keypoints", [0, 2])
def test_nobody(num_keypoints):
    result = make(0, num_keypoints)
    assert len(result) == 0 and result.to_coco(1) == [] and (result.plot() == 127).all()


def test_keypoint_entries():
    result = make(path=Path("val2017/000000000139.jpg"))
    first, second = result.to_coco()
    assert (
        first["image_id"] == 139
        and first["category_id"] == 1
        and set(first) == {"image_id", "category_id", "keypoints", "score"}
    )
    np.testing.assert_allclose(np.reshape(first["keypoints"], (2, 3))[:, :2], result.keypoints[0], atol=1e-3)
    np.testing.assert_allclose(np.reshape(first["keypoints"], (2, 3))[:, 2], result.keypoint_scores[0], atol=1e-3)
    assert second["score"] == pytest.approx(0.5)
    json.dumps([first, second])


def test_box_entries_are_x_y_width_height():
    result = make(num_keypoints=0, labels=np.array([0, 1]))
    entries = result.to_coco(image_id=7, category_ids=[18, 44])
    assert [e["category_id"] for e in entries] == [18, 44] and "keypoints" not in entries[0]
    np.testing.assert_allclose(entries[0]["bbox"], [*result.boxes[0, :2], 30, 30], atol=1e-3)
    assert "bbox" in make().to_coco(1, boxes=True)[0]


def test_track_ids_are_written():
    assert make(track_ids=np.array([5, 6])).to_coco(1)[1]["track_id"] == 6
    assert "low_score" not in make().to_coco(1)[0]


def test_low_scores_are_marked_and_selected():
    result = make(track_ids=np.array([5, 6]), low_score=np.array([False, True]))
    assert [entry["low_score"] for entry in result.to_coco(1)] == [False, True]
    assert result.select(np.array([1])).low_score.tolist() == [True]


def test_image_ids():
    assert make(path=Path("a/0012.jpg")).image_id == 12
    assert make(path=Path("a/frame_12.jpg")).image_id == "frame_12"
    assert make(path=Path("a/²³.jpg")).image_id == "²³"
    with pytest.raises(ValueError, match="image_id="):
        make().to_coco()


def test_image_is_read_again_from_its_file(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((10, 12, 3), 9, np.uint8))
    assert (make(path=tmp_path / "a.png", held_image=None).image == 9).all()
    with pytest.raises(ValueError, match="no image"):
        _ = make(held_image=None).image


@pytest.mark.parametrize("name", ["b.png", "b.JPG", "deep/er/b.webp"])
def test_save_writes_a_picture(tmp_path, name):
    path = make().save(tmp_path / name)
    assert cv2.imread(str(path)).shape == (80, 80, 3)


def test_save_writes_coco_results(tmp_path):
    path = make().save(tmp_path / "r.json", image_id=3)
    assert [e["image_id"] for e in json.loads(path.read_text())] == [3, 3]


def test_save_does_not_touch_the_source(tmp_path, monkeypatch):
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), np.zeros((80, 80, 3), np.uint8))
    before = source.read_bytes()
    monkeypatch.chdir(tmp_path)
    for path in (source, "a.png", tmp_path / "x" / ".." / "a.png"):
        with pytest.raises(UsageError, match="source image"):
            make(path=source).save(path)
    assert source.read_bytes() == before


def test_save_refuses_unknown_formats(tmp_path):
    with pytest.raises(UsageError, match="cannot be written as '.xyz'"):
        make().save(tmp_path / "new" / "a.xyz")
    assert not (tmp_path / "new").exists()


def make_joint(**changes):
    """Return a person with keypoints between two objects without."""
    return make(
        3, labels=np.array([2, 1, 0]), classes=("dog", "person", "cup"), keypoint_classes=(1,),
        keypoint_scores=np.array([[0, 0], [0.5, 0.75], [0, 0]], np.float32), **changes,
    )  # fmt: skip


def test_keypoints_of_some_classes():
    joint = make_joint()
    assert joint.is_joint and joint.has_keypoints.tolist() == [False, True, False]
    assert not make().is_joint and make().has_keypoints.tolist() == [True, True]
    detection = make(num_keypoints=0, keypoint_classes=())
    assert not detection.is_joint and detection.has_keypoints.tolist() == [False, False]


def test_joint_entries_have_boxes_and_keypoints_where_the_class_has_them():
    entries = make_joint().to_coco(1, category_ids=[18, 1, 47])
    assert [e["category_id"] for e in entries] == [47, 1, 18]
    assert ["keypoints" in e for e in entries] == [False, True, False]
    assert all("bbox" in e for e in entries)
    assert not any("bbox" in e for e in make_joint().to_coco(1, boxes=False))


def test_joint_results_are_drawn_without_the_skeletons_of_objects():
    options = {"kpt_thr": 0.0, "show_boxes": False, "show_tags": False}
    person = make(1, keypoints=make_joint().keypoints[1:2], keypoint_scores=make_joint().keypoint_scores[1:2],
                  boxes=make_joint().boxes[1:2], labels=np.array([1]))  # fmt: skip
    np.testing.assert_array_equal(make_joint().plot(**options), person.plot(**options))
