"""From the outputs of an exported network to detections, in numpy.

Letters: B images, N priors, K keypoints, C classes, n detections. The definitions are those of
:mod:`yolox_pose.models.postprocess`, which works on tensors: each prior stands for its best class, and boxes of different
classes do not suppress each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from yolox_pose.geometry.letterbox import Letterbox
from yolox_pose.geometry.nms import nms
from yolox_pose.inference.exported.description import ModelDescription


class Thresholds(NamedTuple):
    """Which detections are kept; see :class:`yolox_pose.models.postprocess.PostprocessSettings`.

    In a graph that holds NMS each prior has chosen its class before ``classes`` leaves some out.
    """

    score_thr: float
    nms_pre: int
    nms_thr: float
    max_per_img: int
    classes: tuple[int, ...] | None = None


class Found(NamedTuple):
    """Detections of an image, best first, in pixels.

    Attributes:
        boxes: (n, 4) float32 xyxy.
        scores: (n,) float32.
        labels: (n,) int64.
        keypoints: (n, K, 2) float32; zeros for classes without keypoints.
        keypoint_scores: (n, K) float32, likewise.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray


def to_source(found: Found, letterbox: Letterbox) -> Found:
    """Detections of a letterboxed image in pixels of the source image, boxes cut to it.

    Keypoints of a detection that has none (scores of 0) become 0.
    """
    keypoints = letterbox.inverse(found.keypoints) if len(found.scores) else found.keypoints
    absent = ~(found.keypoint_scores > 0).any(-1)
    keypoints[absent] = 0
    return found._replace(boxes=letterbox.inverse_boxes(found.boxes, clip=True), keypoints=keypoints)


def grid_priors(size: tuple[int, int], strides: Sequence[int]) -> np.ndarray:
    """(N, 3) float32 ``(x, y, stride)`` of an input of (H, W) px, as :func:`yolox_pose.ops.grid_priors` has them."""
    levels = []
    for stride in strides:
        y, x = np.mgrid[0 : size[0] // stride, 0 : size[1] // stride].reshape(2, -1).astype(np.float32) * stride
        levels.append(np.stack([x, y, np.full_like(x, stride)], axis=-1))
    return np.concatenate(levels)


def detections(
    outputs: Mapping[str, np.ndarray],
    image: int,
    priors: np.ndarray,
    description: ModelDescription,
    thresholds: Thresholds,
) -> Found:
    """Detections of one image of a batch.

    Args:
        outputs: Of the network, by name.
        image: Index in the batch.
        priors: (N, 3) of the network's input.
        description: Of the model; says what the outputs are.
        thresholds: What is kept.
    """
    if description.layout == "nms":
        found = _finished(outputs, image, thresholds)
    elif description.layout == "decode":
        found = _from_decoded({name: values[image] for name, values in outputs.items()}, thresholds)
    else:
        found = _from_raw({name: values[image] for name, values in outputs.items()}, priors, thresholds)
    if len(description.keypoint_classes) == len(description.classes):
        return found
    posed = np.isin(found.labels, description.keypoint_classes)[:, None].astype(np.float32)
    return found._replace(keypoints=found.keypoints * posed[..., None], keypoint_scores=found.keypoint_scores * posed)


def _finished(outputs: Mapping[str, np.ndarray], image: int, thresholds: Thresholds) -> Found:
    """Detections of the ``nms`` layout: those of one image, above a threshold that may be higher than the graph's."""
    wanted = (outputs["batch_index"] == image) & (outputs["scores"] > thresholds.score_thr)
    if thresholds.classes is not None:
        wanted &= np.isin(outputs["labels"], thresholds.classes)
    rows = np.flatnonzero(wanted)
    rows = rows[: thresholds.max_per_img]
    n = len(rows)
    return Found(
        outputs["boxes"][rows],
        outputs["scores"][rows],
        outputs["labels"][rows].astype(np.int64),
        outputs["keypoints"][rows] if "keypoints" in outputs else np.zeros((n, 0, 2), np.float32),
        outputs["keypoint_scores"][rows] if "keypoints" in outputs else np.zeros((n, 0), np.float32),
    )


def _from_decoded(outputs: Mapping[str, np.ndarray], thresholds: Thresholds) -> Found:
    """Select and suppress among ``boxes`` (N, 4), ``scores`` (N, C) and keypoints in pixels."""
    labels, scores = _best_class(outputs["scores"], thresholds.classes)
    rows = _best(scores, thresholds)
    rows = rows[_suppress(outputs["boxes"][rows], scores[rows], labels[rows], thresholds)]
    keypoints = keypoint_scores = None
    if "keypoints" in outputs:
        keypoints, keypoint_scores = outputs["keypoints"][rows], outputs["keypoint_scores"][rows]
    return make_found(outputs["boxes"][rows], scores[rows], labels[rows], keypoints, keypoint_scores)


def _from_raw(outputs: Mapping[str, np.ndarray], priors: np.ndarray, thresholds: Thresholds) -> Found:
    """Score, select, decode and suppress. Only priors whose objectness alone is above the threshold are looked into."""
    objectness = _sigmoid(outputs["objectness"])
    rows = np.flatnonzero(objectness > thresholds.score_thr)
    labels, logits = _best_class(outputs["classes"][rows], thresholds.classes)
    scores = _sigmoid(logits) * objectness[rows]
    best = _best(scores, thresholds)
    rows, scores, labels = rows[best], scores[best], labels[best]
    boxes = _decode_boxes(outputs["boxes"][rows], priors[rows])
    kept = _suppress(boxes, scores, labels, thresholds)
    rows = rows[kept]
    keypoints = keypoint_scores = None
    if "keypoints" in outputs:
        offsets = outputs["keypoints"][rows].reshape(len(rows), outputs["visibility"].shape[-1], 2)
        keypoints = offsets * priors[rows, None, 2:] + priors[rows, None, :2]
        keypoint_scores = _sigmoid(outputs["visibility"][rows])
    return make_found(boxes[kept], scores[kept], labels[kept], keypoints, keypoint_scores)


def _best_class(values: np.ndarray, classes: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Label and value of the best class, of those that are looked for, in each row of (n, C)."""
    known = None if classes is None else np.asarray(classes)
    values = values if known is None else values[:, known]
    best = values.argmax(-1)
    return best if known is None else known[best], np.take_along_axis(values, best[:, None], axis=-1)[:, 0]


def _best(scores: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """Indices of the scores above the threshold, at most ``nms_pre``, best first."""
    rows = np.flatnonzero(scores > thresholds.score_thr)
    return rows[np.argsort(-scores[rows], kind="stable")[: thresholds.nms_pre]]


def _suppress(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """Indices that NMS leaves of candidates given best first."""
    kept = np.arange(len(scores))
    if thresholds.nms_thr < 1:
        kept = nms(boxes, scores, thresholds.nms_thr, labels)
    return kept[: thresholds.max_per_img]


def make_found(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    keypoints: np.ndarray | None,
    keypoint_scores: np.ndarray | None,
) -> Found:
    """Detections of an image; None stands for a model without keypoints."""
    if keypoints is None or keypoint_scores is None:
        keypoints, keypoint_scores = np.zeros((len(scores), 0, 2), np.float32), np.zeros((len(scores), 0), np.float32)
    return Found(boxes, scores, labels.astype(np.int64), keypoints, keypoint_scores)


def _decode_boxes(encoded: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """(n, 4) xyxy; see :func:`yolox_pose.ops.decode_boxes`."""
    stride = priors[:, 2:]
    center = encoded[:, :2] * stride + priors[:, :2]
    half = np.exp(encoded[:, 2:]) * stride / 2
    return np.concatenate([center - half, center + half], axis=-1)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function that does not overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1, small) / (1 + small)
