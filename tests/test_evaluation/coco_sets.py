"""Random COCO-style sets and the original evaluators' metrics for them, shared by the tests of this folder."""

import contextlib
import copy
import io

import numpy as np

KEYPOINT_METRICS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")


def random_set(seed, images=12, num_keypoints=17, categories=(1,), max_people=6, first_id=0, step=1):
    """Annotations with crowds, unlabeled people, hidden keypoints and images without people, of mixed sizes."""
    rng = np.random.default_rng(seed)
    image_ids = [first_id + step * i for i in range(images)]
    annotations = []
    for image_id in image_ids:
        for _ in range(rng.integers(0, max_people + 1)):
            w, h = rng.uniform(12, 220, 2)
            x, y = rng.uniform(0, 400, 2)
            points = np.stack([rng.uniform(x, x + w, num_keypoints), rng.uniform(y, y + h, num_keypoints)], 1)
            visible = rng.integers(0, 3, num_keypoints) if rng.uniform() > 0.25 else np.zeros(num_keypoints, int)
            points[visible == 0] = 0
            keypoints = np.concatenate([points.round(2), visible[:, None]], 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(rng.choice(categories)),
                    "bbox": [round(float(v), 2) for v in (x, y, w, h)],
                    "area": round(float(w * h * rng.uniform(0.3, 0.9)), 2),
                    "iscrowd": int(rng.uniform() < 0.1),
                    "keypoints": keypoints.ravel().tolist(),
                    "num_keypoints": int((visible > 0).sum()),
                }
            )
    names = [f"k{i}" for i in range(num_keypoints)]
    return {
        "images": [{"id": i, "width": 640, "height": 640, "file_name": f"{i}.jpg"} for i in image_ids],
        "categories": [{"id": c, "name": f"class{c}", "keypoints": names, "skeleton": []} for c in categories],
        "annotations": annotations,
    }


def noisy_predictions(truth, seed, noise=0.04, extra=1.5, ties=True):
    """Detections around the annotated people, duplicates and false alarms, some of equal score, some all-zero."""
    rng = np.random.default_rng(seed)
    records = []
    for ann in truth["annotations"]:
        for _ in range(rng.poisson(extra)):
            points = np.asarray(ann["keypoints"], float).reshape(-1, 3)
            x, y, w, h = ann["bbox"]
            unlabeled = points[:, 2] == 0
            points[unlabeled, 0] = rng.uniform(x, x + w, unlabeled.sum())
            points[unlabeled, 1] = rng.uniform(y, y + h, unlabeled.sum())
            points[:, :2] += rng.normal(0, noise * np.sqrt(w * h), (len(points), 2))
            records.append(_record(rng, ann["image_id"], ann["category_id"], points, ties, (x, y, w, h)))
    if records:
        records += [dict(records[0], image_id=image["id"]) for image in truth["images"][::3]]
    return records


def _record(rng, image_id, category_id, points, ties, box):
    score = round(float(rng.uniform()), 1) if ties else float(rng.uniform())
    points[:, 2] = rng.uniform(0.1, 1, len(points)) * (rng.uniform() > 0.05)
    jitter = rng.normal(0, 0.05, 4) * np.array([box[2], box[3], box[2], box[3]])
    return {
        "image_id": image_id,
        "category_id": category_id,
        "keypoints": points.ravel().tolist(),
        "bbox": [float(v) for v in np.asarray(box) + jitter * 0.5],
        "score": score,
    }


def without_boxes(records):
    return [{key: value for key, value in record.items() if key != "bbox"} for record in records]


def exact_predictions(truth):
    """The labeled people themselves as detections."""
    return [
        {"image_id": a["image_id"], "category_id": a["category_id"], "keypoints": a["keypoints"], "score": 0.9}
        for a in truth["annotations"]
        if a["num_keypoints"]
    ]


def original_keypoints(coco_class, eval_class, truth, records, sigmas=None):
    """The ten metrics of xtcocotools or pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco, results = _loaded(coco_class, truth, without_boxes(records))
        if eval_class.__module__.startswith("xtcocotools"):
            evaluation = eval_class(coco, results, "keypoints", None if sigmas is None else np.asarray(sigmas))
        else:
            evaluation = eval_class(coco, results, "keypoints")
            if sigmas is not None:
                evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        _run(evaluation)
    return dict(zip(KEYPOINT_METRICS, evaluation.stats.tolist()))


def noisy_boxes(truth, seed, noise=0.15, extra=1.5):
    """Box detections around the annotated objects: duplicates, wrong classes and false alarms in other images."""
    rng = np.random.default_rng(seed)
    categories = [category["id"] for category in truth["categories"]]
    image_ids = [image["id"] for image in truth["images"]]
    records = []
    for ann in truth["annotations"]:
        x, y, w, h = ann["bbox"]
        for _ in range(rng.poisson(extra)):
            shift = rng.normal(0, noise, 4) * [w, h, w, h]
            records.append(
                {
                    "image_id": int(ann["image_id"] if rng.uniform() < 0.9 else rng.choice(image_ids)),
                    "category_id": int(ann["category_id"] if rng.uniform() < 0.9 else rng.choice(categories)),
                    "bbox": [float(v) for v in (x + shift[0], y + shift[1], *np.maximum((w, h) + shift[2:], 1))],
                    "score": float(rng.uniform()),
                }
            )
    return records


def original_boxes(coco_class, eval_class, truth, records):
    """mAP, 50, 75, small, medium, large of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        boxes = [{k: v for k, v in record.items() if k != "keypoints"} for record in records]
        coco, results = _loaded(coco_class, truth, boxes)
        evaluation = eval_class(coco, results, "bbox")
        _run(evaluation)
    return evaluation.stats[:6].tolist()


def _loaded(coco_class, truth, records):
    coco = coco_class()
    coco.dataset = copy.deepcopy(truth)
    coco.dataset.setdefault("info", {})
    coco.createIndex()
    coco.anno_file = ["memory"]
    return coco, coco.loadRes(copy.deepcopy(records))


def _run(evaluation):
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
