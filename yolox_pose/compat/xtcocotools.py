"""Stand in for ``xtcocotools.coco``, ``.cocoeval`` and ``.mask`` over pycocotools and hotcoco, with equal metrics.

MMPose evaluates with xtcocotools, whose wheels were built for numpy 1 and fail to import with numpy 2. Remove this file when
xtcocotools has wheels for numpy 2. The engine is hotcoco (Rust). This file adds the features that xtcocotools adds to
pycocotools: parts of a whole body, custom sigmas, ``use_area=False``, and CrowdPose's easy, medium and hard images.
``xthotcoco`` on PyPI is similar, but it does not support MMPose's calls and computes a detection's area from its keypoints.

Shape letters: T thresholds, R recall steps, C categories, A area ranges, M limits of detections, K keypoints.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from typing import Any

import hotcoco
import numpy as np
from pycocotools import coco as _coco
from pycocotools import cocoeval as _cocoeval
from pycocotools import mask

from yolox_pose.structures.constants import AREA_PER_BOX

__all__ = ["COCO", "COCOeval", "Params", "mask"]

_WHOLE_BODY = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
_PARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "keypoints": (("keypoints",), "score"),
    "keypoints_crowd": (("keypoints",), "score"),
    "keypoints_wholebody": (_WHOLE_BODY, "wholebody_score"),
    "keypoints_foot": (("foot_kpts",), "foot_score"),
    "keypoints_face": (("face_kpts",), "face_score"),
    "keypoints_lefthand": (("lefthand_kpts",), "lefthand_score"),
    "keypoints_righthand": (("righthand_kpts",), "righthand_score"),
}
"""Evaluation type to the annotation fields that it joins, and the score field of a detection."""

_COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000

_CROWD_LEVELS = (0.2, 0.8)
"""CrowdPose's limits of ``crowdIndex`` between easy, medium and hard images."""


class COCO(_coco.COCO):
    """COCO annotations with the extensions of xtcocotools.

    Args:
        annotation_file: Path of the annotations.
        test_index: Indices of the keypoints to keep in every annotation.
        ann_data: The annotations themselves, used in place of the file's content.
    """

    def __init__(
        self,
        annotation_file: str | None = None,
        test_index: Sequence[int] | None = None,
        ann_data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(annotation_file if ann_data is None else None)
        self.anno_file = [annotation_file]
        self.test_index = test_index
        if ann_data is not None:
            self.dataset = ann_data
            self.createIndex()
        for ann in self.dataset.get("annotations", []):
            ann.setdefault("iscrowd", False)
            if test_index is not None:
                ann["keypoints"] = np.reshape(ann["keypoints"], (-1, 3))[test_index].ravel().tolist()

    def loadRes(self, resFile: Any, resData: list[dict[str, Any]] | None = None) -> COCO:  # noqa: N802
        """Return the results ``resFile`` (path, list or array) or ``resData`` as an object over the same images."""
        if len(self.anno_file) == 1:
            self.anno_file.append(resFile)
        results = resFile if resData is None else resData
        if isinstance(results, str):
            with open(results) as file:
                results = json.load(file)
        result = COCO()
        if len(results):
            result.dataset = super().loadRes(results).dataset
        else:
            result.dataset = {**{k: self.dataset.get(k, []) for k in ("images", "categories")}, "annotations": []}
        result.createIndex()
        return result


class Params(_cocoeval.Params):
    """Evaluation settings; every ``keypoints_*`` type has the defaults of ``keypoints``."""

    def __init__(self, iouType: str = "segm") -> None:  # noqa: N803
        super().__init__("keypoints" if iouType in _PARTS else iouType)
        self.iouType = iouType


class COCOeval(_cocoeval.COCOeval):
    """Keypoint evaluation with the interface and the metrics of xtcocotools; pycocotools evaluates boxes and masks.

    Args:
        cocoGt: Annotations.
        cocoDt: Results, from :meth:`COCO.loadRes`.
        iouType: "keypoints", "keypoints_crowd", "keypoints_wholebody", "keypoints_foot", "keypoints_face",
            "keypoints_lefthand", "keypoints_righthand", "bbox" or "segm".
        sigmas: OKS constants of the K keypoints; None means COCO's 17.
        use_area: Whether the area is the annotation's; False means 0.53·w·h of the box (CrowdPose, AIC).
    """

    params: Any
    eval: Any

    def __init__(
        self,
        cocoGt: COCO | None = None,  # noqa: N803
        cocoDt: COCO | None = None,  # noqa: N803
        iouType: str = "keypoints",  # noqa: N803
        sigmas: Sequence[float] | None = None,
        use_area: bool = True,
    ) -> None:
        super().__init__(cocoGt, cocoDt, "keypoints" if iouType in _PARTS else iouType)
        image_ids, category_ids = self.params.imgIds, self.params.catIds
        self.params = Params(iouType)
        self.params.imgIds, self.params.catIds = image_ids, category_ids
        self.sigmas = _COCO_SIGMAS if sigmas is None else np.asarray(sigmas, dtype=float)
        self.use_area = use_area
        self._engine: Any = None

    def evaluate(self) -> None:
        """Match detections to annotations in every image; raise ValueError if K differs from the data's."""
        if self.params.iouType not in _PARTS:
            return super().evaluate()
        self.params.imgIds = list(np.unique(self.params.imgIds))
        self.params.catIds = list(np.unique(self.params.catIds)) if self.params.useCats else self.params.catIds
        self.params.maxDets = sorted(self.params.maxDets)
        self._engine = self._run(self.params.imgIds)
        return None

    def accumulate(self, p: Any = None) -> None:
        """Set ``eval``: precision (T, R, C, A, M), recall (T, C, A, M) and scores (T, R, C, A, M), -1 where undefined."""
        if self.params.iouType not in _PARTS:
            return super().accumulate(p)
        if self._engine is None:
            raise RuntimeError("evaluate() must run before accumulate()")
        arrays = {name: np.asarray(self._engine.eval[name]) for name in ("precision", "recall", "scores")}
        self.eval = {"params": self.params, "counts": list(arrays["precision"].shape), **arrays}
        return None

    def summarize(self) -> None:
        """Set ``stats`` and print them: ten metrics, or CrowdPose's nine."""
        if self.params.iouType not in _PARTS:
            return super().summarize()
        if not self.eval:
            raise RuntimeError("accumulate() must run before summarize()")
        crowd = self.params.iouType == "keypoints_crowd"
        areas = ["all"] if crowd else ["all", "medium", "large"]
        stats = []
        for kind in ("precision", "recall"):
            rows = [(None, "all"), (0.5, "all"), (0.75, "all")] + [(None, area) for area in areas[1:]]
            stats += [self._mean(kind, threshold, area) for threshold, area in rows]
        if crowd:
            stats += self._by_crowding()
        self.stats = np.array(stats)
        return None

    def _mean(self, kind: str, threshold: float | None, area: str) -> float:
        p = self.params
        values = self.eval[kind][..., p.areaRngLbl.index(area), -1]
        if threshold is not None:
            values = values[np.isclose(p.iouThrs, threshold)]
        values = values[values > -1]
        mean = float(values.mean()) if values.size else -1.0
        name, short = ("Average Precision", "(AP)") if kind == "precision" else ("Average Recall", "(AR)")
        oks = f"{p.iouThrs[0]:0.2f}:{p.iouThrs[-1]:0.2f}" if threshold is None else f"{threshold:0.2f}"
        print(f" {name:<18} {short} @[ IoU={oks:<9} | area={area:>6s} | maxDets={p.maxDets[-1]:>3d} ] = {mean:0.3f}")
        return mean

    def _by_crowding(self) -> list[float]:
        """Return AP of the easy, medium and hard images, rounded to four decimals as xtcocotools does."""
        easy, hard = _CROWD_LEVELS
        indices = {image["id"]: image["crowdIndex"] for image in self.cocoGt.dataset["images"]}
        levels = {
            "easy": [i for i, index in indices.items() if index < easy],
            "medium": [i for i, index in indices.items() if easy <= index < hard],
            "hard": [i for i, index in indices.items() if index >= hard],
        }
        metrics = []
        for level, image_ids in levels.items():
            precision = np.asarray(self._run(image_ids).eval["precision"])[..., 0, :]
            metrics.append(round(float(np.mean(precision)), 4))
            oks = f"{self.params.iouThrs[0]:0.2f}:{self.params.iouThrs[-1]:0.2f}"
            print(f" Average Precision  (AP) @[ IoU={oks} | type={level:>6s} | maxDets= 20 ] = {metrics[-1]:0.3f}")
        return metrics

    def _run(self, image_ids: Sequence[Any]) -> Any:
        """Run hotcoco's evaluator on some images and return it. Ids are renumbered, because hotcoco's are 64 bit."""
        # Convert both sides to hotcoco's records
        p = self.params
        numbers = {image_id: number for number, image_id in enumerate(sorted(set(image_ids)), start=1)}
        frame = {
            "images": [{"id": number, "width": 1, "height": 1} for number in numbers.values()],
            "categories": [{"id": int(c), "name": str(c)} for c in p.catIds],
        }
        truth = [self._truth(ann) for ann in self._annotations(self.cocoGt, numbers)]
        converted = [self._detection(ann) for ann in self._annotations(self.cocoDt, numbers)]
        detections = [ann for ann in converted if ann is not None]
        for anns in (truth, detections):
            for number, ann in enumerate(anns, start=1):
                ann.update(id=number, image_id=numbers[ann["image_id"]])

        # Evaluate with the settings of this evaluator
        with contextlib.redirect_stdout(io.StringIO()):
            gt, dt = hotcoco.COCO({**frame, "annotations": truth}), hotcoco.COCO({**frame, "annotations": detections})
            engine = hotcoco.COCOeval(gt, dt, "keypoints")
            for name, value in {
                "img_ids": list(numbers.values()),
                "cat_ids": [int(c) for c in p.catIds],
                "iou_thrs": [float(t) for t in p.iouThrs],
                "rec_thrs": [float(t) for t in p.recThrs],
                "max_dets": [int(m) for m in p.maxDets],
                "area_rng": [[float(v) for v in r] for r in p.areaRng],
                "area_rng_lbl": list(p.areaRngLbl),
                "use_cats": bool(p.useCats),
                "kpt_oks_sigmas": [float(s) for s in self.sigmas],
            }.items():
                setattr(engine.params, name, value)
            engine.evaluate()
            engine.accumulate()
        return engine

    def _annotations(self, coco: COCO, image_ids: Any) -> list[dict[str, Any]]:
        categories = set(self.params.catIds)
        return [
            ann
            for image_id in image_ids
            for ann in coco.imgToAnns.get(image_id, [])
            if ann["category_id"] in categories or not self.params.useCats
        ]

    def _keypoints(self, ann: dict[str, Any]) -> np.ndarray:
        fields, _ = _PARTS[self.params.iouType]
        keypoints = np.concatenate([np.asarray(ann[field], dtype=float) for field in fields])
        if len(keypoints) != 3 * len(self.sigmas):
            raise ValueError(
                f"annotation {ann.get('id')} of image {ann['image_id']} has {len(keypoints) / 3:g} keypoints, "
                f"but there are {len(self.sigmas)} sigmas"
            )
        return keypoints

    def _truth(self, ann: dict[str, Any]) -> dict[str, Any]:
        keypoints = self._keypoints(ann)
        crowd = self.params.iouType == "keypoints_crowd"
        box_area = ann["bbox"][2] * ann["bbox"][3] * AREA_PER_BOX
        return {
            "image_id": ann["image_id"],
            "category_id": ann["category_id"],
            "bbox": [float(v) for v in ann["bbox"]],
            "area": float(ann.get("area", box_area) if self.use_area else box_area),
            "iscrowd": int(ann.get("iscrowd", 0)),
            "keypoints": keypoints.tolist(),
            "num_keypoints": int(ann["num_keypoints"] if crowd else np.count_nonzero(keypoints[2::3] > 0)),
        }

    def _detection(self, ann: dict[str, Any]) -> dict[str, Any] | None:
        """Convert a detection for hotcoco; None if all its keypoints have score 0, which xtcocotools drops."""
        keypoints = self._keypoints(ann)
        if not (keypoints[2::3] > 0).any():
            return None
        _, score = _PARTS[self.params.iouType]
        return {
            "image_id": ann["image_id"],
            "category_id": ann["category_id"],
            "bbox": [float(v) for v in ann["bbox"]],
            "area": float(ann["area"]),
            "iscrowd": 0,
            "keypoints": keypoints.tolist(),
            "score": float(ann.get(score, ann["score"])),
        }
