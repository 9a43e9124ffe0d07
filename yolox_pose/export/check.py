"""Whether an exported model finds what the model in PyTorch finds.

Letters: n reference detections, m exported ones, K keypoints.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.geometry.boxes import iou_above
from yolox_pose.geometry.letterbox import Preprocessing, fit_image
from yolox_pose.inference.exported.network import ExportedNetwork
from yolox_pose.structures.detections import Detections
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.rendering import render_crowd

logger = logging.getLogger(__name__)

SCORE = 0.05
"""Detections above this score are compared, or all of them where there are none."""

MOST = 100
"""Detections an image that are compared where all scores are lower."""

SURE, OVERLAP, LEAST_FOUND, ENOUGH = 0.3, 0.5, 0.5, 10
"""Of int8 weights: detections of this score must be found again with this IoU, at least this share of them, where there are
so many that the share says something."""

CHECK_SIZES = ((320, 240), (241, 333), (417, 259), (192, 192), (640, 480), (101, 307))
"""(W, H) of the pictures of people that are drawn for the check, odd ones among them."""


class Tolerance(NamedTuple):
    """How far detections may be apart.

    Attributes:
        pixels: Coordinates of boxes and keypoints.
        score: Scores of detections and keypoints.
        share: Of the detections that must have a partner so near.
    """

    pixels: float
    score: float
    share: float


TOLERANCES = {"fp32": Tolerance(0.05, 1e-3, 1.0), "fp16": Tolerance(1.0, 0.01, 0.99)}


class Comparison(NamedTuple):
    """Detections of two models on the same images.

    Attributes:
        images: How many.
        detections: Of the reference.
        matched: Pairs within the tolerance.
        excused: Detections without a partner whose score or overlap is within the tolerance of a threshold, where rounding
            decides.
        unmatched: Others without a partner, of either model.
        pixels: Largest difference of coordinates of matched pairs.
        score: Largest difference of scores.
    """

    images: int = 0
    detections: int = 0
    matched: int = 0
    excused: int = 0
    unmatched: int = 0
    pixels: float = 0.0
    score: float = 0.0

    def __add__(self, other: Any) -> Comparison:
        """Sum of counts and largest of differences."""
        counts = [a + b for a, b in zip(self[:5], other[:5])]
        return Comparison(*counts, max(self.pixels, other.pixels), max(self.score, other.score))

    @property
    def share(self) -> float:
        """Matched pairs among all detections that are not excused."""
        return self.matched / max(self.matched + self.unmatched, 1)

    def figures(self) -> dict[str, Any]:
        """Entries of ``model.json``."""
        return {**self._asdict(), "share": round(self.share, 6)}


def check_pictures(seed: int = 0) -> list[np.ndarray]:
    """Pictures of people, (H, W, 3) uint8 BGR, the last one without anybody."""
    rng = np.random.default_rng(seed)
    pictures = [render_crowd(rng, CrowdOptions(size=size, people=(2, 5), person_free=0.0))[0] for size in CHECK_SIZES]
    return [*pictures, render_crowd(rng, CrowdOptions(size=CHECK_SIZES[0], person_free=1.0))[0]]


def check_export(
    reference: Any, exported: ExportedNetwork, preprocessing: Preprocessing, pictures: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Compare an exported network with the one in PyTorch.

    Args:
        reference: A :class:`yolox_pose.inference.torch_network.TorchNetwork`.
        exported: Of the same model.
        preprocessing: Of the exported network; both get the same canvases.
        pictures: (H, W, 3) uint8 BGR.

    Returns:
        Figures for ``model.json``.

    Raises:
        DataError: If they do not agree as far as the precision lets them; one line with the figures.
    """
    precision, base = exported.description.precision, exported.description.postprocess.score_thr
    baked = exported.description.layout == "nms"
    score, most = max(SCORE, base), exported.description.postprocess.max_per_img
    pairs = _both(reference, exported, preprocessing, pictures, score, most)
    if not any(len(wanted.scores) for wanted, _ in pairs):
        score, most = (base, most) if baked else (0.0, min(MOST, most))
        pairs = _both(reference, exported, preprocessing, pictures, score, most)
    figures: dict[str, Any] = {"pictures": len(pictures), "score_thr": score}
    if precision == "int8":
        found, wanted = (sum(counts) for counts in zip(*(found_again(*pair) for pair in pairs)))
        figures |= {"sure_detections": wanted, "found_again": found}
        if wanted < ENOUGH:
            logger.warning(
                "only %d sure detections on %d pictures: that says nothing of the int8 model; give --check pictures of what "
                "it will see",
                wanted,
                len(pictures),
            )
        if wanted >= ENOUGH and found < LEAST_FOUND * wanted:
            raise DataError(
                f"the int8 model finds {found} of {wanted} sure detections again; calibrate it on images like those that it "
                "will see"
            )
        return figures
    tolerance = TOLERANCES[precision]
    nms_thr = exported.description.postprocess.nms_thr
    total = Comparison()
    for wanted, got in pairs:
        total += compare(wanted, got, tolerance, score_thr=score, nms_thr=nms_thr, most=most)
    if total.share < tolerance.share:
        raise DataError(
            f"the exported model differs from torch: {total.matched} detections match within {tolerance.pixels} px and "
            f"{tolerance.score} of score, {total.unmatched} do not (of {total.detections} on {total.images} images)"
        )
    return {**figures, **total.figures(), "tolerance_pixels": tolerance.pixels, "tolerance_score": tolerance.score}


def _both(
    reference: Any,
    exported: ExportedNetwork,
    preprocessing: Preprocessing,
    pictures: Sequence[np.ndarray],
    score: float,
    most: int,
) -> list[tuple[Detections, Detections]]:
    """Detections of both networks on every picture, with the same thresholds."""
    settings = {"score_thr": score, "max_per_img": most}
    step = exported.description.batch or 2
    pairs: list[tuple[Detections, Detections]] = []
    for start in range(0, len(pictures), step):
        batch = [fit_image(picture, preprocessing) for picture in pictures[start : start + step]]
        pairs += zip(*(network.begin(batch, settings)() for network in (reference, exported)))
    return pairs


def compare(
    wanted: Detections, got: Detections, tolerance: Tolerance, *, score_thr: float, nms_thr: float, most: int
) -> Comparison:
    """Pair the detections of one image one to one.

    Args:
        wanted: n detections of the reference.
        got: m detections.
        tolerance: How far partners may be apart.
        score_thr: Threshold of both.
        nms_thr: Of the overlap.
        most: Detections an image at most.
    """
    partners, distances, score_distances = _partners(wanted, got)
    near = (distances <= tolerance.pixels) & (score_distances <= tolerance.score)
    lonely_wanted = ~near
    lonely_got = np.ones(len(got.scores), bool)
    lonely_got[partners[near]] = False
    excused = sum(
        int((lonely & _on_the_edge(found, other, tolerance.score, score_thr, nms_thr, most)).sum())
        for lonely, found, other in ((lonely_wanted, wanted, got), (lonely_got, got, wanted))
    )
    return Comparison(
        images=1,
        detections=len(wanted.scores),
        matched=int(near.sum()),
        excused=excused,
        unmatched=int(lonely_wanted.sum() + lonely_got.sum()) - excused,
        pixels=float(distances[near].max(initial=0)),
        score=float(score_distances[near].max(initial=0)),
    )


def _partners(wanted: Detections, got: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest detection of the same class to each reference, best first, each taken once: index, pixels and score apart."""
    n, m = len(wanted.scores), len(got.scores)
    apart = np.abs(wanted.boxes[:, None] - got.boxes[None]).max(-1, initial=0)
    apart = np.where(wanted.labels[:, None] == got.labels[None], apart, np.inf)
    indices, pixels, scores = np.zeros(n, int), np.full(n, np.inf), np.full(n, np.inf)
    for i in range(n if m else 0):
        j = int(apart[i].argmin())
        if not np.isfinite(apart[i, j]):
            continue
        shift = np.abs(wanted.keypoints[i] - got.keypoints[j]).max(initial=0)
        doubt = np.abs(wanted.keypoint_scores[i] - got.keypoint_scores[j]).max(initial=0)
        indices[i], pixels[i] = j, max(apart[i, j], shift)
        scores[i] = max(abs(wanted.scores[i] - got.scores[j]), doubt)
        apart[:, j] = np.inf
    return indices, pixels, scores


def _on_the_edge(
    found: Detections, other: Detections, margin: float, score_thr: float, nms_thr: float, most: int
) -> np.ndarray:
    """Whether rounding decides if a detection is there.

    Its score is near the threshold, or that of the last one; or an overlap is near the threshold of NMS.
    """
    edge = np.abs(found.scores - score_thr) <= margin
    if max(len(found.scores), len(other.scores)) >= most:
        last = min(side.scores.min(initial=1) for side in (found, other))
        edge |= np.abs(found.scores - last) <= margin
    for boxes, labels in ((found.boxes, found.labels), (other.boxes, other.labels)):
        near = _overlap(found.boxes, boxes, nms_thr - margin) & ~_overlap(found.boxes, boxes, nms_thr + margin)
        edge |= (near & (found.labels[:, None] == labels)).any(1)
    return edge


def _overlap(first: np.ndarray, second: np.ndarray, threshold: float) -> np.ndarray:
    """Check whether the IoU of boxes (n, 4) and (m, 4) is above a threshold: (n, m) bool."""
    return iou_above(first[:, None], second, threshold)


def found_again(wanted: Detections, got: Detections) -> tuple[int, int]:
    """How many sure detections of the reference have one of the same class that overlaps them, and how many there are."""
    sure = wanted.scores >= SURE
    again = _overlap(wanted.boxes[sure], got.boxes, OVERLAP)
    again &= wanted.labels[sure][:, None] == got.labels
    return int(again.any(1).sum()), int(sure.sum())
