"""Boxes of all classes against one file, keypoints of some against another, in one pass."""

import copy
import json

import numpy as np
import pytest

from tests.test_evaluation.coco_sets import noisy_predictions, random_set
from yolox_pose.coco.results import Predictions
from yolox_pose.errors import DataError
from yolox_pose.evaluation import CocoPoseMetric, evaluate_boxes, evaluate_keypoints
from yolox_pose.evaluation.coco_eval import BOX_METRICS, KEYPOINT_METRICS

CLASSES = ["class5", "class2", "class9"]  # in label order; class2 has keypoints


@pytest.fixture
def sets(tmp_path):
    """Instances of three categories, the keypoints of one of them under another category id, and their files."""
    both = random_set(3, images=16, categories=(5, 2, 9), max_people=9)
    instances = copy.deepcopy(both)
    for annotation in instances["annotations"]:
        del annotation["keypoints"], annotation["num_keypoints"]
    for category in instances["categories"]:
        del category["keypoints"], category["skeleton"]
    people = copy.deepcopy(both)
    people["annotations"] = [a | {"category_id": 1} for a in both["annotations"] if a["category_id"] == 2]
    people["categories"] = [both["categories"][1] | {"id": 1}]
    paths = {name: str(tmp_path / f"{name}.json") for name in ("instances", "people", "both")}
    for name, content in (("instances", instances), ("people", people), ("both", both)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return both, instances, people, paths


def feed(metric, truth, records):
    """Give the metric what a joint model finds: keypoint scores of 0 for the other classes."""
    ids = [int(name.removeprefix("class")) for name in CLASSES]
    for image in truth["images"]:
        selected = [r for r in records if r["image_id"] == image["id"]]
        xywh = np.reshape([r["bbox"] for r in selected], (-1, 4))
        points = np.reshape([r["keypoints"] for r in selected], (len(selected), 17, 3))
        labels = np.asarray([ids.index(r["category_id"]) for r in selected], int)
        instances = {
            "bboxes": np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
            "scores": np.asarray([r["score"] for r in selected], float),
            "labels": labels,
            "keypoints": points[..., :2],
            "keypoint_scores": points[..., 2] * (labels == 1)[:, None],
        }
        metric.process({}, [{"img_id": image["id"], "pred_instances": instances}])
    return metric.evaluate(len(truth["images"]))


def expected(instances, people, records):
    posed = [{**r, "category_id": 1} for r in records if r["category_id"] == 2]
    boxes = evaluate_boxes(instances, records, category_ids=[2, 5, 9])
    return {f"coco/{k}": v for k, v in {**evaluate_keypoints(people, posed), **boxes}.items()}


@pytest.mark.parametrize("told_by", ["file", "argument", "data set"])
def test_both_metrics_in_one_pass(sets, tmp_path, told_by):
    both, instances, people, paths = sets
    records = noisy_predictions(both, 1)
    prefix = tmp_path / "out" / "predictions"
    settings = {"keypoint_classes": ["class2"]} if told_by == "argument" else {}
    metric = CocoPoseMetric(
        paths["instances"], keypoint_ann_file=paths["people"], metric=("keypoints", "bbox"), classes=CLASSES,
        outfile_prefix=str(prefix), **settings,
    )  # fmt: skip
    metric.dataset_meta = {"keypoint_classes": ["class2"]} if told_by == "data set" else {}
    metrics = feed(metric, both, records)
    assert list(metrics) == [f"coco/{name}" for name in KEYPOINT_METRICS + BOX_METRICS]
    assert metrics == pytest.approx(expected(instances, people, records), abs=1e-6)
    assert metrics["coco/AP"] > 0.02 and metrics["coco/bbox_mAP"] > 0.02

    poses, boxes = (json.loads(prefix.with_name(f"predictions{end}.json").read_text()) for end in ("", "_bbox"))
    assert len(boxes) == len(records) and {r["category_id"] for r in boxes} == {2, 5, 9}
    assert len(poses) == sum(r["category_id"] == 2 for r in records) and {r["category_id"] for r in poses} == {1}
    assert metrics == {
        f"coco/{k}": v for k, v in {**evaluate_keypoints(people, poses), **evaluate_boxes(instances, boxes)}.items()
    }


def test_one_file_in_which_one_class_has_keypoints(sets):
    both, instances, people, paths = sets
    records = noisy_predictions(both, 2)
    metric = CocoPoseMetric(paths["both"], metric=("keypoints", "bbox"), classes=CLASSES, keypoint_classes=["class2"])
    assert feed(metric, both, records) == pytest.approx(expected(instances, people, records), abs=1e-6)


def test_files_of_other_images_and_classes_are_refused(sets, tmp_path):
    both, _, people, paths = sets
    people["images"].pop()
    (tmp_path / "fewer.json").write_text(json.dumps(people))
    with pytest.raises(DataError, match=r"instances\.json and .*fewer\.json are not of the same images"):
        CocoPoseMetric(paths["instances"], keypoint_ann_file=str(tmp_path / "fewer.json"))
    metric = CocoPoseMetric(
        paths["instances"], keypoint_ann_file=paths["people"], classes=CLASSES, keypoint_classes=["class9"]
    )
    with pytest.raises(DataError, match=r"people\.json: no category 'class9'"):
        feed(metric, both, noisy_predictions(both, 1))


def test_a_results_file_in_which_some_records_have_keypoints(sets):
    """What inference writes: boxes everywhere, keypoints for the classes that have them."""
    both, instances, people, _ = sets
    records = noisy_predictions(both, 1)
    mixed = [r if r["category_id"] == 2 else {k: v for k, v in r.items() if k != "keypoints"} for r in records]
    mixed = sorted(mixed, key=lambda r: "keypoints" in r)
    assert Predictions.load(mixed).keypoints[0].tolist() == [[0, 0, 0]] * 17
    ordered = sorted(records, key=lambda r: r["category_id"] == 2)
    assert evaluate_boxes(instances, mixed) == evaluate_boxes(instances, ordered)
    metrics = evaluate_keypoints(both, mixed, category_ids=[2])
    assert metrics == evaluate_keypoints(both, ordered, category_ids=[2])
    without_anything = [{k: v for k, v in r.items() if k not in ("keypoints", "bbox")} for r in mixed[:1]]
    with pytest.raises(DataError, match="record 0 has 0 numbers as keypoints, expected 51"):
        Predictions.load([*without_anything, *mixed[-1:]])
