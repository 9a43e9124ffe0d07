"""COCO keypoint AP and box AP of detections, equal to xtcocotools and pycocotools.

Needs neither torch nor an OpenMMLab package. Any number of keypoints and any sigmas work. Detections all of whose
keypoint scores are 0 are left out, as in xtcocotools.

Metrics are in 0..1; -1 means that there is no annotation (of that size), as in COCO's tools. Shape letters: N
detections, K keypoints.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from yolox_pose.coco.ground_truth import GroundTruth, GroundTruthSource
from yolox_pose.coco.results import Predictions, PredictionsSource
from yolox_pose.errors import DataError
from yolox_pose.evaluation.matching import keypoint_annotations, match_boxes, match_keypoints
from yolox_pose.evaluation.summary import average_precisions, average_recalls, names_at_scores, precision_and_recall
from yolox_pose.structures.constants import MAX_BOX_DETECTIONS, MAX_KEYPOINT_DETECTIONS
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.utils.text import counted

KEYPOINT_METRICS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
BOX_METRICS = ("bbox_mAP", "bbox_mAP_50", "bbox_mAP_75", "bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")


def evaluate_keypoints(
    ground_truth: GroundTruthSource,
    predictions: PredictionsSource,
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[int] | None = None,
    category_ids: Iterable[int] | None = None,
    at: Sequence[float] = (),
) -> dict[str, float]:
    """Compute COCO keypoint AP and AR.

    Args:
        ground_truth: Annotation file, its content, or a :class:`GroundTruth`, which saves reading it again.
        predictions: COCO keypoint results (list of dicts or a file) or :class:`Predictions`. Boxes are not used: the
            size of a detection is the extent of its keypoints.
        sigmas: The K OKS constants; by default COCO's for 17 keypoints, else 1/K each.
        image_ids: Images to evaluate on; by default all.
        category_ids: Categories to average over; by default all. Those without keypoints do not count.
        at: Scores for which ``precision@S`` and ``recall@S`` of the detections from that score on are added, at an OKS
            of 0.5, over all sizes and categories together.

    Returns:
        The metrics :data:`KEYPOINT_METRICS` and those of ``at``. Without any detection every metric is 0 (-1 where
        there is no annotation), with a warning.

    Raises:
        DataError: If annotations or predictions cannot be used. The message names file and id.
    """
    # Choose images, categories and sigmas
    truth, detections = GroundTruth.load(ground_truth), Predictions.load(predictions)
    sigmas = keypoint_sigmas(truth, sigmas)
    images = _choose_ids(truth.image_ids.tolist(), image_ids, f"{truth.name}: no image with id")
    categories = truth.keypoint_categories()
    if category_ids is not None:
        chosen = _choose_ids(list(truth.categories), category_ids, f"{truth.name}: no category with id")
        categories = [category for category in chosen if category in categories]

    # Stop where no annotation can be matched
    annotations = keypoint_annotations(truth, len(sigmas), images, categories)
    if not any(a["num_keypoints"] and not a["iscrowd"] for a in annotations):
        _warn(f"{truth.name}: no person with labeled keypoints on the {counted(len(images), 'images')} evaluated")
        return dict.fromkeys([*KEYPOINT_METRICS, *names_at_scores(at)], -1.0)

    # Choose the detections that COCO evaluation counts
    detections = _usable(detections, "keypoints", truth, images, categories)
    keypoints = detections.keypoints
    if keypoints is not None and len(keypoints):
        if keypoints.shape[1] != len(sigmas):
            raise DataError(
                f"the detections have {keypoints.shape[1]} keypoints, the annotations ({truth.name}) {len(sigmas)}"
            )
        detections = detections.select(np.any(keypoints[..., 2] > 0, axis=1))
        detections = best_per_image(detections, MAX_KEYPOINT_DETECTIONS)

    # Match and average
    evaluation = match_keypoints(annotations, detections, sigmas, images, categories)
    metrics = dict(zip(KEYPOINT_METRICS, average_precisions(evaluation) + average_recalls(evaluation)))
    return metrics | precision_and_recall(evaluation, at)


def evaluate_boxes(
    ground_truth: GroundTruthSource,
    predictions: PredictionsSource,
    *,
    image_ids: Iterable[int] | None = None,
    category_ids: Iterable[int] | None = None,
    at: Sequence[float] = (),
) -> dict[str, float]:
    """Compute COCO box AP.

    Args:
        ground_truth: Annotation file, its content, or a :class:`GroundTruth`, which saves reading it again. An absent
            area of an annotation is that of its box.
        predictions: COCO detection results (list of dicts with ``bbox``, or a file) or :class:`Predictions`.
        image_ids: Images to evaluate on; by default all.
        category_ids: Categories to average over; by default all.
        at: Scores for which ``precision@S`` and ``recall@S`` of the detections from that score on are added, at an IoU
            of 0.5, over all sizes and categories together.

    Returns:
        The metrics :data:`BOX_METRICS` and those of ``at``. Without any detection every metric is 0 (-1 where there is
        no annotation), with a warning.

    Raises:
        DataError: If annotations or predictions cannot be used. The message names file and id.
    """
    # Choose images and categories
    truth, detections = GroundTruth.load(ground_truth), Predictions.load(predictions)
    images = _choose_ids(truth.image_ids.tolist(), image_ids, f"{truth.name}: no image with id")
    categories = _choose_ids(list(truth.categories), category_ids, f"{truth.name}: no category with id")

    # Stop where no annotation can be matched
    if truth.iscrowd[truth.rows(images, categories)].all():
        _warn(f"{truth.name}: no annotated object on the {counted(len(images), 'images')} evaluated")
        return dict.fromkeys([*BOX_METRICS, *names_at_scores(at)], -1.0)

    # Match and average
    detections = best_per_image(_usable(detections, "boxes", truth, images, categories), MAX_BOX_DETECTIONS)
    evaluation = match_boxes(truth, detections, images, categories)
    return dict(zip(BOX_METRICS, average_precisions(evaluation))) | precision_and_recall(evaluation, at)


def keypoint_sigmas(truth: GroundTruth, sigmas: Sequence[float] | None = None) -> list[float]:
    """Return the OKS constants to evaluate with.

    Args:
        truth: The annotations, which tell K.
        sigmas: The K constants; None for COCO's with 17 keypoints, else 1/K each.

    Raises:
        DataError: If they are not positive numbers.
    """
    if sigmas is None:
        count = truth.num_keypoints or COCO_PERSON.num_keypoints
        return list(COCO_PERSON.sigmas) if count == COCO_PERSON.num_keypoints else [1.0 / count] * count
    values = [float(s) for s in sigmas]
    if not values or not all(s > 0 and np.isfinite(s) for s in values):
        raise DataError(f"OKS sigmas must be positive numbers, not {values}")
    return values


def _choose_ids(existing: list[int], requested: Iterable[int] | None, problem: str) -> list[int]:
    """Return the requested ids, ascending and each once; all existing ids for None."""
    if requested is None:
        return sorted(existing)
    chosen = sorted({int(i) for i in requested})
    unknown = sorted(set(chosen) - set(existing))
    if unknown:
        raise DataError(f"{problem} {unknown[0]}" + (f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""))
    return chosen


def _usable(
    detections: Predictions, column: str, truth: GroundTruth, images: list[int], categories: list[int]
) -> Predictions:
    """Return the detections on the evaluated images and of the evaluated categories; warn of those that never count.

    Args:
        detections: All detections.
        column: Evaluated column, ``"keypoints"`` or ``"boxes"``.
        truth: The annotations.
        images: Image ids.
        categories: Category ids.

    Raises:
        DataError: If a detection is on an image that the annotations do not have, or has no such column.
    """
    # Check images and categories
    unlisted = np.flatnonzero(~np.isin(detections.image_ids, truth.image_ids))
    if len(unlisted):
        image = detections.image_ids[unlisted[0]]
        raise DataError(f"{len(unlisted)} detections are on images that {truth.name} does not have, such as {image}")
    unknown = ~np.isin(detections.category_ids, list(truth.categories))
    if unknown.any():
        example = detections.category_ids[unknown][0]
        _warn(f"{unknown.sum()} detections left out: their category is not in {truth.name}, such as {example}")
    on_image = np.isin(detections.image_ids, images)
    detections = detections.select(on_image & np.isin(detections.category_ids, categories))

    # Leave out NaN and infinity
    values = getattr(detections, column)
    if len(detections.scores) and values is None:
        raise DataError(f"the detections have no {column}")
    finite = np.isfinite(detections.scores)
    if values is not None:
        finite &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        _warn(f"{(~finite).sum()} detections left out: they hold NaN or infinity")
    if not finite.any():
        _warn(f"no detections to evaluate against {truth.name}")
    return detections.select(finite)


def best_per_image(detections: Predictions, limit: int) -> Predictions:
    """Return the best detections of each image and category, in their order; COCO evaluation counts no others.

    Of equal scores the earlier detections are kept, as by the stable sort of COCO's tools.

    Args:
        detections: Detections of any images.
        limit: Number of detections per image and category.
    """
    if len(detections.scores) <= limit:
        return detections
    order = np.lexsort((-detections.scores, detections.category_ids, detections.image_ids))
    images, categories = detections.image_ids[order], detections.category_ids[order]
    starts = np.r_[True, (images[1:] != images[:-1]) | (categories[1:] != categories[:-1])]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    kept = order[np.arange(len(order)) - first < limit]
    return detections.select(np.sort(kept))


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
