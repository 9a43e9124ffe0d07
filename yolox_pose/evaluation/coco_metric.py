"""The registered metric: collect detections of the model and compute COCO keypoint AP and box AP."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.coco.results import Predictions, write_predictions
from yolox_pose.errors import DataError, YOLOXPoseError
from yolox_pose.evaluation.coco_eval import evaluate_boxes, evaluate_keypoints
from yolox_pose.registry import METRICS
from yolox_pose.structures.classes import get_classes
from yolox_pose.structures.skeleton import Skeleton, get_skeleton

Detections = dict[str, np.ndarray]
"""Fields of the n detections of an image: scores, and optionally labels, bboxes, keypoints and keypoint_scores."""

KINDS = ("keypoints", "bbox")
PIXEL_DECIMALS = 4
"""Decimals of coordinates, which are rounded before they are evaluated and written.

A predictions file then is short and gives exactly the metrics that were reported. Four decimals are about the
resolution of float32 in an image of 1,000 pixels.
"""
SCORE_DECIMALS = 6
"""Decimals of keypoint scores."""


@METRICS.register_module()
class CocoPoseMetric(BaseMetric):
    """COCO keypoint AP and box AP in one pass over the evaluated images, each of which counts once.

    Args:
        ann_file: Annotation file in COCO format.
        skeleton: The K keypoints: a name, a dict of :class:`~yolox_pose.structures.skeleton.Skeleton` fields, a
            skeleton.
        metric: ``'keypoints'``, ``'bbox'`` or a list of them. The name is MMDetection's; MMEngine takes a setting
            ``metrics`` for that of its evaluator.
        keypoint_ann_file: Annotation file of the keypoints, if another file of the same images holds them. Boxes of all
            classes are then evaluated against ``ann_file``, keypoints against this file.
        keypoint_classes: Names of the classes that have keypoints; by default those of the data set
            (``dataset_meta['keypoint_classes']``), else those whose categories have keypoints, else all. Detections of
            other classes are left out of keypoint results.
        format_only: Whether predictions are written but not evaluated. The file then needs no annotations.
        outfile_prefix: Prefix of the files ``PREFIX.json`` (keypoints of the classes that have them) and
            ``PREFIX_bbox.json`` (boxes of all classes) in COCO results format; None writes none.
        score_mode: Score of a detection: ``'bbox'``, the score of its box; ``'keypoint'``, the mean of its keypoint
            scores; ``'bbox_keypoint'``, the product of the box score and the mean of the keypoint scores above
            ``keypoint_score_thr``.
        keypoint_score_thr: Threshold of ``score_mode='bbox_keypoint'`` (0.2 as in MMPose).
        nms_mode: ``'none'``: the model has suppressed duplicates already.
        sigmas: The K OKS constants; by default the skeleton's.
        classes: Setting of :func:`~yolox_pose.structures.classes.get_classes`, names of categories of the file; by
            default the classes of the data set (``dataset_meta['classes']``), else the file's categories in its order.
        prefix: First part of the metrics' names, as in ``PREFIX/AP``.
        collect_device: Setting of every MMEngine metric. The results of all processes are gathered through the backend
            that is in use.

    Raises:
        DataError: If the annotation file is missing or cannot be used.
        ValueError: If an option is not one of those above.
    """

    def __init__(
        self,
        ann_file: str,
        skeleton: str | Mapping[str, Any] | Skeleton | Sequence[str] = "coco",
        metric: str | Sequence[str] = "keypoints",
        keypoint_ann_file: str | None = None,
        keypoint_classes: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        score_mode: str = "bbox",
        keypoint_score_thr: float = 0.2,
        nms_mode: str = "none",
        sigmas: Sequence[float] | None = None,
        classes: str | Sequence[str] | None = None,
        prefix: str | None = "coco",
        collect_device: str = "cpu",
    ) -> None:
        # Check the settings
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.results: list[tuple[int, Detections]] = []
        self.kinds = (metric,) if isinstance(metric, str) else tuple(metric)
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"CocoPoseMetric: metric must be of {', '.join(KINDS)}, not {metric!r}")
        if score_mode not in _SCORES:
            raise ValueError(f"CocoPoseMetric: score_mode must be one of {', '.join(_SCORES)}, not {score_mode!r}")
        if nms_mode != "none":
            raise ValueError(f"CocoPoseMetric: nms_mode must be 'none' (the model suppresses), not {nms_mode!r}")
        if format_only and outfile_prefix is None:
            raise ValueError("CocoPoseMetric: format_only writes predictions and needs an outfile_prefix")
        self.score_mode, self.keypoint_score_thr = score_mode, keypoint_score_thr
        self.format_only, self.outfile_prefix = format_only, outfile_prefix
        self.skeleton = get_skeleton(skeleton)
        self.sigmas = self.skeleton.sigmas if sigmas is None else tuple(float(s) for s in sigmas)
        self.classes = None if classes is None else get_classes(classes)
        self.keypoint_classes = None if keypoint_classes is None else tuple(keypoint_classes)

        # Read the annotations
        self.ground_truth = GroundTruth.load(ann_file, require_annotations=not format_only)
        self.keypoint_truth = self.ground_truth
        if keypoint_ann_file is not None:
            self.keypoint_truth = GroundTruth.load(keypoint_ann_file, require_annotations=not format_only)
            if not np.array_equal(self.ground_truth.image_ids, self.keypoint_truth.image_ids):
                raise DataError(f"{ann_file} and {keypoint_ann_file} are not of the same images")

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch: Not used.
            data_samples: Samples, each a dict (as MMEngine's evaluator passes it) or a data element, with ``img_id``
                and ``pred_instances``: bboxes (n, 4) xyxy, scores or bbox_scores (n,), labels (n,) (all 0 if absent),
                keypoints (n, K, 2), keypoint_scores (n, K), tensors or arrays, in pixels of the source image.

        Raises:
            ValueError: If there are no scores, or no keypoints where they are evaluated.
        """
        for sample in data_samples:
            self.results.append((int(_get(sample, "img_id")), self._detections(_get(sample, "pred_instances"))))

    def _detections(self, instances: Any) -> Detections:
        scores = _array(instances, "scores", "bbox_scores")
        if scores is None:
            raise ValueError("CocoPoseMetric: pred_instances have neither scores nor bbox_scores")
        detections = {"scores": scores}
        for name in ("bboxes", "labels", "keypoints", "keypoint_scores"):
            value = _array(instances, name)
            if value is not None:
                detections[name] = value
        if "keypoints" in self.kinds and "keypoints" not in detections:
            raise ValueError("CocoPoseMetric: pred_instances have no keypoints; metric='bbox' evaluates boxes alone")
        return detections

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the detections of all processes and evaluate them in the first.

        MMEngine's own collection assumes that processes take images in turn and have equally many. Here images are
        identified by their ids instead.

        Args:
            size: Number of images of the data set.

        Returns:
            The metrics, in every process.

        Raises:
            DataError: If the detections do not fit the annotations; it is raised in every process.
        """
        gathered = all_gather_object(self.results)
        self.results = []  # not cleared in place: a single process gathers this very list
        outcome: list[Any] = [None]
        if is_main_process():
            try:
                metrics = self.compute_metrics([result for part in gathered for result in part])
                outcome = [{f"{self.prefix}/{k}" if self.prefix else k: v for k, v in metrics.items()}]
            except YOLOXPoseError as error:  # the other processes wait for an answer
                outcome = [error]
        broadcast_object_list(outcome)
        if isinstance(outcome[0], YOLOXPoseError):
            raise outcome[0]
        return outcome[0]

    def compute_metrics(self, results: list[tuple[int, Detections]]) -> dict[str, float]:
        """Evaluate the detections, and write them if there is an ``outfile_prefix``.

        Args:
            results: Image ids and detections. Of a repeated image (padding of the data loader) the first result counts.

        Returns:
            The metrics, without prefix.
        """
        # Collect the detections of each image once
        by_image: dict[int, Detections] = {}
        for image_id, detections in results:
            by_image.setdefault(image_id, detections)
        names = self._class_names()
        category_ids = _category_ids(self.ground_truth, names)
        predictions = Predictions.concatenate(
            [self._columns(image_id, by_image[image_id], category_ids) for image_id in sorted(by_image)]
        )
        keypoint_labels = self._keypoint_labels(names)
        pose_ids = _category_ids(self.keypoint_truth, [names[label] for label in keypoint_labels])
        poses = _with_category_ids(predictions, category_ids[keypoint_labels], pose_ids)

        # Write them
        if self.outfile_prefix is not None:
            for path in write_predictions(self.outfile_prefix, predictions, poses):
                print_log(f"predictions written to {path}", logger="current")
        if self.format_only:
            return {}

        # Evaluate them
        self._warn_of_missing(by_image)
        metrics: dict[str, float] = {}
        with _logged_warnings():
            if "keypoints" in self.kinds:
                metrics |= evaluate_keypoints(
                    self.keypoint_truth,
                    poses,
                    sigmas=self.sigmas,
                    image_ids=by_image,
                    category_ids=pose_ids.tolist(),
                )
            if "bbox" in self.kinds:
                metrics |= evaluate_boxes(
                    self.ground_truth, predictions, image_ids=by_image, category_ids=category_ids.tolist()
                )
        return metrics

    def _warn_of_missing(self, image_ids: Iterable[int]) -> None:
        truth = self.ground_truth
        missing = len(set(truth.image_ids.tolist()) - set(image_ids))
        if missing:
            total = len(truth.image_ids)
            _log_warning(
                f"{total - missing} of the {total} images of {truth.name} evaluated; the metrics are of these alone"
            )

    def _class_names(self) -> list[str]:
        """Return the C class names in label order."""
        return list(self.classes or (self.dataset_meta or {}).get("classes") or self.ground_truth.categories.values())

    def _keypoint_labels(self, names: Sequence[str]) -> list[int]:
        """Return the labels of the classes that have keypoints."""
        truth = self.keypoint_truth
        keypoint_classes = self.keypoint_classes or (self.dataset_meta or {}).get("keypoint_classes")
        keypoint_classes = keypoint_classes or [truth.categories[i] for i in truth.keypoint_categories()] or names
        return [label for label, name in enumerate(names) if name in keypoint_classes]

    def _columns(self, image_id: int, detections: Detections, category_ids: np.ndarray) -> Predictions:
        """Return the detections of an image with rounded coordinates and category ids."""
        # Check the labels
        count = len(detections["scores"])
        labels = detections.get("labels", np.zeros(count, np.int64)).astype(np.int64)
        if count and not 0 <= labels.min() <= labels.max() < len(category_ids):
            wrong = labels[(labels < 0) | (labels >= len(category_ids))][0]
            raise DataError(f"image {image_id}: label {wrong}, but {self.ground_truth.name} gives {len(category_ids)}")

        # Round the coordinates
        keypoints = boxes = None
        if "keypoints" in detections:
            points = detections["keypoints"].round(PIXEL_DECIMALS)
            scores = _rounded_up(detections.get("keypoint_scores", np.ones(points.shape[:2])))
            keypoints = np.concatenate([points, scores[..., None]], axis=-1)
        if "bboxes" in detections:
            boxes = detections["bboxes"].round(PIXEL_DECIMALS)
        score = _SCORES[self.score_mode](detections, self.keypoint_score_thr)
        return Predictions(np.full(count, image_id, np.int64), category_ids[labels], score, keypoints, boxes)


def _category_ids(truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
    """Return the category ids that a file has for class names, (C,) int64.

    Raises:
        DataError: If it does not have one of them.
    """
    ids = {name: category for category, name in truth.categories.items()}
    absent = [name for name in names if name not in ids]
    if absent:
        existing = ", ".join(map(repr, ids)) or "none"
        raise DataError(f"{truth.name}: no category {absent[0]!r}; the file has {existing}")
    return np.asarray([ids[name] for name in names], np.int64)


def _with_category_ids(predictions: Predictions, category_ids: np.ndarray, new_ids: np.ndarray) -> Predictions:
    """Return the predictions of some categories with the ids that another file has for them."""
    table = dict(zip(category_ids.tolist(), new_ids.tolist()))
    chosen = predictions.select(np.isin(predictions.category_ids, category_ids))
    return chosen._replace(category_ids=np.asarray([table[i] for i in chosen.category_ids.tolist()], np.int64))


def _get(sample: Any, name: str) -> Any:
    return sample[name] if isinstance(sample, Mapping) else getattr(sample, name)


def _array(instances: Any, *names: str) -> np.ndarray | None:
    """Return the first field that exists as float64 (labels too: they are small numbers); None if there is none."""
    for name in names:
        if name in instances:
            value = _get(instances, name)
            value = value.detach().cpu().double() if hasattr(value, "detach") else value
            return np.asarray(value, np.float64)
    return None


def _rounded_up(scores: np.ndarray) -> np.ndarray:
    """Round keypoint scores up, because a detection whose scores are all 0 is not evaluated."""
    return np.ceil(scores * 10**SCORE_DECIMALS) / 10**SCORE_DECIMALS


def _mean_above(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the (n,) mean of the (n, K) scores above the threshold, 0 where none is."""
    above = scores > threshold
    return (scores * above).sum(axis=1) / np.maximum(above.sum(axis=1), 1)


_SCORES: dict[str, Callable[[Detections, float], np.ndarray]] = {
    "bbox": lambda detections, threshold: detections["scores"],
    "keypoint": lambda detections, threshold: detections["keypoint_scores"].mean(axis=1),
    "bbox_keypoint": lambda detections, threshold: (
        detections["scores"] * _mean_above(detections["keypoint_scores"], threshold)
    ),
}
"""Score of each detection by ``score_mode``."""


@contextlib.contextmanager
def _logged_warnings() -> Iterator[None]:
    """Turn the warnings of an evaluation into log lines, so that they reach the log file too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        _log_warning(str(warning.message))


def _log_warning(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
