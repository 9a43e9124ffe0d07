"""Compare the detections of an exported model with those of the model in PyTorch.

Letters: n detections of the reference, m of the exported model, K keypoints.
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

SCORE_THR = 0.05
"""Score threshold of the comparison. Without detections above it, detections of any score are compared."""

MAX_DETECTIONS = 100
"""Maximum number of detections per image for that second comparison."""

HIGH_SCORE, MATCH_IOU, MIN_RECALL, MIN_DETECTIONS = 0.3, 0.5, 0.5, 10
"""Check of int8 models: detections of the reference with this score must overlap a detection of the exported model by this IoU.
The share of those that do must reach the minimum recall, if there are enough detections to compute a share."""

CHECK_SIZES = ((320, 240), (241, 333), (417, 259), (192, 192), (640, 480), (101, 307))
"""(W, H) of the synthetic images for the check, with odd sizes."""


class Tolerance(NamedTuple):
    """Maximum differences between matched detections.

    Attributes:
        pixels: Maximum difference of box and keypoint coordinates.
        score: Maximum difference of detection and keypoint scores.
        share: Minimum share of detections with a match.
    """

    pixels: float
    score: float
    share: float


TOLERANCES = {"fp32": Tolerance(0.05, 1e-3, 1.0), "fp16": Tolerance(1.0, 0.01, 0.99)}


class Comparison(NamedTuple):
    """Agreement of two models on the same images.

    Attributes:
        images: Number of images.
        detections: Number of detections of the reference.
        matched: Number of pairs within the tolerance.
        excused: Number of unmatched detections whose score or overlap is within the tolerance of a threshold, where rounding
            decides.
        unmatched: Number of other unmatched detections of either model.
        pixels: Largest coordinate difference of a matched pair.
        score: Largest score difference of a matched pair.
    """

    images: int = 0
    detections: int = 0
    matched: int = 0
    excused: int = 0
    unmatched: int = 0
    pixels: float = 0.0
    score: float = 0.0

    def __add__(self, other: Any) -> Comparison:
        """Sum the counts and take the larger differences."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in self._fields[:5]}
        return Comparison(**counts, pixels=max(self.pixels, other.pixels), score=max(self.score, other.score))

    @property
    def share(self) -> float:
        """Share of matched pairs among all detections that are not excused."""
        return self.matched / max(self.matched + self.unmatched, 1)

    def metrics(self) -> dict[str, Any]:
        """Return the entries of ``model.json``."""
        return {**self._asdict(), "share": round(self.share, 6)}


def check_pictures(seed: int = 0) -> list[np.ndarray]:
    """Draw images of people, (H, W, 3) uint8 BGR. The last image has none."""
    rng = np.random.default_rng(seed)
    pictures = [render_crowd(rng, CrowdOptions(size=size, people=(2, 5), person_free=0.0))[0] for size in CHECK_SIZES]
    return [*pictures, render_crowd(rng, CrowdOptions(size=CHECK_SIZES[0], person_free=1.0))[0]]


def check_export(
    reference: Any, exported: ExportedNetwork, preprocessing: Preprocessing, pictures: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Compare an exported network with the network in PyTorch.

    Args:
        reference: A :class:`yolox_pose.inference.torch_network.TorchNetwork`.
        exported: Exported network of the same model.
        preprocessing: Preprocessing of the exported network; both networks get the same inputs.
        pictures: Images of shape (H, W, 3), uint8 BGR.

    Returns:
        Entries of ``model.json``.

    Raises:
        DataError: If the networks differ by more than the precision allows; one line with the numbers.
    """
    # Run both networks with a usual threshold, and with a lower one if that leaves no detections
    settings, has_nms = exported.description.postprocess, exported.description.layout == "nms"
    score_thr, max_per_img = max(SCORE_THR, settings.score_thr), settings.max_per_img
    pairs = _detect(reference, exported, preprocessing, pictures, score_thr, max_per_img)
    if not any(len(expected.scores) for expected, _ in pairs):
        score_thr = settings.score_thr if has_nms else 0.0
        max_per_img = max_per_img if has_nms else min(MAX_DETECTIONS, max_per_img)
        pairs = _detect(reference, exported, preprocessing, pictures, score_thr, max_per_img)

    # Compare the detections as the precision allows
    shared = {"pictures": len(pictures), "score_thr": score_thr}
    precision = exported.description.precision
    if precision == "int8":
        return shared | _check_int8(pairs)
    tolerance = TOLERANCES[precision]
    total = Comparison()
    for expected, actual in pairs:
        total += compare(
            expected, actual, tolerance, score_thr=score_thr, nms_thr=settings.nms_thr, max_per_img=max_per_img
        )
    if total.share < tolerance.share:
        raise DataError(
            f"the exported model differs from torch: {total.matched} detections match within {tolerance.pixels} px and "
            f"{tolerance.score} of score, {total.unmatched} do not (of {total.detections} on {total.images} images)"
        )
    return shared | total.metrics() | {"tolerance_pixels": tolerance.pixels, "tolerance_score": tolerance.score}


def _detect(
    reference: Any,
    exported: ExportedNetwork,
    preprocessing: Preprocessing,
    pictures: Sequence[np.ndarray],
    score_thr: float,
    max_per_img: int,
) -> list[tuple[Detections, Detections]]:
    """Run both networks on every image with the same thresholds."""
    settings = {"score_thr": score_thr, "max_per_img": max_per_img}
    batch_size = exported.description.batch or 2
    pairs: list[tuple[Detections, Detections]] = []
    for start in range(0, len(pictures), batch_size):
        batch = [fit_image(picture, preprocessing) for picture in pictures[start : start + batch_size]]
        pairs += zip(*(network.begin(batch, settings)() for network in (reference, exported)))
    return pairs


def _check_int8(pairs: Sequence[tuple[Detections, Detections]]) -> dict[str, int]:
    """Check that an int8 model keeps the high-score detections of the reference.

    Raises:
        DataError: If too many are lost.
    """
    recovered, total = (sum(counts) for counts in zip(*(count_recovered(*pair) for pair in pairs)))
    if total < MIN_DETECTIONS:
        logger.warning(
            "%d high-score detections on %d images are too few to check the int8 model; pass images like your own to --check",
            total,
            len(pairs),
        )
    elif recovered < MIN_RECALL * total:
        raise DataError(
            f"the int8 model finds only {recovered} of {total} high-score detections; calibrate it on images like your own"
        )
    return {"high_score_detections": total, "recovered": recovered}


def compare(
    expected: Detections,
    actual: Detections,
    tolerance: Tolerance,
    *,
    score_thr: float,
    nms_thr: float,
    max_per_img: int,
) -> Comparison:
    """Match the detections of an image one to one and count the differences.

    Args:
        expected: n detections of the reference.
        actual: m detections of the exported model.
        tolerance: Maximum differences of a matched pair.
        score_thr: Score threshold of both models.
        nms_thr: IoU threshold of NMS.
        max_per_img: Maximum number of detections of both models.
    """
    # Match within the tolerance
    indices, pixels, scores = _match(expected, actual)
    matched = (pixels <= tolerance.pixels) & (scores <= tolerance.score)
    missing, extra = ~matched, np.ones(len(actual.scores), bool)
    extra[indices[matched]] = False

    # Excuse unmatched detections where rounding decides
    limits = (tolerance.score, score_thr, nms_thr, max_per_img)
    excused = int((missing & _near_threshold(expected, actual, *limits)).sum())
    excused += int((extra & _near_threshold(actual, expected, *limits)).sum())

    return Comparison(
        images=1,
        detections=len(expected.scores),
        matched=int(matched.sum()),
        excused=excused,
        unmatched=int(missing.sum() + extra.sum()) - excused,
        pixels=float(pixels[matched].max(initial=0)),
        score=float(scores[matched].max(initial=0)),
    )


def _match(expected: Detections, actual: Detections) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match each reference detection, best first, to the nearest unmatched detection of the same class.

    Returns:
        Index of the match, largest coordinate difference and largest score difference, each of shape (n,).
    """
    n, m = len(expected.scores), len(actual.scores)
    distances = np.abs(expected.boxes[:, None] - actual.boxes[None]).max(-1, initial=0)
    distances = np.where(expected.labels[:, None] == actual.labels[None], distances, np.inf)
    indices, pixels, scores = np.zeros(n, int), np.full(n, np.inf), np.full(n, np.inf)
    for i in range(n if m else 0):
        j = int(distances[i].argmin())
        if not np.isfinite(distances[i, j]):
            continue
        keypoints = np.abs(expected.keypoints[i] - actual.keypoints[j]).max(initial=0)
        keypoint_scores = np.abs(expected.keypoint_scores[i] - actual.keypoint_scores[j]).max(initial=0)
        indices[i], pixels[i] = j, max(distances[i, j], keypoints)
        scores[i] = max(abs(expected.scores[i] - actual.scores[j]), keypoint_scores)
        distances[:, j] = np.inf
    return indices, pixels, scores


def _near_threshold(
    detections: Detections, others: Detections, margin: float, score_thr: float, nms_thr: float, max_per_img: int
) -> np.ndarray:
    """Tell which detections depend on rounding: (n,) bool.

    The score is near the threshold or near the last score of a full image, or an overlap is near the threshold of NMS.
    """
    near = np.abs(detections.scores - score_thr) <= margin
    if max(len(detections.scores), len(others.scores)) >= max_per_img:
        last = min(side.scores.min(initial=1) for side in (detections, others))
        near |= np.abs(detections.scores - last) <= margin
    for side in (detections, others):
        above, below = (_overlap(detections.boxes, side.boxes, nms_thr + sign * margin) for sign in (1, -1))
        near |= (below & ~above & (detections.labels[:, None] == side.labels)).any(1)
    return near


def _overlap(first: np.ndarray, second: np.ndarray, threshold: float) -> np.ndarray:
    """Tell which IoUs of boxes (n, 4) and (m, 4) are above a threshold: (n, m) bool."""
    return iou_above(first[:, None], second, threshold)


def count_recovered(expected: Detections, actual: Detections) -> tuple[int, int]:
    """Count the high-score detections of the reference that overlap a detection of the same class, and all of them."""
    high = expected.scores >= HIGH_SCORE
    recovered = _overlap(expected.boxes[high], actual.boxes, MATCH_IOU)
    recovered &= expected.labels[high][:, None] == actual.labels
    return int(recovered.any(1).sum()), int(high.sum())
