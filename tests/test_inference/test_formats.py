"""Results as persons, dicts, tables, YOLO-pose text, OpenPose JSON and supervision objects."""

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.test_inference.test_results import PAIR, make, make_joint
from yolox_pose.errors import DataError, UsageError
from yolox_pose.inference import conversions
from yolox_pose.inference.person import Keypoint
from yolox_pose.inference.results import PoseResult, Timings
from yolox_pose.inference.writers import CsvFile
from yolox_pose.structures.skeleton import COCO_PERSON, Skeleton
from yolox_pose.utils.dependencies import Dependency, MissingDependencyError

GOLDEN = Path(__file__).parent / "golden"


def crowd(n=3, size=(320, 240), **changes):
    """Return a result with n COCO persons beside each other, all keypoints inside their boxes."""
    left = 20 + 100 * np.arange(n, dtype=np.float32)
    boxes = np.stack([left, np.full(n, 10), left + 60, np.full(n, 210)], axis=1).astype(np.float32)
    unit = np.random.default_rng(1).uniform(0.1, 0.9, (n, 17, 2))
    keypoints = (boxes[:, None, :2] + unit * [60, 200]).astype(np.float32)
    fields = {"scores": np.linspace(0.9, 0.5, n).astype(np.float32), "labels": np.zeros(n, np.int64)}
    fields |= {"keypoint_scores": np.full((n, 17), 0.8, np.float32), "skeleton": COCO_PERSON, "size": size}
    return PoseResult(keypoints, boxes=boxes, **{**fields, **changes})


def test_persons_by_index_and_in_a_loop():
    result = make(3, track_ids=np.array([7, 8, 9]))
    persons = list(result)
    assert len(persons) == 3 and [p.track_id for p in persons] == [7, 8, 9]
    assert [p.score for p in persons] == pytest.approx([0.9, 0.7, 0.5]) and persons[0].class_name == "person"
    assert result[1] == persons[1] == result[-2] == result[np.int64(1)] and result[0] != result[1]
    np.testing.assert_array_equal(result[2].keypoints, result.keypoints[2])
    np.testing.assert_array_equal(result[2].box, result.boxes[2])
    assert not make(0) and list(make(0)) == [] and make(1)[0].track_id is None
    for index in (3, -4):
        with pytest.raises(IndexError, match="the result has 3"):
            _ = result[index]
    with pytest.raises(TypeError, match="by index, slice, mask or list, not 'person'"):
        _ = result["person"]


def test_slices_masks_and_lists_give_results():
    result = make(3)
    assert result[:2] == result.select(np.array([0, 1])) == result[[0, 1]] == result[np.array([True, True, False])]
    assert result[:2].plot().shape == (80, 80, 3) and len(result[result.scores > 0.6]) == 2
    assert len(result[[]]) == 0 and result[::-1].scores.tolist() == result.scores[::-1].tolist()


def test_keypoints_of_a_person_by_name():
    person = make()[0]
    assert (
        person["right_hand"] == person[1] == Keypoint(*person.keypoints[1].tolist(), float(person.keypoint_scores[1]))
    )
    with pytest.raises(KeyError, match="no keypoint 'nose'; keypoints are left_hand, right_hand"):
        _ = person["nose"]
    assert make(skeleton=None)[0].keypoint_names == ("keypoint_0", "keypoint_1")
    assert make(skeleton=Skeleton(("a", "a")))[0].keypoint_names == ("keypoint_0", "keypoint_1")


def test_equality_does_not_raise():
    result = make()
    assert result == make() and result != make(3) and result != make(scores=np.float32([0.9, 0.4]))
    assert result != make(track_ids=np.array([1, 2])) and make(track_ids=np.array([1, 2])) != result
    assert result != "a result" and result in [make()]
    assert result == make(held_image=None, timings=Timings(1, 2, 3)), "image and timings do not count"
    broken = make(keypoints=np.full((2, 2, 2), np.nan, np.float32))
    assert broken == make(keypoints=broken.keypoints.copy())
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


def test_representations_are_short():
    result = make(path=Path("a/b.jpg"), name="b.jpg", size=(80, 80))
    assert repr(result) == "PoseResult(b.jpg 80x80: person x2, scores 0.90 to 0.50)"
    assert repr(make(1)) == "PoseResult(person x1, score 0.90)"
    assert repr(make(0)) == "PoseResult(no detections)"
    assert repr(make(0, path=Path("a/b.jpg"))) == "PoseResult(b.jpg: no detections)"
    assert (
        repr(make_joint(name="v.mp4", frame=3))
        == "PoseResult(v.mp4 frame 3: dog x1, person x1, cup x1, scores 0.90 to 0.50)"
    )
    person = make(1, boxes=np.float32([[1, 2, 30.4, 40]]), track_ids=np.array([7]))[0]
    assert repr(person) == "Person(person id 7, score 0.90, box 1 2 30 40, 2 keypoints)"
    assert repr(Keypoint(228.1656, 122.25, 0.9953)) == "Keypoint(x=228.2, y=122.2, score=1.00)"
    assert "keypoints" not in repr(make(num_keypoints=0)[0])


def test_plain_values():
    result = make(path=Path("a/b.jpg"), name="b.jpg", size=(80, 80), track_ids=np.array([3, 5]))
    values = result.to_dict()
    assert json.loads(result.to_json()) == values and "\n" in result.to_json(indent=2)
    assert values["name"] == "b.jpg" and (values["width"], values["height"]) == (80, 80) and "frame" not in values
    first, second = values["detections"]
    assert first["class"] == "person" and first["label"] == 0 and first["score"] == pytest.approx(0.9)
    assert second["track_id"] == 5 and list(second["keypoints"]) == ["left_hand", "right_hand"]
    np.testing.assert_allclose(first["box"], result.boxes[0], atol=1e-3)
    np.testing.assert_allclose(second["keypoints"]["right_hand"][:2], result.keypoints[1, 1], atol=1e-3)
    assert make(0).to_dict()["detections"] == [] and make(frame=4, time=0.5).to_dict()["time"] == 0.5
    assert ["keypoints" in detection for detection in make_joint().to_dict()["detections"]] == [False, True, False]


def test_low_scores_are_marked_in_every_form():
    result = make(track_ids=np.array([3, 5]), low_score=np.array([False, True]))
    assert [person.low_score for person in result] == [False, True]
    assert [detection["low_score"] for detection in result.to_dict()["detections"]] == [False, True]
    assert "low_score" not in make().to_dict()["detections"][0] and make()[0].low_score is None


def test_data_frame_equals_the_csv_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    result = make(path=Path("a/0012.jpg"), track_ids=np.array([3, 5]), low_score=np.array([False, True]))
    frame = result.to_df()
    assert len(frame) == 2 and frame["image_id"].tolist() == [12, 12] and frame["track_id"].tolist() == [3, 5]
    assert frame["right_hand_x"].to_numpy() == pytest.approx(result.keypoints[:, 1, 0], abs=1e-3)
    with CsvFile(tmp_path / "t.csv") as table:
        table.write(result, result.image_id)
    read = pandas.read_csv(tmp_path / "t.csv")
    assert list(read.columns) == list(frame.columns)
    pandas.testing.assert_frame_equal(
        read.drop(columns=["frame", "time"]), frame.drop(columns=["frame", "time"]), check_dtype=False
    )
    for nobody in (make(0), make(0, num_keypoints=0)):
        assert len(nobody.to_df()) == 0 and list(nobody.to_df().columns)[:3] == ["image_id", "frame", "time"]
    assert make(num_keypoints=0).to_df(image_id="a")["image_id"].tolist() == ["a", "a"]


def test_tables_of_images_without_detections(tmp_path):
    for nobody in (make(0), make(0, num_keypoints=0)):
        with CsvFile(tmp_path / "t.csv") as table:
            table.write(nobody, 1)
            table.write(make(1, nobody.keypoints.shape[1]), 2)
        rows = list(csv.reader((tmp_path / "t.csv").open()))
        assert len(rows) == 2 and len(rows[0]) == len(rows[1])


def test_label_text_reads_back(tmp_path):
    """The reader of YOLO-pose labels gets the same boxes and keypoints."""
    from yolox_pose.coco.yolo_labels import coco_from_folder

    result = crowd()
    result.keypoint_scores[1, 4] = 0.1
    result.keypoints[2, 5] = [-3, 20]
    assert result.save_txt(tmp_path / "labels" / "7.txt") == tmp_path / "labels" / "7.txt"
    crowd(0).save_txt(tmp_path / "labels" / "8.txt")
    (tmp_path / "images").mkdir()
    for name in ("7", "8"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.zeros((240, 320, 3), np.uint8))
    dataset = coco_from_folder(tmp_path / "labels", tmp_path / "images", ["person"], COCO_PERSON.names)
    assert [image["id"] for image in dataset["images"]] == [7, 8]
    assert [annotation["image_id"] for annotation in dataset["annotations"]] == [7, 7, 7]

    boxes = np.array([annotation["bbox"] for annotation in dataset["annotations"]])
    boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(boxes, result.boxes, atol=2e-3)
    keypoints = np.array([annotation["keypoints"] for annotation in dataset["annotations"]]).reshape(3, 17, 3)
    visible = np.full((3, 17), 2)
    visible[1, 4] = visible[2, 5] = 0  # a low score; outside the image, which trainers refuse
    np.testing.assert_array_equal(keypoints[..., 2], visible)
    np.testing.assert_allclose(keypoints[visible > 0][:, :2], result.keypoints[visible > 0], atol=1e-3)


def test_label_text_of_plain_detection_and_joint_models(tmp_path):
    text = make(1, num_keypoints=0, boxes=np.float32([[8, 16, 24, 80]])).save_txt(tmp_path / "a.txt").read_text()
    assert text == "0 0.200000 0.600000 0.200000 0.800000\n", "the size is that of the image"
    lines = make_joint().save_txt(tmp_path / "b.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1", "0"] and {len(line.split()) for line in lines} == {11}
    assert lines[0].split()[5:] == ["0"] * 6
    with pytest.raises(UsageError, match="source image"):
        make(path=tmp_path / "a.txt").save_txt(tmp_path / "a.txt")


def test_coco_entries_evaluate_to_perfect_ap():
    pytest.importorskip("hotcoco")
    from yolox_pose.evaluation import evaluate_keypoints

    result = crowd()
    entries = result.to_coco(image_id=1)
    truth = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 320, "height": 240}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_PERSON.names)}],
        "annotations": [
            {
                "id": i + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "num_keypoints": 17, "area": 12000.0,
                "bbox": [float(box[0]), float(box[1]), 60.0, 200.0],
                "keypoints": [v for x, y in points.tolist() for v in (x, y, 2)],
            }
            for i, (box, points) in enumerate(zip(result.boxes, result.keypoints))
        ],
    }  # fmt: skip
    assert evaluate_keypoints(truth, entries)["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("layout", ["body_25", "coco"])
def test_openpose_file(tmp_path, layout):
    """Compared with files whose keypoints were put in OpenPose's order by hand: keypoint k is at (10 k, 5 k)."""
    k = np.arange(17, dtype=np.float32)
    points = np.stack([10 * k, 5 * k], axis=1)[None]
    scores = np.full((1, 17), 0.5, np.float32)
    scores[0, 9] = 0.1  # the left wrist is missing
    box = np.float32([[0, 0, 170, 90]])
    result = PoseResult(points, scores, box, np.float32([0.9]), np.zeros(1, np.int64), COCO_PERSON)
    path = result.save_openpose(tmp_path / "new" / "a_keypoints.json", layout)
    assert json.loads(path.read_text()) == json.loads((GOLDEN / f"openpose_{layout}.json").read_text())


def test_openpose_persons(tmp_path):
    tracked = crowd(track_ids=np.array([4, 5, 6]))
    people = tracked.to_openpose()["people"]
    assert [person["person_id"] for person in people] == [[4], [5], [6]] and len(people[0]["pose_keypoints_2d"]) == 75
    assert crowd(0).to_openpose() == {"version": 1.3, "people": []}
    hidden = crowd(1, keypoint_scores=np.zeros((1, 17), np.float32))
    assert not any(hidden.to_openpose()["people"][0]["pose_keypoints_2d"])
    with pytest.raises(UsageError, match="this skeleton has no nose"):
        make().save_openpose(tmp_path / "new" / "a.json")
    assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="unknown OpenPose layout 'hand'; known: body_25, coco"):
        crowd().to_openpose("hand")


needs_supervision = pytest.mark.skipif(find_spec("supervision") is None, reason="supervision is not installed")


@needs_supervision
def test_supervision_objects():
    import supervision as sv

    result = crowd(track_ids=np.array([4, 5, 6]))
    result.keypoint_scores[1, 4] = 0.1
    key_points, detections = result.to_supervision()
    assert isinstance(key_points, sv.KeyPoints) and isinstance(detections, sv.Detections)
    assert len(key_points) == len(detections) == 3
    np.testing.assert_array_equal(key_points.xy, result.keypoints)
    np.testing.assert_array_equal(key_points.keypoint_confidence, result.keypoint_scores)
    np.testing.assert_array_equal(key_points.detection_confidence, result.scores)
    np.testing.assert_array_equal(key_points.visible, result.keypoint_scores > 0.3)
    np.testing.assert_array_equal(detections.xyxy, result.boxes)
    np.testing.assert_array_equal(detections.confidence, result.scores)
    assert detections.tracker_id.tolist() == key_points.data["tracker_id"].tolist() == [4, 5, 6]
    assert detections.data["class_name"].tolist() == ["person"] * 3
    assert (
        len(detections[detections.confidence > 0.6]) == 2
        and len(key_points[key_points.detection_confidence > 0.6]) == 2
    )


@needs_supervision
def test_supervision_draws_and_counts_the_persons():
    """As a user: edges, boxes and a zone, all of supervision."""
    import supervision as sv

    result = crowd(held_image=np.zeros((240, 320, 3), np.uint8))
    key_points, detections = result.to_supervision()
    edges = [(a + 1, b + 1) for a, b in result.skeleton.links]
    picture = sv.EdgeAnnotator(edges=edges).annotate(result.image.copy(), key_points)
    picture = sv.BoxAnnotator().annotate(picture, detections)
    assert (picture != 0).any()
    zone = sv.PolygonZone(polygon=np.array([[0, 0], [100, 0], [100, 239], [0, 239]]))
    assert zone.trigger(detections).tolist() == [True, False, False]


@needs_supervision
@pytest.mark.parametrize("result", [make(0), make(0, num_keypoints=0), make(num_keypoints=0), make_joint()])
def test_supervision_objects_of_nobody_objects_and_joint_models(result):
    key_points, detections = result.to_supervision()
    assert len(detections) == len(result) and detections.tracker_id is None
    assert len(key_points) == len(result) or not result.keypoints.size
    assert not key_points.visible[~result.has_keypoints].any(), "objects have no visible keypoints"


@pytest.mark.parametrize(
    ("name", "call"), [("pandas", "to_df"), ("supervision", "to_supervision")], ids=["pandas", "supervision"]
)
def test_missing_packages_are_named_in_one_line(monkeypatch, name, call):
    absent = Dependency(f"no_{name}", "99", (f"no_{name}",))
    monkeypatch.setattr(conversions, name.upper(), absent)
    with pytest.raises(
        MissingDependencyError, match=rf"^{call}: no_{name} is missing; install it with: pip install 'no_{name}>=99'$"
    ):
        getattr(make(), call)()


def test_old_packages_are_named_in_one_line(monkeypatch):
    monkeypatch.setattr(conversions, "PANDAS", Dependency("numpy", "99.0", ("numpy",)))
    with pytest.raises(MissingDependencyError, match=r"numpy .* is too old"):
        make().to_df()


def test_notebook_pictures(tmp_path):
    png = make()._repr_png_()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), 1), make().plot())
    wide = cv2.imdecode(np.frombuffer(make(held_image=np.zeros((100, 3000, 3), np.uint8))._repr_png_(), np.uint8), 1)
    assert wide.shape == (43, 1280, 3), "large pictures are shown smaller"
    assert (
        make(held_image=None)._repr_png_() is None
        and make(held_image=None, path=tmp_path / "a.png")._repr_png_() is None
    )


def test_results_with_a_skeleton_survive_pickling():
    import pickle

    result = make(skeleton=PAIR, timings=Timings(1, 2, 3))
    copy = pickle.loads(pickle.dumps(result))
    assert copy == result and copy.timings == result.timings and copy[0] == result[0]


def test_files_that_cannot_be_written_are_named(tmp_path):
    for write in (make().save_txt, crowd().save_openpose):
        with pytest.raises(DataError, match=r"^result .* cannot be written: Is a directory$"):
            write(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"a\.png cannot be written"):
        make().save(tmp_path / "file" / "a.png")
