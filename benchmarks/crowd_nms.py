"""Compare NMS by boxes, by poses and by both on crowded pictures: keypoint AP and recall of close pairs.

``python benchmarks/crowd_nms.py --data DIR [--config C --checkpoint W] [--json FILE]``. ``DIR`` holds ``coco_persons`` (val)
and ``mmpose_samples`` (CrowdPose, OCHuman). A picture is crowded if the boxes of two of its
people overlap by :data:`CROWDED`; two people are close if theirs overlap by :data:`CLOSE`. With a checkpoint, the candidates
of the model before NMS are used. Without one they are **simulated** from the annotations, with a seed: several noisy
detections of each person, which show how criteria behave, not how good a model is. Every criterion gets the same candidates.
The peer is NMS by boxes at IoU 0.65.

CrowdPose is evaluated on the 12 keypoints that it shares with COCO.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import add_json_option, case, progress, report

from yolox_pose.coco.results import Predictions
from yolox_pose.evaluation.coco_eval import evaluate_keypoints
from yolox_pose.geometry.boxes import pairwise_iou
from yolox_pose.geometry.oks import keypoint_oks, mutual_oks
from yolox_pose.geometry.pose_nms import suppress_duplicates
from yolox_pose.structures.constants import AREA_PER_BOX
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings
from yolox_pose.structures.skeleton import COCO_PERSON

CROWDED, CLOSE = 0.1, 0.3
"""IoU of the boxes of two people."""
FOUND = 0.5
"""Smallest OKS of a detection that counts as the person, as in AP50."""

SOFT = {"score_thr": 0.01, "max_per_img": 300}
SETTINGS = {
    name: PostprocessSettings(**fields)
    for name, fields in {
        "box 0.65": {"nms_thr": 0.65},
        "box 0.8": {"nms_thr": 0.8},
        "oks 0.5": {"nms_type": "oks", "oks_thr": 0.5},
        "oks 0.7": {"nms_type": "oks", "oks_thr": 0.7},
        "box_oks 0.65 0.5": {"nms_type": "box_oks", "nms_thr": 0.65, "oks_thr": 0.5},
        "box_oks 0.65 0.7": {"nms_type": "box_oks", "nms_thr": 0.65, "oks_thr": 0.7},
        "box_oks 0.5 0.5": {"nms_type": "box_oks", "nms_thr": 0.5, "oks_thr": 0.5},
        "box 0.65 soft linear": {"nms_thr": 0.65, "soft_nms": "linear", **SOFT},
        "box 0.65 soft gaussian": {"nms_thr": 0.65, "soft_nms": "gaussian", **SOFT},
        "oks 0.5 soft linear": {"nms_type": "oks", "oks_thr": 0.5, "soft_nms": "linear", **SOFT},
    }.items()
}
"""Settings by name; the first is the peer."""


class Picture(NamedTuple):
    """Crowded picture and its n annotated people with keypoints."""

    image_id: int
    path: Path
    people: Detections  # scores 1, keypoint scores 1 where labeled
    areas: np.ndarray  # (n,)


class Crowd(NamedTuple):
    """Crowded pictures of one data set."""

    name: str
    content: dict[str, Any]  # COCO file of these pictures alone
    pictures: list[Picture]
    keypoints: np.ndarray  # which of COCO's 17 they are annotated with
    pairs: int  # close pairs


def read_crowd(name: str, file: Path, images: Path, keypoints: np.ndarray) -> Crowd:
    """Read a COCO file and keep the pictures with close pairs."""
    content = json.loads(file.read_text())
    count, pairs, pictures = len(keypoints), 0, []
    for annotation in content["annotations"]:
        annotation["keypoints"] = (annotation.get("keypoints") or [])[: 3 * count]
        if len(annotation["keypoints"]) < 3 * count:
            annotation["keypoints"] = [0] * (3 * count)
        annotation["num_keypoints"] = int(np.count_nonzero(annotation["keypoints"][2::3]))
    for category in content["categories"]:
        category["keypoints"] = [COCO_PERSON.names[k] for k in keypoints]
    for image in content["images"]:
        people = [
            a
            for a in content["annotations"]
            if a["image_id"] == image["id"] and a["num_keypoints"] and not a.get("iscrowd")
        ]
        x, y, w, h = np.array([a["bbox"] for a in people], float).reshape(-1, 4).T
        triples = np.array([a["keypoints"] for a in people], float).reshape(-1, count, 3)
        poses = Detections(
            np.stack([x, y, x + w, y + h], 1), np.ones(len(x)), np.zeros(len(x), np.int64), triples[..., :2],
            (triples[..., 2] > 0).astype(float),
        )  # fmt: skip
        overlaps = np.triu(pairwise_iou(poses.boxes, poses.boxes), 1)
        if (overlaps > CROWDED).any():
            areas = np.array([a.get("area") or AREA_PER_BOX * a["bbox"][2] * a["bbox"][3] for a in people])
            pictures.append(Picture(image["id"], images / image["file_name"], poses, areas))
            pairs += int((overlaps > CLOSE).sum())
    chosen = {picture.image_id for picture in pictures}
    for key, field in (("images", "id"), ("annotations", "image_id")):
        content[key] = [entry for entry in content[key] if entry[field] in chosen]
    return Crowd(name, content, pictures, keypoints, pairs)


def read_crowds(data: Path) -> list[Crowd]:
    """Return the crowded pictures of the three sets."""
    samples, everything, body = data / "mmpose_samples", np.arange(17), np.arange(5, 17)
    persons = data / "coco_persons"
    return [
        read_crowd("coco_persons val", persons / "annotations" / "val.json", persons / "images", everything),
        read_crowd("OCHuman sample", samples / "ochuman" / "test_ochuman.json", samples / "ochuman", everything),
        read_crowd("CrowdPose sample", samples / "crowdpose" / "test_crowdpose.json", samples / "crowdpose", body),
    ]


def simulate(picture: Picture, sigmas: np.ndarray, rng: np.random.Generator) -> Detections:
    """Simulate the candidates of a network before NMS: 2 to 8 per person; better ones have higher scores on average.

    Neighbouring priors see nearly the same: the detections of a person share an error of half of COCO's standard deviations
    on average, and each adds up to half of one of its own; boxes are off by up to 8 % of their sides; a third of the
    detections of people who are close to another have limbs of the other mixed in; people differ in score, as hidden ones
    do.
    """
    people, boxes, keypoints, visibility, scores = picture.people, [], [], [], []
    overlap = pairwise_iou(people.boxes, people.boxes) - 2 * np.eye(len(people.boxes))
    for i, (box, points, labelled, area) in enumerate(
        zip(people.boxes, people.keypoints, people.keypoint_scores, picture.areas)
    ):
        ease, spread = rng.uniform(0.4, 0.95), 2 * sigmas[:, None] * np.sqrt(area)
        shared = points + rng.normal(size=points.shape) * spread * rng.uniform(0.2, 0.8)
        anywhere = box[:2] + rng.uniform(size=points.shape) * (box[2:] - box[:2])
        shared = np.where(labelled[:, None] > 0, shared, anywhere)
        for _ in range(rng.integers(2, 9)):
            quality = rng.uniform()
            moved = shared + rng.normal(size=points.shape) * spread * (0.1 + 0.4 * (1 - quality))
            other = int(overlap[i].argmax())
            if rng.uniform() < 1 / 3 and overlap[i, other] > CLOSE:
                mixed = (rng.uniform(size=len(points)) < 0.3) & (people.keypoint_scores[other] > 0)
                moved[mixed], quality = people.keypoints[other][mixed], 0.5 * quality
            side = np.tile(box[2:] - box[:2], 2)
            boxes.append(box + rng.normal(size=4) * side * (0.01 + 0.07 * (1 - quality)))
            keypoints.append(moved)
            visibility.append(np.clip(np.where(labelled > 0, 0.9, 0.15) + 0.05 * rng.normal(size=len(points)), 0.01, 1))
            scores.append(np.clip(ease * (0.5 + 0.5 * quality) + 0.03 * rng.normal(), 0.02, 1))
    labels = np.zeros(len(scores), np.int64)
    return Detections(np.array(boxes), np.array(scores), labels, np.array(keypoints), np.array(visibility))


def predict(pose: Any, picture: Picture, keypoints: np.ndarray) -> Detections:
    """Return the candidates of a model on a picture."""
    found = next(iter(pose(str(picture.path))))
    return Detections(
        found.boxes.astype(float),
        found.scores.astype(float),
        found.labels,
        found.keypoints[:, keypoints].astype(float),
        found.keypoint_scores[:, keypoints].astype(float),
    )


def pairs_found(picture: Picture, found: Detections, sigmas: np.ndarray) -> int:
    """Count the close pairs of which each person has a separate detection with an OKS above :data:`FOUND`."""
    people = picture.people
    alike = keypoint_oks(
        people.keypoints[:, None], found.keypoints, picture.areas[:, None], sigmas, people.keypoint_scores[:, None]
    )
    taken, owner = set(), np.full(len(people.boxes), -1)
    for person, detection in sorted(np.argwhere(alike > FOUND).tolist(), key=lambda pair: -alike[pair[0], pair[1]]):
        if owner[person] < 0 and detection not in taken:
            owner[person] = detection
            taken.add(detection)
    close = np.argwhere(np.triu(pairwise_iou(people.boxes, people.boxes) > CLOSE, 1))
    return int((owner[close] >= 0).all(1).sum())


def evaluate(crowd: Crowd, candidates: Sequence[Detections], settings: PostprocessSettings) -> dict[str, float]:
    """Compute AP, AP50, recall of close pairs, and detections per person, of one criterion."""
    sigmas = np.asarray(COCO_PERSON.sigmas)[crowd.keypoints]
    parts, both = [], 0
    for picture, poses in zip(crowd.pictures, candidates):
        kept, final = suppress_duplicates(poses, settings, sigmas)
        best = poses.select(kept[:20])  # as many as COCO's evaluation looks at
        both += pairs_found(picture, best, sigmas)
        triples = np.concatenate([poses.keypoints[kept], poses.keypoint_scores[kept][..., None]], -1)
        ids = np.full(len(kept), picture.image_id)
        parts.append(Predictions(ids, np.ones(len(kept), np.int64), final, triples, poses.boxes[kept]))
    predictions = Predictions.concatenate(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = evaluate_keypoints(crowd.content, predictions, sigmas=sigmas.tolist())
    people = sum(len(picture.areas) for picture in crowd.pictures)
    pairs = {"recall of close pairs": both / crowd.pairs} if crowd.pairs else {}
    return {
        "AP": figures["AP"],
        "AP50": figures["AP50"],
        **pairs,
        "detections a person": len(predictions.scores) / people,
    }


def annotated_pairs(crowd: Crowd) -> dict[str, int]:
    """Count the pairs of different annotated people that each criterion would call one person."""
    sigmas = np.asarray(COCO_PERSON.sigmas)[crowd.keypoints]
    counts = {"close pairs": 0, "IoU above 0.65": 0, "OKS above 0.5": 0, "OKS above 0.7": 0, "both above 0.65, 0.5": 0}
    for picture in crowd.pictures:
        iou = pairwise_iou(picture.people.boxes, picture.people.boxes)
        poses, _ = mutual_oks(picture.people, picture.people, sigmas)
        masks = (iou > CLOSE, iou > 0.65, poses > 0.5, poses > 0.7, (iou > 0.65) & (poses > 0.5))
        for name, mask in zip(counts, masks):
            counts[name] += int(np.triu(mask, 1).sum())
    return counts


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with coco_persons and mmpose_samples")
    parser.add_argument("--config", help="config of the checkpoint")
    parser.add_argument("--checkpoint", help="17-keypoint model; without one, detections are simulated")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    add_json_option(parser)
    args = parser.parse_args(argv)
    crowds, rng, pose = read_crowds(args.data), np.random.default_rng(args.seed), None
    if args.checkpoint is not None:
        from yolox_pose import PoseInferencer

        everything = {"score_thr": 0.01, "nms_thr": 1.0, "max_per_img": 1000}
        pose = PoseInferencer(args.config, args.checkpoint, args.device, batch_size=1, **everything)
    cases, annotations = [], {}
    for crowd in progress(crowds, lambda found: f"{found.name}: {len(found.pictures)} pictures"):
        sigmas = np.asarray(COCO_PERSON.sigmas)[crowd.keypoints]
        candidates = [
            simulate(picture, sigmas, rng) if pose is None else predict(pose, picture, crowd.keypoints)
            for picture in crowd.pictures
        ]
        annotations[crowd.name] = {"pictures": len(crowd.pictures), **annotated_pairs(crowd)}
        figures = {name: evaluate(crowd, candidates, settings) for name, settings in SETTINGS.items()}
        peer_name, *others = SETTINGS
        for name in others:
            for unit, value in figures[name].items():
                peer = figures[peer_name][unit]
                better = unit != "detections a person"
                cases.append(case(f"{crowd.name}, {name}", unit, value, peer, peer_name, higher_is_better=better))
    source = "simulated from the annotations" if pose is None else f"{Path(args.checkpoint).name}, before suppression"
    report(
        "crowd_nms", cases, packages=("numpy", "torch"), json_file=args.json, candidates=source, annotated=annotations
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
