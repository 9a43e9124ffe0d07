"""Metrics of small cases by hand, filled-in annotations, and messages about unusable input."""

import json
import math
import subprocess
import sys
import warnings
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from tests.test_evaluation.coco_sets import exact_predictions, noisy_predictions, random_set, without_boxes
from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions, box_records, keypoint_records
from yolox_pose.errors import DataError, YOLOXPoseError
from yolox_pose.evaluation.coco_eval import (
    BOX_METRICS,
    KEYPOINT_METRICS,
    best_per_image,
    evaluate_boxes,
    evaluate_keypoints,
    keypoint_sigmas,
)
from yolox_pose.evaluation.matching import match_boxes
from yolox_pose.evaluation.summary import precision_and_recall
from yolox_pose.structures.skeleton import COCO_PERSON

AREA = 64.0**2  # medium


def tiny_set(people=1, **changes):
    """One image with people 100 px apart, two keypoints each, area 64 x 64."""
    annotations = [
        {
            "id": i,
            "image_id": 5,
            "category_id": 1,
            "keypoints": [100.0 * i, 0, 2, 100.0 * i, 50, 1],
            "num_keypoints": 2,
            "bbox": [100.0 * i, 0, 64, 64],
            "area": AREA,
            "iscrowd": 0,
            **changes,
        }
        for i in range(people)
    ]
    return {"images": [{"id": 5}], "categories": [{"id": 1, "name": "person"}], "annotations": annotations}


def detection(x=0.0, score=0.5, image_id=5, category_id=1):
    keypoints = [x, 0.0, 1, x, 50.0, 1]
    return {"image_id": image_id, "category_id": category_id, "keypoints": keypoints, "score": score}


def evaluate(truth, records, **kwargs):
    return evaluate_keypoints(truth, records, sigmas=[0.1, 0.1], **kwargs)


def shift_for_oks(oks, sigma=0.1):
    """Pixels by which both keypoints move for an OKS: exp(-d^2 / (2 area (2 sigma)^2)) = oks."""
    return math.sqrt(-math.log(oks) * 2 * AREA * (2 * sigma) ** 2)


def test_perfect_detection():
    metrics = evaluate(tiny_set(), [detection()])
    assert tuple(metrics) == KEYPOINT_METRICS
    assert {k: round(v, 9) for k, v in metrics.items()} == {
        **dict.fromkeys(KEYPOINT_METRICS, 1),
        "AP_L": -1,
        "AR_L": -1,
    }


@pytest.mark.parametrize("oks, passed", [(0.499, 0), (0.501, 1), (0.749, 5), (0.751, 6), (0.951, 10)])
def test_metrics_follow_from_the_oks(oks, passed):
    metrics = evaluate(tiny_set(), [detection(shift_for_oks(oks))])
    assert metrics["AP"] == pytest.approx(passed / 10)
    assert metrics["AR"] == pytest.approx(passed / 10)
    assert metrics["AP50"] == pytest.approx(float(oks > 0.5))
    assert metrics["AP75"] == pytest.approx(float(oks > 0.75))
    assert metrics["AR75"] == pytest.approx(float(oks > 0.75))


def test_precision_and_recall_at_scores_by_hand():
    records = [
        detection(50, 0.9),
        detection(0, 0.5),
        detection(1, 0.45),
        detection(100, 0.4),
    ]  # a false alarm, a duplicate
    metrics = evaluate(tiny_set(2), records, at=[0.95, 0.5, 0.4])
    assert tuple(metrics) == (
        *KEYPOINT_METRICS,
        *(f"{n}@{s}" for s in (0.95, 0.5, 0.4) for n in ("precision", "recall")),
    )
    assert (metrics["precision@0.95"], metrics["recall@0.95"]) == (-1, 0)
    assert (metrics["precision@0.5"], metrics["recall@0.5"]) == (0.5, 0.5)
    assert (metrics["precision@0.4"], metrics["recall@0.4"]) == (0.5, 1)
    nobody = evaluate(tiny_set(0), records, at=[0.5])
    assert (nobody["precision@0.5"], nobody["recall@0.5"]) == (-1, -1)
    nothing = evaluate(tiny_set(2), records, at=[2])
    assert (nothing["precision@2"], nothing["recall@2"]) == (-1, 0)


@pytest.mark.parametrize("seed", range(4))
def test_a_score_is_a_threshold_that_detections_are_cut_at(seed):
    """Cutting the file at the score first gives the same metrics; without a cut, recall is AR50, at an IoU it is counted."""
    truth = random_set(seed)
    records = noisy_predictions(truth, seed)
    poses = without_boxes(records)
    whole = evaluate_keypoints(truth, poses, at=[-1, 0.3, 0.7])
    assert whole["recall@-1"] == pytest.approx(whole["AR50"])
    boxes = evaluate_boxes(truth, records, at=[0.3, 0.7])
    for score in (0.3, 0.7):
        cut = [record["score"] >= score for record in records]
        alone = evaluate_keypoints(truth, [record for record, kept in zip(poses, cut) if kept], at=[-1])
        alone_boxes = evaluate_boxes(truth, [record for record, kept in zip(records, cut) if kept], at=[-1])
        for name in ("precision", "recall"):
            assert 0 < whole[f"{name}@{score}"] == alone[f"{name}@-1"]
            assert 0 < boxes[f"{name}@{score}"] == alone_boxes[f"{name}@-1"]


def test_boxes_at_scores_over_categories_and_crowds_by_hand():
    def ann(i, category, x, crowd=0):
        return {"id": i, "image_id": 5, "category_id": category, "bbox": [x, 0, 10, 10], "iscrowd": crowd}

    truth = {
        "images": [{"id": 5}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [ann(1, 1, 0), ann(2, 1, 20, crowd=1), ann(3, 2, 40)],
    }
    boxes = [(1, 0, 0.9), (1, 20, 0.8), (2, 0, 0.7), (2, 40, 0.2)]  # found, in the crowd, a dog that is none, a dog
    records = [{"image_id": 5, "category_id": c, "bbox": [x, 0, 10, 10], "score": s} for c, x, s in boxes]
    metrics = evaluate_boxes(truth, records, at=[0.75, 0.5, 0.1])
    assert [metrics[f"precision@{s}"] for s in (0.75, 0.5, 0.1)] == pytest.approx([1, 1 / 2, 2 / 3])
    assert [metrics[f"recall@{s}"] for s in (0.75, 0.5, 0.1)] == pytest.approx([1 / 2, 1 / 2, 1])


def test_precision_and_recall_of_two_people():
    found_one = evaluate(tiny_set(2), [detection(0)])
    assert found_one["AR"] == 0.5
    assert found_one["AP"] == pytest.approx(51 / 101)  # recall points 0.00 to 0.50
    false_alarm_first = evaluate(tiny_set(2), [detection(50, 0.9), detection(0, 0.5), detection(100, 0.4)])
    assert false_alarm_first["AR"] == 1
    assert false_alarm_first["AP"] == pytest.approx(2 / 3)  # precision 1/2, then 2/3, never rising


def test_duplicate_detection_is_a_false_alarm():
    metrics = evaluate(tiny_set(2), [detection(0, 0.9), detection(0, 0.8), detection(100, 0.7)])
    assert metrics["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


@pytest.mark.parametrize("ignored", [{"iscrowd": 1}, {"keypoints": [0] * 6}, {"keypoints": []}, {"keypoints": None}])
def test_ignored_people_neither_count_nor_cost(ignored):
    truth = tiny_set(2)
    truth["annotations"][1].update(ignored)
    assert evaluate(truth, [detection(100, 0.9), detection(0, 0.7)])["AP"] == pytest.approx(1)
    twice = evaluate(truth, [detection(100, 0.9), detection(100, 0.8), detection(0, 0.7)])["AP"]
    assert twice == pytest.approx(1 if "iscrowd" in ignored else 0.5)  # a crowd excuses any number of detections


def test_num_keypoints_is_counted_not_believed():
    assert evaluate(tiny_set(num_keypoints=0), [detection()])["AP"] == pytest.approx(1)
    truth = tiny_set()
    del truth["annotations"][0]["num_keypoints"], truth["annotations"][0]["iscrowd"]
    assert evaluate(truth, [detection()])["AP"] == pytest.approx(1)


def test_detection_without_any_keypoint_score_is_left_out():
    empty = dict(detection(50, 0.9), keypoints=[50, 0, 0, 50, 50, 0])
    assert evaluate(tiny_set(), [empty, detection(0, 0.5)])["AP"] == pytest.approx(1)


def test_absent_area_is_that_of_the_box_times_053():
    truth, explicit = random_set(3), random_set(3)
    for ann, full in zip(truth["annotations"], explicit["annotations"]):
        ann["area"] = None
        full["area"] = 0.53 * full["bbox"][2] * full["bbox"][3]
    records = noisy_predictions(truth, 3)
    assert evaluate_keypoints(truth, records) == evaluate_keypoints(explicit, records)


@pytest.mark.parametrize("box", [[0, 0, 150, 10], [0, 0, 10, 150]])
def test_absent_area_of_an_object_is_that_of_the_box(box):
    truth = tiny_set(bbox=box)
    del truth["annotations"][0]["area"]
    records = [{"image_id": 5, "category_id": 1, "bbox": box, "score": 0.5}]
    metrics = evaluate_boxes(truth, records)
    sizes = [metrics[name] for name in ("bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")]
    assert sizes == pytest.approx([-1, 1, -1])  # 1500 square pixels


def test_absent_box_of_a_labeled_person():
    truth = tiny_set()
    del truth["annotations"][0]["bbox"]
    assert evaluate(truth, [detection()])["AP"] == pytest.approx(1)
    truth = tiny_set(keypoints=[0] * 6)
    truth["annotations"].append(dict(tiny_set()["annotations"][0], id=7))
    del truth["annotations"][0]["bbox"]
    with pytest.raises(DataError, match=r"annotation 0 \(image 5\): neither bbox nor labeled keypoints"):
        evaluate(truth, [])


def test_boxes_of_predictions_change_nothing():
    truth = random_set(2)
    records = noisy_predictions(truth, 2)
    assert evaluate_keypoints(truth, records) == evaluate_keypoints(truth, without_boxes(records))


def test_order_of_images_and_annotations_does_not_matter():
    truth = random_set(4)
    records = noisy_predictions(truth, 4, ties=False)
    metrics = evaluate_keypoints(truth, records)
    for part in ("images", "annotations"):
        truth[part] = truth[part][::-1]
    assert evaluate_keypoints(truth, records[::-1]) == pytest.approx(metrics, abs=1e-12)


def test_only_some_images_and_categories():
    truth = random_set(6, images=20, categories=(2, 4))
    records = noisy_predictions(truth, 6)
    images = [image["id"] for image in truth["images"]][:7]
    part = {
        "images": truth["images"][:7],
        "categories": truth["categories"][:1],
        "annotations": [a for a in truth["annotations"] if a["image_id"] in images and a["category_id"] == 2],
    }
    selected = [r for r in records if r["image_id"] in images and r["category_id"] == 2]
    for evaluation in (evaluate_keypoints, evaluate_boxes):
        metrics = evaluation(truth, records, image_ids=images * 2, category_ids=[2])
        assert metrics == evaluation(part, selected)
        assert metrics != evaluation(truth, records)


def test_the_best_detections_of_each_image_and_category_are_kept_in_their_order():
    images, categories = [1, 1, 1, 2, 1, 1, 2], [1, 1, 1, 1, 2, 1, 1]
    scores = [0.5, 0.9, 0.5, 0.1, 0.2, 0.4, 0.3]
    predictions = Predictions(np.array(images), np.array(categories), np.array(scores))
    kept = {
        limit: best_per_image(predictions._replace(boxes=np.arange(28.0).reshape(7, 4)), limit).boxes[:, 0] / 4
        for limit in (1, 2, 3, 7)
    }
    assert kept[1].tolist() == [1, 4, 6]
    assert kept[2].tolist() == [0, 1, 3, 4, 6], "of equal scores the earlier one"
    assert kept[3].tolist() == [0, 1, 2, 3, 4, 6] and kept[7].tolist() == list(range(7))


def test_detections_elsewhere_are_not_matched():
    """A better one on an image, or of a category, that is not evaluated."""
    truth = tiny_set()
    truth["images"].append({"id": 6})
    truth["categories"].append({"id": 2, "name": "robot"})
    records = [detection(50, 0.9, image_id=6), detection(50, 0.9, category_id=2), detection()]
    assert evaluate(truth, records, image_ids=[5], category_ids=[1])["AP"] == pytest.approx(1)
    boxes = [{**record, "bbox": [0, 0, 64, 64]} for record in records]
    assert evaluate_boxes(truth, boxes, image_ids=[5], category_ids=[1], at=[0])["precision@0"] == 1


def test_recall_without_annotations_is_undefined():
    truth = GroundTruth.load(tiny_set(iscrowd=1))
    predictions = Predictions.load([{**detection(), "bbox": [0, 0, 64, 64]}])
    evaluation = match_boxes(truth, predictions, [5], [1])
    assert precision_and_recall(evaluation, [0]) == {"precision@0": -1, "recall@0": -1}
    assert precision_and_recall(evaluation, []) == {}


def test_warnings_name_the_caller():
    with pytest.warns(UserWarning) as caught:
        evaluate_boxes(dict(tiny_set(), annotations=[]), [])
    assert caught[0].filename == __file__


def test_category_without_keypoints_does_not_count():
    truth = tiny_set()
    truth["categories"].append({"id": 9, "name": "car"})
    truth["annotations"].append({"id": 50, "image_id": 5, "category_id": 9, "bbox": [0, 0, 10, 10], "area": 100})
    assert evaluate(truth, [detection()], category_ids=[1, 9])["AP"] == pytest.approx(1)


def test_no_detections_give_zero_and_a_warning():
    truth = random_set(1, images=30)
    for predictions in ([], Predictions.load([])):
        with pytest.warns(UserWarning, match="no detections"):
            assert evaluate_keypoints(truth, predictions) == dict.fromkeys(KEYPOINT_METRICS, 0)
        with pytest.warns(UserWarning, match="no detections"):
            assert evaluate_boxes(truth, predictions) == dict.fromkeys(BOX_METRICS, 0)


@pytest.mark.parametrize("annotations", [[], tiny_set(keypoints=[0] * 6)["annotations"]])
def test_nothing_to_be_found_gives_minus_one_and_a_warning(annotations):
    truth = dict(tiny_set(), annotations=annotations)
    with pytest.warns(UserWarning, match="no person with labeled keypoints on the 1 image"):
        assert evaluate(truth, [detection()]) == dict.fromkeys(KEYPOINT_METRICS, -1)


def test_no_annotation_gives_minus_one_for_boxes():
    with pytest.warns(UserWarning, match="no annotated object"):
        assert evaluate_boxes(dict(tiny_set(), annotations=[]), []) == dict.fromkeys(BOX_METRICS, -1)


def test_nan_detections_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="2 detections left out: they hold NaN"):
        metrics = evaluate(tiny_set(), [detection(math.nan, 0.9), detection(50, math.nan), detection()])
    assert metrics["AP"] == pytest.approx(1)


def test_detections_of_an_unknown_category_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="1 detections left out: their category is not in .*, such as 3"):
        metrics = evaluate(tiny_set(), [detection(50, 0.9, category_id=3), detection()])
    assert metrics["AP"] == pytest.approx(1)


def test_packed_predictions_equal_records():
    truth = random_set(8, first_id=2**35)
    records = noisy_predictions(truth, 8)
    packed = Predictions.load(records)
    assert packed.image_ids.dtype == np.int64 and packed.keypoints.shape == (len(records), 17, 3)
    assert evaluate_keypoints(truth, packed) == evaluate_keypoints(truth, records)
    assert evaluate_boxes(truth, packed) == evaluate_boxes(truth, records)
    assert keypoint_records(packed) == without_boxes(records)
    assert [r["bbox"] for r in box_records(packed)] == [pytest.approx(r["bbox"]) for r in records]
    halves = [packed.select(np.arange(len(records)) % 2 == part) for part in (0, 1)]
    assert len(Predictions.concatenate(halves).scores) == len(records)


def test_files_and_a_ground_truth_read_once(tmp_path):
    truth = random_set(8)
    records = exact_predictions(truth)
    ann, pred = tmp_path / "ann.json", tmp_path / "pred.json"
    ann.write_text(json.dumps(truth))
    pred.write_text(json.dumps(records))
    metrics = evaluate_keypoints(truth, records)
    assert evaluate_keypoints(ann, pred) == evaluate_keypoints(GroundTruth.load(str(ann)), str(pred)) == metrics


def test_unlisted_images_are_not_evaluated():
    truth = tiny_set(2)
    truth["annotations"][1]["image_id"] = 77
    assert evaluate(truth, [detection()])["AP"] == pytest.approx(1)


def test_default_sigmas_without_17_keypoints_are_one_over_k():
    truth = tiny_set()
    assert evaluate_keypoints(truth, [detection(20)]) == evaluate_keypoints(truth, [detection(20)], sigmas=[0.5, 0.5])
    assert keypoint_sigmas(GroundTruth.load(tiny_set(keypoints=[0] * 15))) == [0.2] * 5
    assert keypoint_sigmas(GroundTruth.load(tiny_set(keypoints=None))) == list(COCO_PERSON.sigmas)


BAD_ANNOTATIONS = [
    ({"keypoints": [1.0, 2, 2]}, r"annotation 0 \(image 5\): 1 keypoint, the skeleton has 2"),
    ({"keypoints": [math.nan, 0, 2, 0, 0, 2]}, r"annotation 0 \(image 5\): keypoint list holds NaN or infinity"),
    ({"bbox": [1, 2, 3]}, r"annotation 0 \(image 5\): bbox has 3 numbers, expected 4"),
    ({"area": math.inf}, r"annotation 0 \(image 5\): area holds NaN or infinity"),
    ({"category_id": 3}, r"annotation 0 \(image 5\): unknown category id 3"),
    ({"id": "seven"}, "annotation at position 0: id is 'seven', not an integer"),
]


@pytest.mark.parametrize("change, message", BAD_ANNOTATIONS)
def test_bad_annotation_is_named(tmp_path, change, message):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(tiny_set(**change)))
    with pytest.raises(DataError, match=message) as error:
        evaluate(path, [detection()])
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_ids_that_occur_twice_are_named():
    truth = tiny_set(2)
    truth["annotations"][1]["id"] = 0
    with pytest.raises(DataError, match=r"annotation 0 \(image 5\): annotation id is used twice"):
        evaluate(truth, [])
    truth = tiny_set()
    truth["images"] *= 2
    with pytest.raises(DataError, match="image 5: image id is used 2 times"):
        evaluate(truth, [])


@pytest.mark.parametrize(
    "records, message",
    [
        ([detection(), detection(image_id=6)], "1 detections are on images that annotations does not have, such as 6"),
        ([dict(detection(), keypoints=[1.0] * 12)], "the detections have 4 keypoints, the annotations .* 2"),
        ([dict(detection(), keypoints=[1.0] * 5)], "record 0 has 5 keypoint numbers"),
        ([detection(), dict(detection(), keypoints=[1.0])], "record 1 has 1 numbers as keypoints, expected 6"),
        ([{"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "the detections have no keypoints"),
        ([detection(), {"image_id": 5}], "record 1 has the category_id None"),
        ([dict(detection(), image_id="5")], "record 0 has the image_id '5'"),
        ([detection(), dict(detection(), score="high")], "record 1 has the score 'high'"),
        ([dict(detection(), keypoints=["x"] * 6)], "keypoints of a record holds something that is not a number"),
        ({"annotations": []}, "not in COCO results format"),
        (["?"], "record 0 has the image_id None"),
    ],
)
def test_bad_predictions_are_named(records, message):
    with pytest.raises(DataError, match=message):
        evaluate(tiny_set(), records)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=r"annotation file not found: .*none\.json"):
        evaluate(tmp_path / "none.json", [])
    with pytest.raises(DataError, match=r"predictions file not found: .*none\.json"):
        evaluate(tiny_set(), tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"images": [')
    with pytest.raises(DataError, match=r"not valid JSON: .*half\.json"):
        evaluate(tmp_path / "half.json", [])
    for content in ([], {"images": []}, {"images": [], "annotations": [], "categories": {}}):
        with pytest.raises(DataError, match="not a COCO annotation file: "):
            evaluate(content if isinstance(content, dict) else _written(tmp_path, content), [])
    with pytest.raises(DataError, match="annotation file cannot be read"):
        evaluate(tmp_path, [])


def _written(folder, content):
    path = folder / "content.json"
    path.write_text(json.dumps(content))
    return path


def test_unusable_options():
    with pytest.raises(DataError, match="sigmas must be positive"):
        evaluate_keypoints(tiny_set(), [], sigmas=[0.1, 0])
    for image_ids, message in ([5, 6], "6$"), ([7, 6, 5], r"6 \(and 1 more\)$"), ([8, 7, 6], r"6 \(and 2 more\)$"):
        with pytest.raises(DataError, match=f"no image with id {message}"):
            evaluate(tiny_set(), [], image_ids=image_ids)
    with pytest.raises(DataError, match="no category with id 2"):
        evaluate(tiny_set(), [], category_ids=[2])


def test_nothing_is_warned_about_usual_sets():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(tiny_set(), [detection()])


def test_evaluating_files_imports_no_torch(repo_root):
    code = "import sys; from yolox_pose.evaluation import evaluate_keypoints as e; assert e; print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, check=True)
    assert not {"'torch'", "'mmengine'"} & set(modules.stdout.strip("[]\n").split(", "))


def test_missing_engine_is_one_line_with_the_command_that_mends_it(monkeypatch):
    monkeypatch.setattr("yolox_pose.utils.dependencies.metadata.version", _not_installed)
    monkeypatch.setattr("yolox_pose.utils.dependencies.find_spec", lambda name: None)
    with pytest.raises(YOLOXPoseError, match="^hotcoco is missing; install with: yolox-pose install"):
        evaluate(tiny_set(), [detection()])


def _not_installed(name):
    raise PackageNotFoundError(name)
