"""Suppression by boxes and poses as the definitions have it, one pair and one keypoint at a time."""

import math

import numpy as np

from yolox_pose.structures.detections import Detections


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - width * height
    return width * height / max(union, 1e-6)


def area(box):
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def oks(detections, i, j, sigmas):
    """None where no keypoint is in common."""
    boxes, keypoints, visibility = detections
    mean_area = max(0.53 * (area(boxes[i]) + area(boxes[j])) / 2, 1.0)
    total = weight = 0.0
    for k, sigma in enumerate(sigmas):
        d2 = sum((a - b) ** 2 for a, b in zip(keypoints[i][k], keypoints[j][k]))
        w = visibility[i][k] * visibility[j][k]
        total += w * math.exp(-d2 / (2 * mean_area * (2 * sigma) ** 2))
        weight += w
    return total / weight if weight > 0 else None


def compare(detections, i, j, sigmas, criterion, iou_thr, oks_thr):
    """Similarity, and whether the two are one object."""
    box = iou(detections[0][i], detections[0][j])
    pose = None if criterion == "box" else oks(detections, i, j, sigmas)
    if pose is None:
        return box, box > iou_thr
    if criterion == "oks":
        return pose, pose > oks_thr
    return min(box, pose), box > iou_thr and pose > oks_thr


def suppress(detections, scores, labels, sigmas, *, criterion, iou_thr, oks_thr, soft="none", soft_sigma=0.5):
    """Indices, best first, and scores of what is kept."""
    left = {i: float(score) for i, score in enumerate(scores)}
    kept = []
    while left:
        best = min(left, key=lambda i: (-left[i], i))
        score = left.pop(best)
        if not score > 0:
            break
        kept.append((best, score))
        for j in list(left):
            if labels[j] != labels[best]:
                continue
            similarity, same = compare(detections, best, j, sigmas, criterion, iou_thr, oks_thr)
            if soft == "gaussian":
                left[j] *= math.exp(-(similarity**2) / soft_sigma)
            elif same and soft == "linear":
                left[j] *= 1 - similarity
            elif same:
                del left[j]
    return [i for i, _ in kept], [score for _, score in kept]


SIGMAS = np.array([0.03, 0.08, 0.1, 0.06, 0.09])


def random_detections(rng, n, side=60.0, people=4):
    """Detections around a few people who stand close together, some keypoints of score 0, best first, with ties."""
    centers = rng.uniform(0.3 * side, 0.7 * side, (people, 2))
    shapes = rng.uniform(-0.25 * side, 0.25 * side, (people, len(SIGMAS), 2))
    who = rng.integers(0, people, n)
    keypoints = centers[who][:, None] + shapes[who] + rng.normal(0, rng.uniform(0.2, 3), (n, len(SIGMAS), 2))
    half = 0.3 * side + rng.normal(0, 2, (n, 2))
    boxes = np.concatenate([centers[who] - half, centers[who] + half], 1)
    visibility = rng.uniform(0.05, 1, (n, len(SIGMAS))) * (rng.uniform(size=(n, 1)) < 0.9)
    scores = np.sort(rng.integers(1, 40, n) / 40)[::-1].copy()
    return (boxes, keypoints, visibility), scores, rng.integers(0, 2, n)


def as_detections(arrays, scores, labels):
    """Detections of the boxes, keypoints and visibilities of ``random_detections``."""
    boxes, keypoints, visibility = arrays
    return Detections(boxes, scores, labels, keypoints, visibility)
