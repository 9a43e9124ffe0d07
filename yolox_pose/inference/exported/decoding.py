"""From the outputs of an exported network to detections, in numpy.

Letters: B images, N priors, K keypoints, C classes, n detections. The definitions are those of
:mod:`yolox_pose.models.postprocess`, which works on tensors: each prior stands for its best class, and boxes of different
classes do not suppress each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from yolox_pose.geometry.boxes import decode_boxes
from yolox_pose.geometry.nms import nms
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings


def detections(
    outputs: Mapping[str, np.ndarray],
    image: int,
    priors: np.ndarray,
    description: ModelDescription,
    settings: PostprocessSettings,
) -> Detections:
    """Detections of one image of a batch.

    Args:
        outputs: Of the network, by name.
        image: Index in the batch.
        priors: (N, 3) of the network's input.
        description: Of the model; says what the outputs are.
        settings: What is kept.
    """
    if description.layout == "nms":
        found = _finished(outputs, image, settings)
    elif description.layout == "decode":
        found = _from_decoded({name: values[image] for name, values in outputs.items()}, settings)
    else:
        found = _from_raw({name: values[image] for name, values in outputs.items()}, priors, settings)
    if len(description.keypoint_classes) == len(description.classes):
        return found
    posed = np.isin(found.labels, description.keypoint_classes)[:, None].astype(np.float32)
    return found._replace(keypoints=found.keypoints * posed[..., None], keypoint_scores=found.keypoint_scores * posed)


def _finished(outputs: Mapping[str, np.ndarray], image: int, settings: PostprocessSettings) -> Detections:
    """Detections of the ``nms`` layout: those of one image, above a threshold that may be higher than the graph's."""
    wanted = (outputs["batch_index"] == image) & (outputs["scores"] > settings.score_thr)
    if settings.classes is not None:
        wanted &= np.isin(outputs["labels"], settings.classes)
    rows = np.flatnonzero(wanted)
    rows = rows[: settings.max_per_img]
    n = len(rows)
    return Detections.create(
        outputs["boxes"][rows],
        outputs["scores"][rows],
        outputs["labels"][rows].astype(np.int64),
        outputs["keypoints"][rows] if "keypoints" in outputs else np.zeros((n, 0, 2), np.float32),
        outputs["keypoint_scores"][rows] if "keypoints" in outputs else np.zeros((n, 0), np.float32),
    )


def _from_decoded(outputs: Mapping[str, np.ndarray], settings: PostprocessSettings) -> Detections:
    """Select and suppress among ``boxes`` (N, 4), ``scores`` (N, C) and keypoints in pixels."""
    labels, scores = _best_class(outputs["scores"], settings.classes)
    rows = _best(scores, settings)
    rows = rows[_suppress(outputs["boxes"][rows], scores[rows], labels[rows], settings)]
    keypoints = keypoint_scores = None
    if "keypoints" in outputs:
        keypoints, keypoint_scores = outputs["keypoints"][rows], outputs["keypoint_scores"][rows]
    return Detections.create(outputs["boxes"][rows], scores[rows], labels[rows], keypoints, keypoint_scores)


def _from_raw(outputs: Mapping[str, np.ndarray], priors: np.ndarray, settings: PostprocessSettings) -> Detections:
    """Score, select, decode and suppress. Only priors whose objectness alone is above the threshold are looked into."""
    objectness = _sigmoid(outputs["objectness"])
    rows = np.flatnonzero(objectness > settings.score_thr)
    labels, logits = _best_class(outputs["classes"][rows], settings.classes)
    scores = _sigmoid(logits) * objectness[rows]
    best = _best(scores, settings)
    rows, scores, labels = rows[best], scores[best], labels[best]
    boxes = decode_boxes(outputs["boxes"][rows], priors[rows])
    kept = _suppress(boxes, scores, labels, settings)
    rows = rows[kept]
    keypoints = keypoint_scores = None
    if "keypoints" in outputs:
        offsets = outputs["keypoints"][rows].reshape(len(rows), outputs["visibility"].shape[-1], 2)
        keypoints = offsets * priors[rows, None, 2:] + priors[rows, None, :2]
        keypoint_scores = _sigmoid(outputs["visibility"][rows])
    return Detections.create(boxes[kept], scores[kept], labels[kept], keypoints, keypoint_scores)


def _best_class(values: np.ndarray, classes: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Label and value of the best class, of those that are looked for, in each row of (n, C)."""
    known = None if classes is None else np.asarray(classes)
    values = values if known is None else values[:, known]
    best = values.argmax(-1)
    return best if known is None else known[best], np.take_along_axis(values, best[:, None], axis=-1)[:, 0]


def _best(scores: np.ndarray, settings: PostprocessSettings) -> np.ndarray:
    """Indices of the scores above the threshold, at most ``nms_pre``, best first."""
    rows = np.flatnonzero(scores > settings.score_thr)
    return rows[np.argsort(-scores[rows], kind="stable")[: settings.nms_pre]]


def _suppress(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, settings: PostprocessSettings) -> np.ndarray:
    """Indices that NMS leaves of candidates given best first."""
    kept = np.arange(len(scores))
    if settings.nms_thr < 1:
        kept = nms(boxes, scores, settings.nms_thr, labels)
    return kept[: settings.max_per_img]


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Logistic function that does not overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1, small) / (1 + small)
