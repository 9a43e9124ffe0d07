"""The registered metric: collects detections of the model and evaluates them in COCO's way."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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

KINDS = ("keypoints", "bbox")
PIXEL_DECIMALS = 4
"""Coordinates are rounded to this many decimals before they are evaluated and written, so that a predictions file is
short and gives exactly the figures that were reported. It is about what float32 resolves in an image of 1,000 pixels."""


@METRICS.register_module()
class CocoPoseMetric(BaseMetric):
    """COCO keypoint AP and box AP, in one pass, of the images that were evaluated, each counted once.

    Args:
        ann_file: Annotations in COCO format.
        keypoint_ann_file: Annotations of the keypoints, where they are in another file of the same images: boxes of all
            classes are then evaluated against ``ann_file``, keypoints against this one.
        keypoint_classes: Names of the classes that have keypoints; by default those of the data set
            (``dataset_meta['keypoint_classes']``), else those whose categories have keypoints, else all. Detections of
            other classes are left out of keypoint results.
        skeleton: The K keypoints: a name, a dict of :class:`~yolox_pose.structures.skeleton.Skeleton` fields, a skeleton.
        metric: What is evaluated: ``'keypoints'``, ``'bbox'`` or a list of them (named as in MMDetection; a setting
            ``metrics`` would be taken by MMEngine for that of its evaluator).
        format_only: Only write the predictions (the file then needs no annotations).
        outfile_prefix: If given, ``PREFIX.json`` (keypoints of the classes that have them) and ``PREFIX_bbox.json`` (boxes
            of all classes) are written, in COCO results format.
        score_mode: Score of a detection: ``'bbox'``, that of its box; ``'keypoint'``, the mean of its keypoint scores;
            ``'bbox_keypoint'``, the product of the box score and the mean of the keypoint scores above
            ``keypoint_score_thr``.
        keypoint_score_thr: See ``score_mode`` (0.2 as in MMPose).
        nms_mode: ``'none'``: the model has suppressed doubles already.
        sigmas: The K OKS constants; by default the skeleton's.
        classes: As for :func:`~yolox_pose.structures.classes.get_classes`, to be found among the file's categories; by default those
            of the data set (``dataset_meta['classes']``), else the file's categories in its order.
        prefix: Figures are called ``PREFIX/AP`` and so on.
        collect_device: As of every MMEngine metric; the results of all processes are gathered through the backend
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
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.kinds = (metric,) if isinstance(metric, str) else tuple(metric)
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"CocoPoseMetric: metric must be of {', '.join(KINDS)}, found {metric!r}")
        if score_mode not in _SCORES:
            raise ValueError(f"CocoPoseMetric: score_mode must be one of {', '.join(_SCORES)}, found {score_mode!r}")
        if nms_mode != "none":
            raise ValueError(f"CocoPoseMetric: nms_mode must be 'none' (the model suppresses), found {nms_mode!r}")
        if format_only and outfile_prefix is None:
            raise ValueError("CocoPoseMetric: format_only writes predictions and needs an outfile_prefix")
        self.score_mode, self.keypoint_score_thr = score_mode, keypoint_score_thr
        self.format_only, self.outfile_prefix = format_only, outfile_prefix
        self.skeleton = get_skeleton(skeleton)
        self.sigmas = self.skeleton.sigmas if sigmas is None else tuple(float(s) for s in sigmas)
        self.classes = None if classes is None else get_classes(classes)
        self.keypoint_classes = None if keypoint_classes is None else tuple(keypoint_classes)
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
            data_samples: One a sample, as a dict (what MMEngine's evaluator passes) or a data element, with ``img_id``
                and ``pred_instances``: bboxes (n, 4) xyxy, scores or bbox_scores (n,), labels (n,) (all 0 if absent),
                keypoints (n, K, 2), keypoint_scores (n, K), tensors or arrays, in pixels of the source image.
        """
        for sample in data_samples:
            self.results.append((int(_get(sample, "img_id")), self._detections(_get(sample, "pred_instances"))))

    def _detections(self, instances: Any) -> dict[str, np.ndarray]:
        found = {"scores": _array(instances, "scores", "bbox_scores")}
        for name in ("bboxes", "labels", "keypoints", "keypoint_scores"):
            value = _array(instances, name)
            if value is not None:
                found[name] = value
        if found["scores"] is None:
            raise ValueError("CocoPoseMetric: pred_instances have neither scores nor bbox_scores")
        if "keypoints" in self.kinds and "keypoints" not in found:
            raise ValueError("CocoPoseMetric: pred_instances have no keypoints; metric='bbox' evaluates boxes alone")
        return found

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the detections of all processes and evaluate them in the first.

        MMEngine's own collection assumes that processes take images in turn and have equally many; here images are
        told apart by their ids instead.

        Args:
            size: Number of images of the data set.

        Returns:
            The figures, in every process.
        """
        gathered = all_gather_object(self.results)
        self.results = []  # not cleared in place: a single process gets its own list back
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

    def compute_metrics(self, results: list[tuple[int, dict[str, np.ndarray]]]) -> dict[str, float]:
        """Evaluate, and write the predictions if a file was asked for.

        Args:
            results: Image ids and detections; of a repeated image (padding of the data loader) the first one counts.

        Returns:
            The figures, without prefix.
        """
        by_image: dict[int, dict[str, np.ndarray]] = {}
        for image_id, detections in results:
            by_image.setdefault(image_id, detections)
        names = self._class_names()
        category_ids = _category_ids(self.ground_truth, names)
        predictions = Predictions.concatenate(
            [self._columns(image_id, found, category_ids) for image_id, found in sorted(by_image.items())]
        )
        posed = self._posed(names)
        pose_ids = _category_ids(self.keypoint_truth, [names[label] for label in posed])
        poses = _translated(predictions, category_ids[posed], pose_ids)
        if self.outfile_prefix is not None:
            for path in write_predictions(self.outfile_prefix, predictions, poses):
                print_log(f"predictions written to {path}", logger="current")
        if self.format_only:
            return {}
        self._warn_of_missing(by_image)
        figures: dict[str, float] = {}
        if "keypoints" in self.kinds:
            chosen = {"image_ids": list(by_image), "category_ids": pose_ids.tolist()}
            figures.update(_logged(evaluate_keypoints, self.keypoint_truth, poses, sigmas=self.sigmas, **chosen))
        if "bbox" in self.kinds:
            chosen = {"image_ids": list(by_image), "category_ids": category_ids.tolist()}
            figures.update(_logged(evaluate_boxes, self.ground_truth, predictions, **chosen))
        return figures

    def _warn_of_missing(self, image_ids: Iterable[int]) -> None:
        truth = self.ground_truth
        missing = len(set(truth.image_ids.tolist()) - set(image_ids))
        if missing:
            total = len(truth.image_ids)
            _log_warning(
                f"{total - missing} of the {total} images of {truth.name} evaluated; figures are of these alone"
            )

    def _class_names(self) -> list[str]:
        """The C class names in label order."""
        return list(self.classes or (self.dataset_meta or {}).get("classes") or self.ground_truth.categories.values())

    def _posed(self, names: Sequence[str]) -> list[int]:
        """Labels of the classes that have keypoints."""
        truth = self.keypoint_truth
        wanted = self.keypoint_classes or (self.dataset_meta or {}).get("keypoint_classes")
        wanted = wanted or [truth.categories[category] for category in truth.keypoint_categories()] or names
        return [label for label, name in enumerate(names) if name in wanted]

    def _columns(self, image_id: int, found: Mapping[str, np.ndarray], category_ids: np.ndarray) -> Predictions:
        count = len(found["scores"])
        labels = found.get("labels", np.zeros(count, np.int64)).astype(np.int64)
        if count and not 0 <= labels.min() <= labels.max() < len(category_ids):
            wrong = labels[(labels < 0) | (labels >= len(category_ids))][0]
            raise DataError(f"image {image_id}: label {wrong}, but {self.ground_truth.name} gives {len(category_ids)}")
        keypoints = boxes = None
        if "keypoints" in found:
            scores = found.get("keypoint_scores", np.ones(found["keypoints"].shape[:2]))
            keypoints = np.concatenate([found["keypoints"].round(PIXEL_DECIMALS), _shortened(scores)[..., None]], -1)
        if "bboxes" in found:
            boxes = found["bboxes"].round(PIXEL_DECIMALS)
        score = _SCORES[self.score_mode](found, self.keypoint_score_thr)
        return Predictions(np.full(count, image_id, np.int64), category_ids[labels], score, keypoints, boxes)


def _category_ids(truth: GroundTruth, names: Sequence[str]) -> np.ndarray:
    """(C,) int64 category ids that a file has for class names.

    Raises:
        DataError: If it does not have one of them.
    """
    ids = {name: category for category, name in truth.categories.items()}
    absent = [name for name in names if name not in ids]
    if absent:
        known = ", ".join(map(repr, ids))
        raise DataError(f"{truth.name}: no category {absent[0]!r}; the file has {known or 'none'}")
    return np.asarray([ids[name] for name in names], np.int64)


def _translated(predictions: Predictions, category_ids: np.ndarray, new_ids: np.ndarray) -> Predictions:
    """The predictions of some categories, under the ids that another file has for them."""
    table = dict(zip(category_ids.tolist(), new_ids.tolist()))
    chosen = predictions.select(np.isin(predictions.category_ids, category_ids))
    return chosen._replace(category_ids=np.asarray([table[i] for i in chosen.category_ids.tolist()], np.int64))


def _get(sample: Any, name: str) -> Any:
    return sample[name] if isinstance(sample, Mapping) else getattr(sample, name)


def _array(instances: Any, *names: str) -> np.ndarray | None:
    """The first field that exists, as float64 (labels too: they are small numbers); None if there is none."""
    for name in names:
        if name in instances:
            value = _get(instances, name)
            value = value.detach().cpu().double() if hasattr(value, "detach") else value
            return np.asarray(value, np.float64)
    return None


def _shortened(scores: np.ndarray, decimals: int = 6) -> np.ndarray:
    """Scores with few decimals, rounded up: a detection whose scores are all 0 would not be evaluated."""
    return np.ceil(scores * 10**decimals) / 10**decimals


def _mean_above(scores: np.ndarray, threshold: float) -> np.ndarray:
    """(n,) mean over those of (n, K) scores that are above the threshold, 0 where none is."""
    above = scores > threshold
    return (scores * above).sum(axis=1) / np.maximum(above.sum(axis=1), 1)


_SCORES: dict[str, Callable[[Mapping[str, np.ndarray], float], np.ndarray]] = {
    "bbox": lambda found, threshold: found["scores"],
    "keypoint": lambda found, threshold: found["keypoint_scores"].mean(axis=1),
    "bbox_keypoint": lambda found, threshold: found["scores"] * _mean_above(found["keypoint_scores"], threshold),
}


def _logged(evaluate: Callable[..., dict[str, float]], *args: Any, **kwargs: Any) -> dict[str, float]:
    """Call an evaluation with its warnings turned into log lines, which also end up in the log file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figures = evaluate(*args, **kwargs)
    for warning in caught:
        _log_warning(str(warning.message))
    return figures


def _log_warning(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
