"""Postprocessing of an exported network in numpy; :mod:`yolox_pose.models.postprocess` does the same in torch.

Each prior stands for its best class. Boxes of different classes do not suppress each other.
Letters: B images, N priors, K keypoints, C classes, n detections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from yolox_pose.geometry.boxes import decode_boxes
from yolox_pose.geometry.nms import nms
from yolox_pose.geometry.pose_nms import suppress_duplicates
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.structures.detections import Detections
from yolox_pose.structures.settings import PostprocessSettings

Keypoints = tuple[np.ndarray, np.ndarray] | None
"""Keypoints (n, K, 2) in pixels and keypoint scores (n, K); None for models without keypoints."""


def detect(
    outputs: Mapping[str, np.ndarray],
    image: int,
    priors: np.ndarray,
    description: ModelDescription,
    settings: PostprocessSettings,
) -> Detections:
    """Select, decode and suppress the detections of one image of a batch.

    Args:
        outputs: Outputs of the network by name, for the whole batch.
        image: Index of the image in the batch.
        priors: Priors of shape (N, 3).
        description: Description of the model, with the layout of the outputs.
        settings: Thresholds and NMS.

    Returns:
        The detections in pixels of the network's input. Keypoints and keypoint scores of classes without keypoints are 0.
    """
    if description.layout == "nms":
        return _clear_keypoints(_from_nms(outputs, image, settings), description)
    image_outputs = {name: values[image] for name, values in outputs.items()}
    if description.layout == "decode":
        return _from_decoded(image_outputs, description, settings)
    return _from_raw(image_outputs, priors, description, settings)


def _from_nms(outputs: Mapping[str, np.ndarray], image: int, settings: PostprocessSettings) -> Detections:
    """Select the detections of one image from the ``nms`` layout; the score threshold may be above the graph's."""
    selected = (outputs["batch_index"] == image) & (outputs["scores"] > settings.score_thr)
    if settings.classes is not None:
        selected &= np.isin(outputs["labels"], settings.classes)
    rows = np.flatnonzero(selected)[: settings.max_per_img]
    keypoints = (outputs[name][rows] if name in outputs else None for name in ("keypoints", "keypoint_scores"))
    return Detections.create(outputs["boxes"][rows], outputs["scores"][rows], outputs["labels"][rows], *keypoints)


def _from_decoded(
    outputs: Mapping[str, np.ndarray], description: ModelDescription, settings: PostprocessSettings
) -> Detections:
    """Select and suppress the detections of one image from the ``decode`` layout."""
    labels, scores = _best_class(outputs["scores"], settings.classes)
    rows = _best_rows(scores, settings)

    def keypoints_at(rows: np.ndarray) -> Keypoints:
        return (outputs["keypoints"][rows], outputs["keypoint_scores"][rows]) if "keypoints" in outputs else None

    candidates = Detections.create(outputs["boxes"][rows], scores[rows], labels[rows])
    return _suppress(candidates, lambda ids: keypoints_at(rows[ids]), description, settings)


def _from_raw(
    outputs: Mapping[str, np.ndarray],
    priors: np.ndarray,
    description: ModelDescription,
    settings: PostprocessSettings,
) -> Detections:
    """Select, decode and suppress the detections of one image from the ``raw`` layout."""
    # Score the priors whose objectness alone is above the threshold
    objectness = _sigmoid(outputs["objectness"])
    rows = np.flatnonzero(objectness > settings.score_thr)
    labels, logits = _best_class(outputs["classes"][rows], settings.classes)
    scores = _sigmoid(logits) * objectness[rows]

    # Select the best and decode them
    best = _best_rows(scores, settings)
    rows, scores, labels = rows[best], scores[best], labels[best]
    candidates = Detections.create(decode_boxes(outputs["boxes"][rows], priors[rows]), scores, labels)

    def keypoints_at(rows: np.ndarray) -> Keypoints:
        if "keypoints" not in outputs:
            return None
        offsets = outputs["keypoints"][rows].reshape(len(rows), outputs["visibility"].shape[-1], 2)
        keypoints = offsets * priors[rows, None, 2:] + priors[rows, None, :2]
        return keypoints, _sigmoid(outputs["visibility"][rows])

    return _suppress(candidates, lambda ids: keypoints_at(rows[ids]), description, settings)


def _best_class(values: np.ndarray, classes: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the label (n,) and the value (n,) of the best class in each row (n, C), among ``classes`` if given."""
    labels = np.arange(values.shape[-1]) if classes is None else np.asarray(classes)
    values = values if classes is None else values[:, labels]
    best = values.argmax(-1)
    return labels[best], np.take_along_axis(values, best[:, None], axis=-1)[:, 0]


def _best_rows(scores: np.ndarray, settings: PostprocessSettings) -> np.ndarray:
    """Return the indices of the scores above the threshold, at most ``nms_pre``, best first."""
    rows = np.flatnonzero(scores > settings.score_thr)
    return rows[np.argsort(-scores[rows], kind="stable")[: settings.nms_pre]]


def _suppress(
    candidates: Detections,
    keypoints_at: Callable[[np.ndarray], Keypoints],
    description: ModelDescription,
    settings: PostprocessSettings,
) -> Detections:
    """Suppress duplicates and add the keypoints.

    Args:
        candidates: Candidates without keypoints, best first.
        keypoints_at: Function from indices of candidates to their keypoints. NMS by boxes reads only those it keeps.
        description: Description of the model.
        settings: Type, thresholds and limit of NMS.
    """

    def with_keypoints(ids: np.ndarray) -> Detections:
        selected, keypoints = candidates.select(ids), keypoints_at(ids)
        if keypoints is None:
            return selected
        return _clear_keypoints(selected._replace(keypoints=keypoints[0], keypoint_scores=keypoints[1]), description)

    ids = np.arange(len(candidates.scores))
    if settings.nms_thr >= 1 and settings.nms_type != "oks":
        return with_keypoints(ids[: settings.max_per_img])
    if settings.nms_type == "box" and settings.soft_nms == "none":
        kept = nms(candidates.boxes, candidates.scores, settings.nms_thr, candidates.labels)
        return with_keypoints(kept[: settings.max_per_img])
    sigmas = np.asarray(description.skeleton.sigmas if description.skeleton is not None else ())
    detections = with_keypoints(ids)
    kept, scores = suppress_duplicates(detections, settings, sigmas)
    kept, scores = kept[: settings.max_per_img], scores[: settings.max_per_img]
    return detections.select(kept)._replace(scores=scores.astype(candidates.scores.dtype))


def _clear_keypoints(detections: Detections, description: ModelDescription) -> Detections:
    """Set the keypoints and keypoint scores of classes without keypoints to 0."""
    if len(description.keypoint_classes) == len(description.classes):
        return detections
    has_keypoints = np.isin(detections.labels, description.keypoint_classes)[:, None].astype(np.float32)
    return detections._replace(
        keypoints=detections.keypoints * has_keypoints[..., None],
        keypoint_scores=detections.keypoint_scores * has_keypoints,
    )


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Compute the logistic function without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1, small) / (1 + small)
