"""Compare COCO evaluation at the size of val2017 with pycocotools and, if installed, the real xtcocotools.

``python benchmarks/evaluation.py [--json FILE]``. The data are drawn from a seed: 5,000 images, 53,364
detections, 11,120 people, of whom about 43 % have no keypoints and 1 % are crowd regions. Metrics are compared first, to
1e-6; all evaluators run in turns in one process. A peer starts from a list of result dicts, as its API needs. This package
starts from arrays in the first case, as the metric does, and from the same list in the second.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import add_json_option, case, interleaved, progress, report

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions, box_records, keypoint_records
from yolox_pose.evaluation.coco_eval import KEYPOINT_METRICS, evaluate_boxes, evaluate_keypoints

UNLABELLED, CROWDS, NUM_KEYPOINTS = 0.43, 0.01, 17
TOLERANCE = 1e-6


def make_annotations(images: int, people: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a person_keypoints file with polygons, unlabeled people, crowds and empty images, as in val2017."""
    sizes = np.exp(rng.uniform(np.log(20), np.log(400), (people, 2)))
    corners = rng.uniform(0, 640 - sizes)
    boxes = np.concatenate([corners, sizes], 1).round(2)
    visible = rng.integers(0, 3, (people, NUM_KEYPOINTS)) * (rng.uniform(size=(people, 1)) > UNLABELLED)
    points = (corners[:, None] + sizes[:, None] * rng.uniform(size=(people, NUM_KEYPOINTS, 2))).round()
    keypoints = np.concatenate([points * (visible[..., None] > 0), visible[..., None]], 2).astype(int)
    owners = np.sort(rng.integers(0, max(images * 27 // 50, 1), people))  # 54 % of the images of val2017 have people
    polygons = (corners[:, None] + sizes[:, None] * rng.uniform(size=(people, 24, 2))).round(2).reshape(people, -1)
    crowds = (rng.uniform(size=people) < CROWDS).astype(int)
    areas = (sizes.prod(1) * rng.uniform(0.3, 0.9, people)).round(3)
    columns = (owners, boxes, keypoints.reshape(people, -1), (visible > 0).sum(1), areas, crowds, polygons)
    names = ("image_id", "bbox", "keypoints", "num_keypoints", "area", "iscrowd")
    return {
        "images": [{"id": i, "width": 640, "height": 640, "file_name": f"{i:012d}.jpg"} for i in range(images)],
        "categories": [{"id": 1, "name": "person", "keypoints": [f"k{k}" for k in range(NUM_KEYPOINTS)]}],
        "annotations": [
            {"id": i + 1, "category_id": 1, **dict(zip(names, row)), "segmentation": [row[-1]]}
            for i, row in enumerate(zip(*(column.tolist() for column in columns)))
        ],
    }


def make_predictions(truth: dict[str, Any], detections: int, rng: np.random.Generator) -> Predictions:
    """Draw detections of all qualities near people, and false alarms on other images."""
    people = truth["annotations"]
    chosen = [people[i] for i in np.sort(rng.integers(0, len(people), detections))]
    boxes = np.asarray([a["bbox"] for a in chosen])
    points = np.asarray([a["keypoints"] for a in chosen], float).reshape(detections, NUM_KEYPOINTS, 3)
    absent = points[..., 2] == 0
    anywhere = boxes[:, None, :2] + boxes[:, None, 2:] * rng.uniform(size=(detections, NUM_KEYPOINTS, 2))
    points[absent, :2] = anywhere[absent]
    quality = rng.uniform(0, 0.12, detections)
    scale = (quality * np.sqrt(boxes[:, 2] * boxes[:, 3]))[:, None, None]
    points[..., :2] += rng.normal(size=(detections, NUM_KEYPOINTS, 2)) * scale
    points[..., 2] = rng.uniform(0.05, 1, (detections, NUM_KEYPOINTS))
    moved = boxes + rng.normal(size=boxes.shape) * quality[:, None] * boxes[:, [2, 3, 2, 3]]
    image_ids = np.asarray([a["image_id"] for a in chosen])
    stray = rng.uniform(size=detections) < 0.15
    image_ids[stray] = rng.integers(0, len(truth["images"]), stray.sum())
    scores = np.clip(1 - 6 * quality + rng.normal(0, 0.15, detections), 0.01, 1)
    xyxy = np.concatenate([moved[:, :2], moved[:, :2] + np.maximum(moved[:, 2:], 1)], 1)
    return Predictions(image_ids, np.ones(detections, np.int64), scores, points, xyxy)


class Peer:
    """Evaluator of pycocotools or xtcocotools on results in memory."""

    def __init__(self, package: str) -> None:
        modules = [__import__(f"{package}.{part}", fromlist=["x"]) for part in ("coco", "cocoeval")]
        if package == "xtcocotools":
            __import__("xtcocotools._mask")  # only the real package has it
        self.name, self.coco, self.evaluation = package, modules[0].COCO, modules[1].COCOeval

    def read(self, path: str) -> Any:
        """Read the annotation file."""
        with contextlib.redirect_stdout(io.StringIO()):
            return self.coco(path)

    def figures(self, coco: Any, records: list[dict], kind: str) -> list[float]:
        """Load the results and evaluate them."""
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = self.evaluation(coco, coco.loadRes(records), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return [float(value) for value in evaluation.stats]


def find_peers() -> list[Peer]:
    """Return the peers that can be imported."""
    peers = []
    for package in ("pycocotools", "xtcocotools"):
        with contextlib.suppress(ImportError, ValueError), contextlib.redirect_stderr(io.StringIO()):
            peers.append(Peer(package))
    return peers


def compare(
    name: str, ours: Callable[[], list[float]], theirs: Callable[[], list[float]], peer: str, repeats: int
) -> dict[str, Any]:
    """Compare the metrics of both, then measure both in turns."""
    difference = float(np.abs(np.subtract(ours(), theirs())).max())
    times = interleaved({"ours": ours, "peer": theirs}, repeats, warmup=0)
    equal = difference <= TOLERANCE
    return case(name, "s", times["ours"], times["peer"], peer, equal=equal, largest_difference=difference)


def measure(args: argparse.Namespace, folder: Path) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Measure all cases; return them with the metrics of the data."""
    rng = np.random.default_rng(args.seed)
    content = make_annotations(args.images, args.people, rng)
    packed = make_predictions(content, args.detections, rng)
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    truth = GroundTruth.load(path)
    keypoints, boxes = keypoint_records(packed), box_records(packed)
    size = f"{args.images:,} images, {args.people:,} people, {args.detections:,} detections"

    def pose(source: Predictions | list[dict]) -> list[float]:
        figures = evaluate_keypoints(truth, source)
        return [figures[name] for name in KEYPOINT_METRICS]

    def box() -> list[float]:
        return list(evaluate_boxes(truth, packed).values())

    def against(peer: Peer) -> list[dict[str, Any]]:
        coco = peer.read(str(path))

        def their_pose() -> list[float]:
            return peer.figures(coco, copy.copy(keypoints), "keypoints")

        def their_box() -> list[float]:
            return peer.figures(coco, copy.copy(boxes), "bbox")[:6]

        read = {"ours": lambda: GroundTruth.load(path), "peer": lambda: peer.read(str(path))}
        times = interleaved(read, args.repeats, warmup=0)
        return [
            compare(f"keypoint AP from arrays, {size}", lambda: pose(packed), their_pose, peer.name, args.repeats),
            compare(f"keypoint AP from dicts, {size}", lambda: pose(keypoints), their_pose, peer.name, args.repeats),
            compare(f"box AP, {size}", box, their_box, peer.name, args.repeats),
            case("reading the annotation file", "s", times["ours"], times["peer"], peer.name),
        ]

    cases = [line for peer in progress(find_peers(), lambda p: f"against {p.name}") for line in against(peer)]
    if not cases:
        cases.append(case(f"keypoint AP from arrays, {size}", "s", interleaved({"ours": lambda: pose(packed)})["ours"]))
    return cases, evaluate_keypoints(truth, packed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if a metric differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--people", type=int, default=11120)
    parser.add_argument("--detections", type=int, default=53364)
    parser.add_argument("--repeats", type=int, default=3, help="calls of each evaluator; the median counts")
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        cases, figures = measure(args, Path(folder))
    packages = ("numpy", "hotcoco", "pycocotools", "xtcocotools")
    figures = {name: round(value, 6) for name, value in figures.items()}
    report("evaluation", cases, packages=packages, json_file=args.json, figures=figures)
    return int(any(line["equal"] is False for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())
