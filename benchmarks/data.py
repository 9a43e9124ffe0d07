"""Compare the data pipeline at 640 px with mmpose's: training samples per second and core, and their distribution.

``python benchmarks/data.py --data DIR [--json FILE] [--pictures DIR]``. ``DIR`` holds COCO-keypoints annotations and
images, which are first enlarged to the usual long side of COCO, 640 px, in a temporary folder. All pipelines (mosaic,
affine, mixup) run in turns on the same images, in one process with one thread. Then box sizes, positions and keypoint
visibility of many samples are compared. ``--pictures`` writes samples of both side by side. The start-up is measured with
as many images and people as COCO train has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import add_json_option, case, interleaved, progress, report

from yolox_pose import compat

SIZE, LONG_SIDE, JPEG_QUALITY = 640, 640, 95
PEER = "mmpose 1.3.2 yoloxpose_s pipeline"
COCO_IMAGES, COCO_PEOPLE = 118_287, 149_813
START_LIMIT = 5.0
"""Time limit in seconds for reading the annotations of COCO train."""
TOLERANCE = 0.1
"""Largest difference of deciles, relative to the distance between the first and the last decile of the peer."""


def enlarge(source: Path, images: Path, target: Path, limit: int) -> Path:
    """Copy the first images with labeled keypoints, enlarged to :data:`LONG_SIDE`, and their annotations.

    Returns:
        The annotation file. Every annotation has a segmentation, which the data set of mmpose needs.
    """
    content = json.loads(source.read_text())
    with_keypoints = {a["image_id"] for a in content["annotations"] if a.get("num_keypoints") and not a.get("iscrowd")}
    chosen = [image for image in content["images"] if image["id"] in with_keypoints][:limit]
    scales = {}
    (target / "images").mkdir(parents=True)
    for image in chosen:
        img = cv2.imread(str(images / image["file_name"]), cv2.IMREAD_COLOR)
        factor = LONG_SIDE / max(img.shape[:2])
        img = cv2.resize(img, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        scales[image["id"]] = img.shape[1] / image["width"], img.shape[0] / image["height"]
        image.update(width=img.shape[1], height=img.shape[0], file_name=f"{image['id']}.jpg")
        cv2.imwrite(str(target / "images" / image["file_name"]), img, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    people = [a for a in content["annotations"] if a["image_id"] in scales and not a.get("iscrowd")]
    path = target / "annotations.json"
    annotations = [_scaled(a, scales[a["image_id"]]) for a in people]
    path.write_text(json.dumps({**content, "images": chosen, "annotations": annotations}))
    return path


def _scaled(annotation: dict[str, Any], scale: tuple[float, float]) -> dict[str, Any]:
    sx, sy = scale
    x, y, w, h = (np.asarray(annotation["bbox"]) * (sx, sy, sx, sy)).tolist()
    keypoints = np.asarray(annotation["keypoints"], dtype=float).reshape(-1, 3) * (sx, sy, 1)
    scaled = {"bbox": [x, y, w, h], "area": annotation["area"] * sx * sy, "keypoints": keypoints.ravel().tolist()}
    return {**annotation, **scaled, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}


def our_dataset(annotations: Path, **settings: Any) -> Any:
    """Build the data set of this package with the pipeline of ``yolox-pose_s``."""
    from mmengine.config import Config

    from yolox_pose.config import find_config
    from yolox_pose.datasets import CocoPoseDataset

    config = Config.fromfile(find_config("yolox-pose_s_8xb32-300e_coco"))
    return CocoPoseDataset(
        str(annotations), data_prefix={"img": str(annotations.parent / "images")}, input_size=(SIZE, SIZE),
        pipeline=config.train_pipeline, **settings,
    )  # fmt: skip


def their_dataset(annotations: Path) -> Any:
    """Build the data set of mmpose with the first pipeline of its ``yoloxpose_s`` config."""
    from mmengine.registry import DefaultScope
    from mmpose.registry import DATASETS

    size, load = (SIZE, SIZE), {"type": "LoadImage"}
    pipeline = [
        load,
        {"type": "Mosaic", "img_scale": size, "pad_val": 114.0, "pre_transform": [load]},
        {
            "type": "BottomupRandomAffine", "input_size": size, "shift_factor": 0.1, "rotate_factor": 10,
            "scale_factor": (0.75, 1.0), "pad_val": 114, "distribution": "uniform", "transform_mode": "perspective",
            "bbox_keep_corner": False, "clip_border": True,
        },
        {
            "type": "YOLOXMixUp", "img_scale": size, "ratio_range": (0.8, 1.6), "pad_val": 114.0, "pre_transform": [load]
        },
        {"type": "YOLOXHSVRandomAug"},
        {"type": "RandomFlip"},
        {"type": "FilterAnnotations", "by_kpt": True, "by_box": True, "keep_empty": False},
        {"type": "GenerateTarget", "encoder": {"type": "YOLOXPoseAnnotationProcessor", "input_size": size}},
        {"type": "PackPoseInputs"},
    ]  # fmt: skip
    config = {
        "type": "CocoDataset", "data_mode": "bottomup", "ann_file": str(annotations), "pipeline": pipeline,
        "filter_cfg": {"filter_empty_gt": False, "min_size": 32},
        "data_prefix": {"img": str(annotations.parent / "images")},
    }  # fmt: skip
    with DefaultScope.overwrite_default_scope("mmpose"):
        return DATASETS.build(config)


def drawing(dataset: Any, scope: str, number: int, seed: int) -> Callable[[], list[dict[str, Any]]]:
    """Return a call that draws the first ``number`` samples; mmpose draws from numpy's global generator."""
    from mmengine.registry import DefaultScope

    def draw() -> list[dict[str, Any]]:
        with DefaultScope.overwrite_default_scope(scope):
            np.random.seed(seed)
            return [dataset[index % len(dataset)] for index in range(number)]

    return draw


def statistics(samples: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return sizes, positions and keypoint counts of all people in the samples, and the mean gray of each sample."""
    labels = [sample["data_samples"].gt_instance_labels for sample in samples]
    boxes = np.concatenate([np.asarray(label.bboxes, dtype=float) for label in labels])
    visible = np.concatenate([np.asarray(label.keypoints_visible, dtype=float) > 0 for label in labels])
    has_keypoints = visible.any(axis=1)  # mmpose drops people without labeled keypoints
    boxes, visible = boxes[has_keypoints], visible[has_keypoints]
    grey = [float(sample["inputs"].float().mean()) for sample in samples]
    return {
        "width of boxes": boxes[:, 2] - boxes[:, 0],
        "height of boxes": boxes[:, 3] - boxes[:, 1],
        "x of box centres": (boxes[:, 0] + boxes[:, 2]) / 2,
        "y of box centres": (boxes[:, 1] + boxes[:, 3]) / 2,
        "labelled keypoints a person": visible.sum(axis=1),
        "mean grey level": np.asarray(grey),
    }


def compare(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare the distributions: means, largest difference of deciles, and whether it is within :data:`TOLERANCE`."""
    cases, tenths = [], np.linspace(0.1, 0.9, 9)
    for name, values in ours.items():
        mine, other = np.quantile(values, tenths), np.quantile(theirs[name], tenths)
        off = float(np.abs(mine - other).max() / max(other[-1] - other[0], 1e-9))
        line = case(f"mean {name}", "-", values.mean(), theirs[name].mean(), PEER, equal=off <= TOLERANCE)
        cases.append({**line, "ratio": None, "largest_difference_of_deciles": round(off, 4)})
    return cases


def start_up(folder: Path) -> dict[str, Any]:
    """Measure the time to read and pack annotations at the scale of COCO train."""
    from yolox_pose.datasets import CocoPoseDataset

    rng = np.random.default_rng(0)
    boxes, points = rng.uniform(1, 200, (COCO_PEOPLE, 4)).round(2), rng.integers(0, 400, (COCO_PEOPLE, 17, 2))
    keypoints = np.concatenate([points, rng.integers(0, 3, (COCO_PEOPLE, 17, 1))], axis=2).reshape(COCO_PEOPLE, -1)
    owners, path = rng.integers(0, COCO_IMAGES, COCO_PEOPLE), folder / "full.json"
    content = {
        "images": [{"id": i, "width": 640, "height": 480, "file_name": f"{i:012d}.jpg"} for i in range(COCO_IMAGES)],
        "categories": [{"id": 1, "name": "person", "keypoints": [f"k{k}" for k in range(17)], "skeleton": []}],
        "annotations": [
            {
                "id": i + 1, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": box, "area": 1000.0,
                "keypoints": points, "num_keypoints": 17,
            }
            for i, (image, box, points) in enumerate(zip(owners.tolist(), boxes.tolist(), keypoints.tolist()))
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content))
    images = folder / "full"
    images.mkdir()
    for image in content["images"]:
        (images / image["file_name"]).touch()  # reading annotations looks whether the files are there
    start = time.perf_counter()
    CocoPoseDataset(str(path), data_prefix={"img": str(images)})
    elapsed = time.perf_counter() - start
    name = f"start-up, {COCO_IMAGES:,} images, {COCO_PEOPLE:,} people"
    return case(name, "s", elapsed, limit=START_LIMIT, within_limit=elapsed < START_LIMIT)


def write_pictures(folder: Path, ours: Sequence[dict], theirs: Sequence[dict]) -> None:
    """Write pairs of samples, those of this package on the left, with their boxes and labeled keypoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pair in enumerate(zip(ours, theirs)):
        sides = []
        for sample in pair:
            img = np.ascontiguousarray(sample["inputs"].numpy().transpose(1, 2, 0))
            labels = sample["data_samples"].gt_instance_labels
            for box in np.asarray(labels.bboxes).round().astype(int).tolist():
                cv2.rectangle(img, box[:2], box[2:], (0, 255, 0), 1)
            points = np.asarray(labels.keypoints)[np.asarray(labels.keypoints_visible) > 0]
            for point in points.round().astype(int).tolist():
                cv2.circle(img, point, 2, (0, 0, 255), -1)
            sides.append(img)
        cv2.imwrite(str(folder / f"{number:03d}.jpg"), cv2.hconcat(sides))


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Measure all cases."""
    source = args.data / "annotations" / args.annotations
    annotations = enlarge(source, args.data / args.images, folder / "data", args.limit)
    plain, cached = our_dataset(annotations), our_dataset(annotations, cache="ram")
    peer = their_dataset(annotations)
    for index in range(len(cached)):
        cached.load_image(index)
    calls = {
        "files": drawing(plain, "yolox_pose", args.samples, args.seed),
        "cache": drawing(cached, "yolox_pose", args.samples, args.seed),
        "peer": drawing(peer, "mmpose", args.samples, args.seed),
    }
    times = interleaved(calls, args.repeats)
    rate = {name: args.samples / value for name, value in times.items()}
    cases = [
        case("from JPEG files", "images/s", rate["files"], rate["peer"], PEER, higher_is_better=True),
        case("from the warm RAM cache", "images/s", rate["cache"], rate["peer"], PEER, higher_is_better=True),
    ]
    drawn: dict[str, list[dict]] = {"cache": [], "peer": []}
    for epoch in progress(range(-(-args.statistics // args.samples)), lambda e: f"statistics, part {e + 1}"):
        cached.phase.seed = args.seed + epoch
        for name, dataset, scope in (("cache", cached, "yolox_pose"), ("peer", peer, "mmpose")):
            drawn[name] += map(_small, drawing(dataset, scope, args.samples, args.seed + epoch)())
    cases += compare(*(statistics(samples) for samples in drawn.values()))
    if args.pictures:
        write_pictures(args.pictures, *(calls[name]()[:16] for name in ("cache", "peer")))
    return [*cases, start_up(folder)]


def _small(sample: dict[str, Any]) -> dict[str, Any]:
    """Return the sample with its image averaged, so that thousands fit into memory."""
    return {**sample, "inputs": sample["inputs"].float().mean()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if a distribution differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with annotations/ and the images")
    parser.add_argument("--annotations", default="person_keypoints_train2017.json", help="file in DATA/annotations")
    parser.add_argument("--images", default="train2017", help="folder of the images in DATA")
    parser.add_argument("--limit", type=int, default=150, help="images that are taken")
    parser.add_argument("--samples", type=int, default=100, help="samples drawn in one turn")
    parser.add_argument("--statistics", type=int, default=2000, help="samples of either side whose labels are compared")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write samples of both side by side")
    add_json_option(parser)
    args = parser.parse_args(argv)
    compat.install()
    import yolox_pose.registry  # noqa: F401

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        cases = measure(args, Path(folder))
    packages = ("numpy", "opencv-python-headless", "torch", "mmpose")
    report("data", cases, packages=packages, json_file=args.json)
    return int(any(line["equal"] is False for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())
