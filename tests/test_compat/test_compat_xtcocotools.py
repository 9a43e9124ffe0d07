"""The stand-in for xtcocotools has the figures of the real one, or of pycocotools where that is not installed."""

import importlib
import json

import numpy as np
import pytest
from pycocotools import coco as pycoco
from pycocotools import cocoeval as pycocoeval

from yolox_pose import compat
from yolox_pose.compat import xtcocotools as stand_in

PARTS = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
SIGMAS = {
    "keypoints": 17,
    "keypoints_crowd": 14,
    "keypoints_wholebody": 133,
    "keypoints_foot": 6,
    "keypoints_face": 68,
    "keypoints_lefthand": 21,
    "keypoints_righthand": 21,
}
REAL = compat.install()["xtcocotools"] == "found"
needs_real = pytest.mark.skipif(not REAL, reason="xtcocotools is not installed, or broken by numpy 2 (classic only)")


def person(rng, kind, number, image_id):
    x, y, w, h = *rng.uniform(0, 400, 2), *rng.uniform(5, 240, 2)
    ann = {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [x, y, w, h],
        "area": w * h * rng.uniform(0.3, 0.8),
        "iscrowd": int(rng.random() < 0.1),
    }
    for part, count in {**PARTS, "keypoints": 14 if kind == "keypoints_crowd" else 17}.items():
        codes = rng.integers(0, 3, count) * (rng.random() > 0.15)
        ann[part] = np.stack([rng.uniform(x, x + w, count), rng.uniform(y, y + h, count), codes], -1).ravel().tolist()
    codes = np.array(ann["keypoints"][2::3])
    ann["num_keypoints"] = int(np.count_nonzero(codes == 2 if kind == "keypoints_crowd" else codes > 0))
    return ann


def detection(rng, ann, with_box):
    noise = rng.choice([0.01, 0.05, 0.2]) * np.sqrt(ann["bbox"][2] * ann["bbox"][3])
    found = {"image_id": ann["image_id"], "category_id": 1, "score": round(rng.random(), 1)}  # with ties
    for part in PARTS:
        keypoints = np.reshape(ann[part], (-1, 3)).copy()
        keypoints[:, :2] += rng.normal(0, noise, (len(keypoints), 2))
        keypoints[:, 2] = rng.random(len(keypoints)) * (rng.random() > 0.05)
        found[part] = keypoints.ravel().tolist()
    if with_box:
        found["bbox"] = [*ann["bbox"][:2], ann["bbox"][2] * rng.uniform(0.5, 1.5), ann["bbox"][3]]
    return found


def data_set(folder, kind="keypoints", seed=0, with_box=False):
    """Write annotations (ids beyond 32 bits, crowd regions, people without keypoints) and noisy results."""
    rng = np.random.default_rng(seed)
    images = [{"id": int(i) + 2**40, "width": 640, "height": 480, "crowdIndex": rng.random()} for i in range(30)]
    anns = [person(rng, kind, 0, image["id"]) for image in images for _ in range(rng.integers(0, 7))]
    for number, ann in enumerate(anns, start=1):
        ann["id"] = number
    results = [detection(rng, ann, with_box) for ann in anns for _ in range(rng.integers(0, 4))]
    paths = str(folder / "truth.json"), str(folder / "results.json")
    categories = [{"id": 1, "name": "person"}]
    for path, content in zip(paths, ({"images": images, "annotations": anns, "categories": categories}, results)):
        with open(path, "w") as file:
            json.dump(content, file)
    return paths


def read(path):
    with open(path) as file:
        return json.load(file)


def run(coco, cocoeval, paths, kind, sigmas, use_area):
    truth = coco.COCO(paths[0])
    evaluator = cocoeval.COCOeval(truth, truth.loadRes(paths[1]), kind, sigmas, use_area)
    evaluator.params.useSegm = None  # as mmpose does
    evaluator.evaluate()
    evaluator.accumulate()
    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
    evaluator.summarize()
    return np.array(evaluator.stats), precision, recall


@needs_real
@pytest.mark.parametrize("kind", SIGMAS)
@pytest.mark.parametrize(("with_box", "use_area"), [(False, True), (True, True), (False, False)])
def test_figures_are_those_of_xtcocotools(tmp_path, kind, with_box, use_area):
    paths = data_set(tmp_path, kind, with_box=with_box)
    sigmas = np.random.default_rng(1).uniform(0.02, 0.1, SIGMAS[kind])
    real = [importlib.import_module(f"xtcocotools.{name}") for name in ("coco", "cocoeval")]
    expected = run(*real, paths, kind, sigmas, use_area)
    for ours, theirs in zip(run(stand_in, stand_in, paths, kind, sigmas, use_area), expected):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("custom", [False, True], ids=["coco sigmas", "custom sigmas"])
@pytest.mark.parametrize("use_area", [True, False])
def test_figures_are_those_of_pycocotools(tmp_path, custom, use_area):
    paths = data_set(tmp_path)
    truth = pycoco.COCO(paths[0])
    results = truth.loadRes([r for r in read(paths[1]) if any(np.array(r["keypoints"][2::3]) > 0)])
    for ann in truth.dataset["annotations"] if not use_area else ():
        ann["area"] = ann["bbox"][2] * ann["bbox"][3] * 0.53
    evaluator = pycocoeval.COCOeval(truth, results, "keypoints")
    sigmas = np.random.default_rng(1).uniform(0.02, 0.1, 17) if custom else None
    if custom:
        evaluator.params.kpt_oks_sigmas = sigmas
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    stats, precision, recall = run(stand_in, stand_in, paths, "keypoints", sigmas, use_area)
    np.testing.assert_allclose(stats, evaluator.stats, rtol=0, atol=1e-12)
    np.testing.assert_allclose(precision, evaluator.eval["precision"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(recall, evaluator.eval["recall"], rtol=0, atol=1e-12)


def test_boxes_are_left_to_pycocotools(tmp_path):
    paths = data_set(tmp_path, with_box=True)
    stats, *_ = run(stand_in, stand_in, paths, "bbox", None, True)
    truth = pycoco.COCO(paths[0])
    evaluator = pycocoeval.COCOeval(truth, truth.loadRes(paths[1]), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    np.testing.assert_array_equal(stats, evaluator.stats)


def test_truth_as_result_is_perfect_and_no_result_is_zero(tmp_path):
    paths = data_set(tmp_path)
    truth = read(paths[0])["annotations"]
    perfect = [{**ann, "score": 1.0} for ann in truth if ann["num_keypoints"] and not ann["iscrowd"]]
    for results, expected in ((perfect, 1.0), ([], 0.0)):
        stats, *_ = run(stand_in, stand_in, (paths[0], results), "keypoints", None, True)
        np.testing.assert_allclose(stats, expected)


def test_areas_the_data_do_not_cover_are_minus_one(tmp_path):
    ann = {"id": 7, "image_id": "a", "category_id": 3, "bbox": [0, 0, 40, 40], "keypoints": [5, 5, 2] * 17}
    content = {"images": [{"id": "a"}], "categories": [{"id": 3, "name": "x"}], "annotations": [{**ann, "area": 1600}]}
    truth = stand_in.COCO("no file", ann_data=content)
    assert truth.loadAnns(truth.getAnnIds())[0]["iscrowd"] is False
    evaluator = stand_in.COCOeval(truth, truth.loadRes([{**ann, "score": 0.5}]))
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    np.testing.assert_allclose(evaluator.stats, [1, 1, 1, 1, -1, 1, 1, 1, 1, -1])


def test_test_index_keeps_some_keypoints(tmp_path):
    path, _ = data_set(tmp_path)
    whole, part = stand_in.COCO(path), stand_in.COCO(path, test_index=[3, 0])
    assert part.anns[1]["keypoints"] == whole.anns[1]["keypoints"][9:12] + whole.anns[1]["keypoints"][:3]


def test_wrong_number_of_sigmas_names_the_annotation(tmp_path):
    with pytest.raises(ValueError, match=r"annotation \d+ of image \d+ has 17 keypoints, but there are 4 sigmas"):
        run(stand_in, stand_in, data_set(tmp_path), "keypoints", [0.1] * 4, True)


def test_mmpose_evaluates_with_it(tmp_path, monkeypatch):
    from mmpose.evaluation.metrics import coco_metric

    monkeypatch.setattr(coco_metric, "COCO", stand_in.COCO)
    monkeypatch.setattr(coco_metric, "COCOeval", stand_in.COCOeval)
    path, _ = data_set(tmp_path)
    metric = coco_metric.CocoMetric(ann_file=path, score_mode="bbox", nms_mode="none")
    sigmas = np.array(stand_in._COCO_SIGMAS)
    metric.dataset_meta = {"num_keypoints": 17, "sigmas": sigmas, "dataset_name": "coco"}
    truth = read(path)
    for image in truth["images"]:
        people = [a for a in truth["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"]]
        keypoints = np.array([a["keypoints"] for a in people]).reshape(-1, 17, 3)
        boxes = np.array([a["bbox"] for a in people]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        found = {
            "bboxes": boxes,
            "bbox_scores": np.ones(len(people)),
            "keypoints": keypoints[..., :2],
            "keypoint_scores": np.ones(keypoints.shape[:2]),
        }
        sample = {"id": [0], "img_id": image["id"], "pred_instances": found, "gt_instances": {}}
        metric.process([], [sample])
    figures = metric.evaluate(len(truth["images"]))
    assert figures["coco/AP"] > 0.9
