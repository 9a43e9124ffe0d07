"""Match detections with annotations in hotcoco, with the rules of xtcocotools and pycocotools.

hotcoco does the matching. This module adds the rules of xtcocotools: visible keypoints are counted instead of trusting
``num_keypoints``, and absent boxes and areas are filled in. Ids are renumbered, so that they may have any size.

Shape letters: N detections, R rows (positions of annotations), K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions, to_xywh
from yolox_pose.structures.constants import AREA_PER_BOX
from yolox_pose.utils.dependencies import TRAINING, require
from yolox_pose.utils.json_files import paused_gc


def keypoint_annotations(
    truth: GroundTruth, num_keypoints: int, images: Sequence[int], categories: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the annotations of some images and categories, renumbered, with every field that the matching reads.

    Args:
        truth: All annotations.
        num_keypoints: K, the number of keypoints.
        images: Image ids, ascending.
        categories: Category ids, ascending.

    Raises:
        DataError: If an annotation has another number of keypoints, or neither a box nor labeled keypoints.
    """
    # Fill in absent boxes and areas
    rows = truth.rows(images, categories)
    keypoints = truth.keypoint_table(rows, num_keypoints)
    boxes = truth.boxes_or_extents(rows, keypoints)
    truth.check_boxes(rows, boxes, "neither bbox nor labeled keypoints")
    areas = np.where(np.isnan(truth.areas[rows]), AREA_PER_BOX * boxes[:, 2] * boxes[:, 3], truth.areas[rows])

    # Renumber the ids
    return _rows_as_dicts(
        {
            "id": rows + 1,
            "image_id": _numbers(truth.image_ids[truth.image_index[rows]], images),
            "category_id": _numbers(truth.category_ids[rows], categories),
            "keypoints": keypoints.reshape(len(rows), 3 * num_keypoints),
            "num_keypoints": (keypoints[..., 2] > 0).sum(axis=1),
            "bbox": boxes,
            "area": areas,
            "iscrowd": truth.iscrowd[rows].astype(np.int64),
        }
    )


def match_keypoints(
    annotations: list[dict[str, Any]],
    detections: Predictions,
    sigmas: Sequence[float],
    images: Sequence[int],
    categories: Sequence[int],
) -> Any:
    """Match detections with annotations by OKS.

    Args:
        annotations: Annotations of :func:`keypoint_annotations`.
        detections: Detections on these images and of these categories.
        sigmas: The K OKS constants.
        images: Image ids, ascending.
        categories: Category ids, ascending.

    Returns:
        The evaluation of hotcoco, matched and accumulated.
    """
    hotcoco = _import_hotcoco()
    coco = hotcoco.COCO({**_numbered_dataset(images, categories), "annotations": annotations})
    keypoints = np.zeros((0, len(sigmas), 3)) if detections.keypoints is None else detections.keypoints
    columns = {
        "image_id": _numbers(detections.image_ids, images),
        "category_id": _numbers(detections.category_ids, categories),
        "score": detections.scores,
        "keypoints": keypoints.reshape(-1, 3 * len(sigmas)),
    }
    with paused_gc():
        results = coco.load_res(_rows_as_dicts(columns))
    return _run(coco, results, "keypoints", sigmas)


def match_boxes(truth: GroundTruth, detections: Predictions, images: Sequence[int], categories: Sequence[int]) -> Any:
    """Match detections with annotations by the IoU of their boxes.

    Args:
        truth: All annotations. An absent area is that of the box.
        detections: Detections on these images and of these categories.
        images: Image ids, ascending.
        categories: Category ids, ascending.

    Returns:
        The evaluation of hotcoco, matched and accumulated.

    Raises:
        DataError: If an annotation has no box.
    """
    # Pass the annotations to hotcoco
    hotcoco = _import_hotcoco()
    rows = truth.rows(images, categories)
    boxes = truth.boxes[rows]
    truth.check_boxes(rows, boxes, "bbox is missing")
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

    # Pass the detections to hotcoco
    xywh = to_xywh(np.zeros((0, 4)) if detections.boxes is None else detections.boxes)
    image_numbers, category_numbers = (
        _numbers(detections.image_ids, images),
        _numbers(detections.category_ids, categories),
    )
    table = np.column_stack([image_numbers, xywh, detections.scores, category_numbers]).astype(np.float64)
    return _run(coco, coco.load_res(table), "bbox")


def _run(coco: Any, results: Any, kind: str, sigmas: Sequence[float] | None = None) -> Any:
    """Return hotcoco's evaluation, matched and accumulated."""
    evaluation = _import_hotcoco().COCOeval(coco, results, kind)
    if sigmas is not None:
        params = evaluation.params
        params.kpt_oks_sigmas = list(sigmas)
        evaluation.params = params
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _rows_as_dicts(columns: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return a dict for each row of columns of equal length."""
    return [dict(zip(columns, values)) for values in zip(*(column.tolist() for column in columns.values()))]


def _numbers(ids: np.ndarray, ascending: Sequence[int]) -> np.ndarray:
    """Return 1, 2, 3, ... for the first, second, third of the ``ascending`` ids."""
    return np.searchsorted(np.asarray(ascending, np.int64), ids) + 1


def _numbered_dataset(images: Sequence[int], categories: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    return {
        "images": [{"id": i + 1} for i in range(len(images))],
        "categories": [{"id": i + 1, "name": str(category)} for i, category in enumerate(categories)],
    }


def _import_hotcoco() -> Any:
    """Return the module hotcoco, imported when first needed.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    require(dependency for dependency in TRAINING if dependency.module == "hotcoco")
    return import_module("hotcoco")
