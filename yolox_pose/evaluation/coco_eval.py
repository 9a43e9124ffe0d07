"""COCO keypoint AP and box AP of detections against annotations, with the figures of xtcocotools and pycocotools.

Depends on numpy and hotcoco alone (no torch, no OpenMMLab package). hotcoco does the matching; what xtcocotools does
besides is done here: visible keypoints are counted instead of trusting ``num_keypoints``, detections all of whose
keypoint scores are 0 are left out, any number of keypoints and any sigmas work, absent areas are filled in.

Figures are in 0..1; -1 means that the annotations hold nothing to be found (in that size range), as in COCO's tools.
Shape letters: N detections, K keypoints, T thresholds, R recall points, C categories, S size ranges.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from yolox_pose.coco.ground_truth import GroundTruth, GroundTruthSource
from yolox_pose.coco.results import Predictions, PredictionsSource, to_xywh
from yolox_pose.errors import DataError
from yolox_pose.structures.constants import AREA_PER_BOX, MAX_BOX_DETECTIONS, MAX_KEYPOINT_DETECTIONS
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.utils.dependencies import TRAINING, require
from yolox_pose.utils.json_files import paused_gc

KEYPOINT_METRICS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
BOX_METRICS = ("bbox_mAP", "bbox_mAP_50", "bbox_mAP_75", "bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")
FOUND = 0.5
"""OKS, or IoU of boxes, from which somebody counts as found in precision and recall at a score."""


def evaluate_keypoints(
    ground_truth: GroundTruthSource,
    predictions: PredictionsSource,
    *,
    sigmas: Sequence[float] | None = None,
    image_ids: Iterable[int] | None = None,
    category_ids: Iterable[int] | None = None,
    at: Sequence[float] = (),
) -> dict[str, float]:
    """COCO keypoint AP and AR.

    Args:
        ground_truth: Annotation file, its content, or a :class:`GroundTruth` (which saves reading it again).
        predictions: COCO keypoint results (list of dicts or a file) or :class:`Predictions`. Boxes are not used: the
            size of a detection is the extent of its keypoints.
        sigmas: The K OKS constants; by default COCO's for 17 keypoints, else 1/K each.
        image_ids: Images to evaluate on; by default all.
        category_ids: Categories to average over; by default all. Those without keypoints do not count.
        at: Scores. For each the figures ``precision@S`` and ``recall@S`` say how many of the detections from that score on
            are somebody, and how many people are among them (OKS of :data:`FOUND`, all sizes and categories together).

    Returns:
        The figures :data:`KEYPOINT_METRICS`, and those of ``at``. Without any detection every figure is 0 (-1 where there is nothing to be
        found), with a warning.

    Raises:
        DataError: If annotations or predictions cannot be used; the message names file and id.
    """
    truth, detections = GroundTruth.load(ground_truth), Predictions.load(predictions)
    sigmas = keypoint_sigmas(truth, sigmas)
    images = _chosen(truth.image_ids.tolist(), image_ids, f"{truth.name}: no image with id")
    categories = truth.keypoint_categories()
    if category_ids is not None:
        chosen = _chosen(list(truth.categories), category_ids, f"{truth.name}: no category with id")
        categories = [category for category in chosen if category in categories]
    annotations = _keypoint_annotations(truth, len(sigmas), images, categories)
    if not any(a["num_keypoints"] and not a["iscrowd"] for a in annotations):
        _warn(f"{truth.name}: no person with labelled keypoints on the {len(images)} images evaluated")
        return dict.fromkeys([*KEYPOINT_METRICS, *_point_names(at)], -1.0)
    detections = _usable(detections, "keypoints", truth, images, categories)
    keypoints = detections.keypoints
    if keypoints is not None and len(keypoints):
        if keypoints.shape[1] != len(sigmas):
            found = keypoints.shape[1]
            raise DataError(f"the detections have {found} keypoints, the annotations ({truth.name}) {len(sigmas)}")
        detections = detections.select(np.any(keypoints[..., 2] > 0, axis=1))
        detections = _best_per_image(detections, MAX_KEYPOINT_DETECTIONS)
    evaluation = _match_keypoints(annotations, detections, sigmas, images, categories)
    precision, recall = _tables(evaluation)
    return dict(zip(KEYPOINT_METRICS, _averages(precision) + _averages(recall))) | _points(evaluation, at)


def evaluate_boxes(
    ground_truth: GroundTruthSource,
    predictions: PredictionsSource,
    *,
    image_ids: Iterable[int] | None = None,
    category_ids: Iterable[int] | None = None,
    at: Sequence[float] = (),
) -> dict[str, float]:
    """COCO box AP.

    Args:
        ground_truth: As for :func:`evaluate_keypoints`.
        predictions: COCO detection results (list of dicts with ``bbox``, or a file) or :class:`Predictions`.
        image_ids: Images to evaluate on; by default all.
        category_ids: Categories to average over; by default all.
        at: As for :func:`evaluate_keypoints`, by IoU.

    Returns:
        The figures :data:`BOX_METRICS`, and those of ``at``; 0 and -1 as for :func:`evaluate_keypoints`. An absent area of
        an annotation is that of its box.

    Raises:
        DataError: If annotations or predictions cannot be used; the message names file and id.
    """
    truth, detections = GroundTruth.load(ground_truth), Predictions.load(predictions)
    images = _chosen(truth.image_ids.tolist(), image_ids, f"{truth.name}: no image with id")
    categories = _chosen(list(truth.categories), category_ids, f"{truth.name}: no category with id")
    if truth.iscrowd[truth.rows(images, categories)].all():
        _warn(f"{truth.name}: no annotated object on the {len(images)} images evaluated")
        return dict.fromkeys([*BOX_METRICS, *_point_names(at)], -1.0)
    detections = _usable(detections, "boxes", truth, images, categories)
    evaluation = _match_boxes(truth, _best_per_image(detections, MAX_BOX_DETECTIONS), images, categories)
    return dict(zip(BOX_METRICS, _averages(_tables(evaluation)[0]))) | _points(evaluation, at)


def keypoint_sigmas(truth: GroundTruth, sigmas: Sequence[float] | None = None) -> list[float]:
    """The sigmas to evaluate with: those given, else COCO's for 17 keypoints, else 1/K.

    Raises:
        DataError: If they are not positive numbers.
    """
    if sigmas is None:
        count = truth.num_keypoints or COCO_PERSON.num_keypoints
        return list(COCO_PERSON.sigmas) if count == COCO_PERSON.num_keypoints else [1.0 / count] * count
    values = [float(s) for s in sigmas]
    if not values or not all(s > 0 and np.isfinite(s) for s in values):
        raise DataError(f"OKS sigmas must be positive numbers, found {values}")
    return values


def _chosen(known: list[int], wanted: Iterable[int] | None, problem: str) -> list[int]:
    """Ids to evaluate, ascending and once each; all where none are named."""
    if wanted is None:
        return sorted(known)
    chosen = sorted({int(i) for i in wanted})
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise DataError(f"{problem} {unknown[0]}" + (f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""))
    return chosen


def _usable(
    detections: Predictions, column: str, truth: GroundTruth, images: list[int], categories: list[int]
) -> Predictions:
    """Detections on the images and of the categories that are evaluated; warns of those that can never count.

    Args:
        detections: All detections.
        column: What is evaluated, ``"keypoints"`` or ``"boxes"``.
        truth: Annotations.
        images: Image ids.
        categories: Category ids.

    Raises:
        DataError: If a detection is on an image that the annotations do not have.
    """
    strangers = np.flatnonzero(~np.isin(detections.image_ids, truth.image_ids))
    if len(strangers):
        image = detections.image_ids[strangers[0]]
        raise DataError(f"{len(strangers)} detections are on images that {truth.name} does not have, such as {image}")
    unknown = ~np.isin(detections.category_ids, list(truth.categories))
    if unknown.any():
        example = detections.category_ids[unknown][0]
        _warn(f"{unknown.sum()} detections left out: their category is not in {truth.name}, such as {example}")
    on_image = np.isin(detections.image_ids, images)
    detections = detections.select(on_image & np.isin(detections.category_ids, categories))
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


def _best_per_image(detections: Predictions, limit: int) -> Predictions:
    """The ``limit`` best detections of each image and category, in their order: all that COCO evaluation looks at.

    Of equal scores the earlier ones are kept, as by the stable sort of COCO's tools.
    """
    if len(detections.scores) <= limit:
        return detections
    order = np.lexsort((-detections.scores, detections.category_ids, detections.image_ids))
    images, categories = detections.image_ids[order], detections.category_ids[order]
    starts = np.r_[True, (images[1:] != images[:-1]) | (categories[1:] != categories[:-1])]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    kept = order[np.arange(len(order)) - first < limit]
    return detections.select(np.sort(kept))


def _keypoint_annotations(
    truth: GroundTruth, num_keypoints: int, images: list[int], categories: list[int]
) -> list[dict[str, Any]]:
    """The annotations of the chosen images and categories, renumbered and with everything that COCO tools use."""
    rows = truth.rows(images, categories)
    points = truth.keypoint_table(rows, num_keypoints)
    visible = (points[..., 2] > 0).sum(axis=1)
    boxes = truth.boxes[rows]
    for i in np.flatnonzero(np.isnan(boxes).any(axis=1)):
        if not visible[i]:
            raise DataError(
                f"{truth.name}: annotation {truth.ann_ids[rows[i]]} has neither bbox nor labelled keypoints"
            )
        labelled = points[i, points[i, :, 2] > 0, :2]
        boxes[i] = [*labelled.min(axis=0), *np.ptp(labelled, axis=0)]
    areas = np.where(np.isnan(truth.areas[rows]), AREA_PER_BOX * boxes[:, 2] * boxes[:, 3], truth.areas[rows])
    columns = {
        "id": rows + 1,
        "image_id": _numbers(truth.image_ids[truth.image_index[rows]], images),
        "category_id": _numbers(truth.category_ids[rows], categories),
        "keypoints": points.reshape(len(rows), 3 * num_keypoints),
        "num_keypoints": visible,
        "bbox": boxes,
        "area": areas,
        "iscrowd": truth.iscrowd[rows].astype(np.int64),
    }
    return _dicts(columns)


def _dicts(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """One dict a row of columns of equal length."""
    return [dict(zip(columns, values)) for values in zip(*(column.tolist() for column in columns.values()))]


def _match_keypoints(
    annotations: list[dict[str, Any]],
    detections: Predictions,
    sigmas: list[float],
    images: list[int],
    categories: list[int],
) -> Any:
    """A finished evaluation; all ids in ``annotations`` are numbers already, those of ``detections`` are the file's."""
    hotcoco = _engine()

    coco = hotcoco.COCO({**_numbered_dataset(images, categories), "annotations": annotations})
    columns = {
        "image_id": _numbers(detections.image_ids, images),
        "category_id": _numbers(detections.category_ids, categories),
        "score": detections.scores,
        "keypoints": np.reshape([] if detections.keypoints is None else detections.keypoints, (-1, 3 * len(sigmas))),
    }
    with paused_gc():
        results = coco.load_res(_dicts(columns))
    return _match(coco, results, "keypoints", sigmas)


def _match_boxes(truth: GroundTruth, detections: Predictions, images: list[int], categories: list[int]) -> Any:
    """A finished evaluation."""
    hotcoco = _engine()

    rows = truth.rows(images, categories)
    boxes = truth.boxes[rows]
    if np.isnan(boxes).any():
        row = rows[np.isnan(boxes).any(axis=1)][0]
        raise DataError(f"{truth.name}: annotation {truth.ann_ids[row]} has no bbox")
    dataset = _numbered_dataset(images, categories)
    coco = hotcoco.COCO.from_arrays(
        dataset["images"],
        dataset["categories"],
        image_ids=_numbers(truth.image_ids[truth.image_index[rows]], images),
        category_ids=_numbers(truth.category_ids[rows], categories),
        boxes=boxes,
        ids=rows + 1,
        area=np.where(np.isnan(truth.areas[rows]), boxes[:, 2] * boxes[:, 3], truth.areas[rows]),
        iscrowd=truth.iscrowd[rows],
    )
    columns = (_numbers(detections.image_ids, images), *_xywh_columns(detections.boxes), detections.scores)
    table = np.stack([*columns, _numbers(detections.category_ids, categories)], axis=1).astype(np.float64)
    return _match(coco, coco.load_res(table), "bbox")


def _xywh_columns(boxes: np.ndarray | None) -> np.ndarray:
    return to_xywh(np.zeros((0, 4)) if boxes is None else boxes).T


def _numbers(ids: np.ndarray, ascending: list[int]) -> np.ndarray:
    """1, 2, 3, ... for the first, second, third of the ``ascending`` ids."""
    return np.searchsorted(np.asarray(ascending, np.int64), ids) + 1


def _numbered_dataset(images: list[int], categories: list[int]) -> dict[str, list[dict[str, Any]]]:
    return {
        "images": [{"id": i + 1} for i in range(len(images))],
        "categories": [{"id": i + 1, "name": str(category)} for i, category in enumerate(categories)],
    }


def _engine() -> Any:
    """The module hotcoco, imported when first needed.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    require(dependency for dependency in TRAINING if dependency.module == "hotcoco")
    return import_module("hotcoco")


def _match(coco: Any, results: Any, kind: str, sigmas: list[float] | None = None) -> Any:
    """hotcoco's evaluation, matched and accumulated."""
    hotcoco = _engine()

    evaluation = hotcoco.COCOeval(coco, results, kind)
    if sigmas is not None:
        params = evaluation.params
        params.kpt_oks_sigmas = sigmas
        evaluation.params = params
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _tables(evaluation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, R, C, S) and recall (T, C, S) at the largest number of detections; -1 where undefined."""
    tables = evaluation.eval
    return np.asarray(tables["precision"])[..., -1], np.asarray(tables["recall"])[..., -1]


def _averages(values: np.ndarray) -> list[float]:
    """Averages over what is defined (above -1) of precision (T, R, C, S) or recall (T, C, S).

    Over all thresholds, at 0.50, at 0.75 (objects of any size, which is the first size range), then over all
    thresholds for each further size range.
    """
    parts = [values[..., 0], values[0, ..., 0], values[5, ..., 0]]
    parts += [values[..., size] for size in range(1, values.shape[-1])]
    return [float(part[part > -1].mean()) if (part > -1).any() else -1.0 for part in parts]


def _point_names(at: Iterable[float]) -> list[str]:
    """Names of the figures at scores."""
    return [f"{name}@{score:g}" for score in at for name in ("precision", "recall")]


def _points(evaluation: Any, at: Sequence[float]) -> dict[str, float]:
    """Precision and recall of the detections from each score on; -1 where there are none, or nothing to be found.

    COCO's matching goes from the best score down, so that detections below a score change nothing for those above.
    """
    if not at:
        return {}
    params = evaluation.params
    threshold, everything = list(params.iou_thrs).index(FOUND), params.area_rng[0]
    parts = [one for one in evaluation.eval_imgs if one is not None and list(one["aRng"]) == list(everything)]
    there = sum(int((~np.asarray(one["gtIgnore"], bool)).sum()) for one in parts)
    scores = np.concatenate([np.zeros(0), *(one["dtScores"] for one in parts)])
    hit, ignored = (
        np.concatenate([np.zeros(0, bool), *(np.asarray(one[key][threshold], bool) for one in parts)])
        for key in ("dtMatches", "dtIgnore")  # a match is an id, from 1 on
    )
    figures = []
    for score in at:
        shown = ~ignored & (scores >= score)
        found = int((hit & shown).sum())
        figures += [found / shown.sum() if shown.any() else -1.0, found / there if there else -1.0]
    return dict(zip(_point_names(at), map(float, figures)))


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=3)
