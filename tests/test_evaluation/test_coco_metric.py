"""The registered metric: samples in, metrics and files out, the same from one process or two."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from tests.test_evaluation.coco_sets import noisy_predictions, random_set, without_boxes
from yolox_pose.errors import DataError
from yolox_pose.evaluation import CocoPoseMetric, evaluate_boxes, evaluate_keypoints
from yolox_pose.evaluation.coco_eval import BOX_METRICS, KEYPOINT_METRICS
from yolox_pose.registry import METRICS

PIXELS = 1e-4  # the metric rounds coordinates to 4 decimals


@pytest.fixture
def truth():
    return random_set(21, images=16, categories=(5, 2), first_id=2**33)


@pytest.fixture
def ann_file(truth, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(truth))
    return str(path)


def sample(image_id, records, category_ids, convert=np.asarray):
    """What MMEngine's evaluator passes for an image: nested dicts."""
    xywh = np.reshape([r["bbox"] for r in records], (-1, 4))
    points = np.reshape([r["keypoints"] for r in records], (len(records), 17, 3))
    fields = {
        "bboxes": np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1),
        "scores": np.asarray([r["score"] for r in records], float),
        "labels": np.asarray([category_ids.index(r["category_id"]) for r in records], int),
        "keypoints": points[..., :2],
        "keypoint_scores": points[..., 2],
    }
    return {"img_id": image_id, "pred_instances": {name: convert(value) for name, value in fields.items()}}


def samples(truth, records, convert=np.asarray):
    """One sample an image; labels are positions in the file's category list."""
    categories = [c["id"] for c in truth["categories"]]
    ids = [image["id"] for image in truth["images"]]
    return [sample(i, [r for r in records if r["image_id"] == i], categories, convert) for i in ids]


def evaluate(metric, batch, size=None):
    for item in batch:
        metric.process({}, [item])
    return metric.evaluate(len(batch) if size is None else size)


def read(path):
    return json.loads(Path(path).read_text())


def expected(truth, records):
    return {f"coco/{name}": value for name, value in evaluate_keypoints(truth, records).items()}


def to_float_tensor(value):
    return torch.as_tensor(value).float() if value.dtype == float else torch.as_tensor(value)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "tensors"])
def test_metrics_are_those_of_the_functions(truth, ann_file, convert):
    records = noisy_predictions(truth, 1)
    metrics = evaluate(CocoPoseMetric(ann_file), samples(truth, records, convert))
    assert list(metrics) == [f"coco/{name}" for name in KEYPOINT_METRICS]
    assert metrics == pytest.approx(expected(truth, records), abs=1e-6)


def test_built_from_a_config_and_fed_with_data_samples(truth, ann_file):
    from mmpose.structures import PoseDataSample

    records = noisy_predictions(truth, 1)
    elements = []
    for item in samples(truth, records, to_float_tensor):
        element = PoseDataSample(metainfo={"img_id": item["img_id"]})
        element.pred_instances = InstanceData(**item["pred_instances"])
        elements.append(element)
    evaluator = Evaluator(METRICS.build({"type": "CocoPoseMetric", "ann_file": ann_file}))
    evaluator.process(elements, {})
    metrics = evaluator.evaluate(len(elements))
    assert metrics == pytest.approx(expected(truth, records), abs=1e-6)
    metric = CocoPoseMetric(ann_file)
    metric.process({}, elements)
    assert metric.evaluate(len(elements)) == metrics


def test_a_metric_can_be_used_again(truth, ann_file):
    records = noisy_predictions(truth, 1)
    metric = CocoPoseMetric(ann_file)
    first = evaluate(metric, samples(truth, records))
    assert evaluate(metric, samples(truth, records[::2])) != first
    assert evaluate(metric, samples(truth, records)) == first


def test_labels_are_matched_by_name(truth, ann_file):
    records = noisy_predictions(truth, 1)
    swapped = samples({**truth, "categories": truth["categories"][::-1]}, records)
    by_argument = CocoPoseMetric(ann_file, classes=["class2", "class5"])
    by_data_set = CocoPoseMetric(ann_file)
    by_data_set.dataset_meta = {"classes": ("class2", "class5")}
    for metric in (by_argument, by_data_set):
        assert evaluate(metric, swapped) == pytest.approx(expected(truth, records), abs=1e-6)
    only_one = [r for r in records if r["category_id"] == 2]
    one = evaluate(
        CocoPoseMetric(ann_file, classes=["class2"]),
        samples({**truth, "categories": truth["categories"][1:]}, only_one),
    )
    reference = evaluate_keypoints(truth, only_one, category_ids=[2])
    assert one == pytest.approx({f"coco/{k}": v for k, v in reference.items()}, abs=1e-6)


def test_repeated_images_count_once(truth, ann_file):
    records = noisy_predictions(truth, 1)
    items = samples(truth, records)
    assert evaluate(CocoPoseMetric(ann_file), [*items, *items[:3]], len(items)) == evaluate(
        CocoPoseMetric(ann_file), items
    )


def test_of_a_repeated_image_the_first_result_counts(truth, ann_file):
    records = noisy_predictions(truth, 1)
    items = samples(truth, records)
    nothing = samples(truth, [])
    metrics = evaluate(CocoPoseMetric(ann_file), [*items, *nothing], len(items))
    assert metrics == evaluate(CocoPoseMetric(ann_file), items)
    assert set(evaluate(CocoPoseMetric(ann_file), [*nothing, *items], len(items)).values()) == {0.0}


def test_written_predictions_give_the_same_metrics(truth, ann_file, tmp_path):
    records = noisy_predictions(truth, 1, ties=False)
    prefix = str(tmp_path / "out" / "predictions")
    metric = CocoPoseMetric(ann_file, outfile_prefix=prefix, metric=("keypoints", "bbox"))
    metrics = evaluate(metric, samples(truth, records, to_float_tensor))
    written, boxes = (read(f"{prefix}{end}.json") for end in ("", "_bbox"))
    assert len(written) == len(boxes) == len(records)
    assert set(written[0]) == {"image_id", "category_id", "score", "keypoints"}
    again = {**evaluate_keypoints(truth, written), **evaluate_boxes(truth, boxes)}
    assert {name.removeprefix("coco/"): value for name, value in metrics.items()} == again
    np.testing.assert_allclose(written[0]["keypoints"][:2], records[0]["keypoints"][:2], atol=PIXELS)
    assert list(tmp_path.glob("out/.*")) == []


def test_boxes_alone(truth, ann_file):
    records = noisy_predictions(truth, 1)
    items = samples(truth, records)
    for item in items:
        del item["pred_instances"]["keypoints"], item["pred_instances"]["keypoint_scores"]
    metrics = evaluate(CocoPoseMetric(ann_file, metric="bbox"), items)
    assert metrics == pytest.approx({f"coco/{k}": v for k, v in evaluate_boxes(truth, records).items()}, abs=1e-6)
    assert tuple(metrics) == tuple(f"coco/{name}" for name in BOX_METRICS)


def test_format_only_needs_no_annotations(truth, tmp_path):
    path = tmp_path / "images.json"
    path.write_text(json.dumps({key: truth[key] for key in ("images", "categories")}))
    records = noisy_predictions(truth, 1)
    metric = CocoPoseMetric(str(path), format_only=True, outfile_prefix=str(tmp_path / "p"))
    assert evaluate(metric, samples(truth, records)) == {}
    assert len(json.loads((tmp_path / "p.json").read_text())) == len(records)
    with pytest.raises(DataError, match="'annotations' is missing"):
        CocoPoseMetric(str(path))


@pytest.mark.parametrize("mode", ["bbox", "keypoint", "bbox_keypoint"])
def test_score_modes(truth, ann_file, tmp_path, mode):
    instances = {
        "bboxes": np.array([[0, 0, 5, 5.0], [0, 0, 9, 9]]),
        "bbox_scores": np.array([0.5, 0.8]),
        "keypoints": np.zeros((2, 17, 2)),
        "keypoint_scores": np.array([[0.1] * 9 + [0.6] * 8, [0.1] * 17]),
    }
    prefix = str(tmp_path / mode)
    metric = CocoPoseMetric(ann_file, score_mode=mode, outfile_prefix=prefix, format_only=True)
    evaluate(metric, [{"img_id": truth["images"][0]["id"], "pred_instances": instances}])
    expect = {"bbox": [0.5, 0.8], "keypoint": [5.7 / 17, 0.1], "bbox_keypoint": [0.5 * 0.6, 0]}[mode]
    assert [r["score"] for r in read(f"{prefix}.json")] == pytest.approx(expect)


def test_a_keypoint_score_at_the_threshold_does_not_count(truth, ann_file, tmp_path):
    instances = {
        "bbox_scores": np.array([1.0]),
        "keypoints": np.zeros((1, 17, 2)),
        "keypoint_scores": np.array([[0.25] * 16 + [0.75]]),
    }
    options = {"score_mode": "bbox_keypoint", "keypoint_score_thr": 0.25}
    metric = CocoPoseMetric(ann_file, **options, outfile_prefix=str(tmp_path / "out"), format_only=True)
    evaluate(metric, [{"img_id": truth["images"][0]["id"], "pred_instances": instances}])
    assert [record["score"] for record in read(tmp_path / "out.json")] == [0.75]


def test_tiny_keypoint_scores_are_not_rounded_to_zero(truth, ann_file):
    records = noisy_predictions(truth, 1)
    for record in records:
        record["keypoints"][2::3] = [1e-9] * 17
    metrics = evaluate(CocoPoseMetric(ann_file), samples(truth, records))
    assert metrics == expected(truth, records) and metrics["coco/AP"] > 0


@pytest.fixture
def log_lines(monkeypatch):
    lines = []
    monkeypatch.setattr(
        "yolox_pose.evaluation.coco_metric.print_log",
        lambda message, logger=None, level=logging.INFO: lines.append((level, message)),
    )
    return lines


def test_no_detections_are_zero_and_logged(truth, ann_file, log_lines):
    metrics = evaluate(CocoPoseMetric(ann_file), samples(truth, []))
    assert set(metrics.values()) == {0.0}
    assert [message for level, message in log_lines if level == logging.WARNING] == [
        f"no detections to evaluate against {ann_file}"
    ]


def test_part_of_the_images_is_evaluated_and_logged(truth, ann_file, log_lines):
    records = noisy_predictions(truth, 1)
    items = samples(truth, records)[:5]
    metrics = evaluate(CocoPoseMetric(ann_file), items)
    images = [item["img_id"] for item in items]
    selected = [r for r in records if r["image_id"] in images]
    reference = evaluate_keypoints(truth, selected, image_ids=images)
    assert metrics == pytest.approx({f"coco/{k}": v for k, v in reference.items()}, abs=1e-6)
    assert any("5 of the 16 images" in message for _, message in log_lines)


def test_empty_ground_truth_is_minus_one_and_logged(truth, tmp_path, log_lines):
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({**truth, "annotations": []}))
    metrics = evaluate(CocoPoseMetric(str(path)), samples(truth, noisy_predictions(truth, 1)))
    assert set(metrics.values()) == {-1.0}
    assert any("no person with labeled keypoints on the 16 images" in message for _, message in log_lines)


def test_nothing_processed_at_all(ann_file, log_lines):
    assert set(CocoPoseMetric(ann_file).evaluate(0).values()) == {-1.0}


def test_wrong_settings(ann_file, tmp_path):
    with pytest.raises(DataError, match=r"annotation file not found: .*none\.json"):
        CocoPoseMetric(str(tmp_path / "none.json"))
    for settings in ({"score_mode": "best"}, {"nms_mode": "oks_nms"}, {"metric": ("segm",)}, {"metric": ()}):
        with pytest.raises(ValueError, match=f"CocoPoseMetric: {next(iter(settings))} must be"):
            CocoPoseMetric(ann_file, **settings)
    with pytest.raises(ValueError, match="outfile_prefix"):
        CocoPoseMetric(ann_file, format_only=True)


def test_wrong_samples(truth, ann_file):
    metric = CocoPoseMetric(ann_file)
    items = samples(truth, noisy_predictions(truth, 1))
    with pytest.raises(ValueError, match="neither scores nor bbox_scores"):
        metric.process({}, [{"img_id": 1, "pred_instances": {}}])
    with pytest.raises(ValueError, match="no keypoints"):
        metric.process({}, [{"img_id": 1, "pred_instances": {"scores": np.zeros(1)}}])
    with pytest.raises(DataError, match=r"no category 'dog'; the file has 'class5', 'class2'"):
        evaluate(CocoPoseMetric(ann_file, classes=["dog"]), items)
    with pytest.raises(DataError, match="label 1, but .* gives 1"):
        evaluate(CocoPoseMetric(ann_file, classes=["class5"]), items)
    with pytest.raises(DataError, match="no image with id 3"):
        evaluate(metric, [dict(items[0], img_id=3)])
    with pytest.raises(DataError, match=r"annotation 1 \(image \d+\): 17 keypoints, the skeleton has 2"):
        evaluate(CocoPoseMetric(ann_file, skeleton=["a", "b"]), items)


WORKER = """
import json, os
import torch.distributed as dist
from tests.test_evaluation.coco_sets import noisy_predictions
from tests.test_evaluation.test_coco_metric import samples
from tests.worker_exit import leave_and_exit
from yolox_pose.errors import DataError
from yolox_pose.evaluation import CocoPoseMetric

rank = int(os.environ["RANK"])
dist.init_process_group("gloo")
truth = json.load(open({ann!r}))
items = samples(truth, noisy_predictions(truth, 1))
selected = items[:11] if rank == 0 else items[9:]  # unequal parts that overlap
metric = CocoPoseMetric({ann!r})
metric.process({{}}, selected)
metrics = metric.evaluate(len(items))
metric = CocoPoseMetric({ann!r}, classes=["dog"])
metric.process({{}}, selected)
try:
    metric.evaluate(len(items))
except DataError as error:
    metrics["error"] = str(error)
with open({out!r} + f"/{{rank}}.json", "w") as file:
    json.dump(metrics, file)
leave_and_exit()
"""


@pytest.mark.slow
def test_two_processes_agree_with_one(truth, ann_file, tmp_path, repo_root):
    single = evaluate(CocoPoseMetric(ann_file), samples(truth, noisy_predictions(truth, 1)))
    code = WORKER.format(ann=ann_file, out=str(tmp_path))
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(20000 + os.getpid() % 20000)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=repo_root,
            env={**environment, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    for rank in range(2):  # both have the metrics of a single process, and both hear of an error in the first
        metrics = json.loads((tmp_path / f"{rank}.json").read_text())
        assert "no category 'dog'" in metrics.pop("error")
        assert metrics == single


@pytest.mark.slow
def test_real_people(shared_data):
    path = shared_data / "coco_persons" / "annotations" / "val.json"
    truth = json.loads(path.read_text())
    records = noisy_predictions(truth, 3, noise=0.02)
    metrics = evaluate(CocoPoseMetric(str(path), metric=("keypoints", "bbox")), samples(truth, records))
    reference = {**evaluate_keypoints(truth, without_boxes(records)), **evaluate_boxes(truth, records)}
    assert metrics == pytest.approx({f"coco/{k}": v for k, v in reference.items()}, abs=1e-5)
