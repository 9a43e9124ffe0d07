"""Summarize a matched evaluation of hotcoco: averages of precision and recall, and both at single scores.

Metrics are in 0..1; -1 means undefined. Shape letters: T thresholds of IoU or OKS, R recall points, C categories, S
size ranges (all sizes first).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MATCH_THRESHOLD = 0.5
"""OKS, or IoU of boxes, from which a detection is a true positive in precision and recall at a score."""
_THRESHOLD_50, _THRESHOLD_75 = 0, 5
"""Positions of 0.50 and 0.75 among COCO's thresholds 0.50, 0.55, ..., 0.95."""


def average_precisions(evaluation: Any) -> list[float]:
    """Return AP over all thresholds, at 0.50, at 0.75, and over all thresholds for each further size range."""
    return _averages(np.asarray(evaluation.eval["precision"])[..., -1])


def average_recalls(evaluation: Any) -> list[float]:
    """Return AR over all thresholds, at 0.50, at 0.75, and over all thresholds for each further size range."""
    return _averages(np.asarray(evaluation.eval["recall"])[..., -1])


def _averages(values: np.ndarray) -> list[float]:
    """Average the defined entries (above -1) of precision (T, R, C, S) or recall (T, C, S)."""
    parts = [values[..., 0], values[_THRESHOLD_50, ..., 0], values[_THRESHOLD_75, ..., 0]]
    parts += [values[..., size] for size in range(1, values.shape[-1])]
    return [float(part[part > -1].mean()) if (part > -1).any() else -1.0 for part in parts]


def names_at_scores(scores: Iterable[float]) -> list[str]:
    """Return the names of the metrics of :func:`precision_and_recall`."""
    return [f"{name}@{score:g}" for score in scores for name in ("precision", "recall")]


def precision_and_recall(evaluation: Any, scores: Sequence[float]) -> dict[str, float]:
    """Compute precision and recall of the detections from each score on, over all categories together.

    COCO matches detections from the highest score down, so that detections below a score change nothing above it.

    Args:
        evaluation: A matched evaluation.
        scores: Scores.

    Returns:
        ``precision@S`` and ``recall@S`` of each score; -1 for precision without detections and for recall without
        annotations.
    """
    if not scores:
        return {}

    # Choose the threshold, and the images and categories with objects of any size
    params = evaluation.params
    threshold, all_sizes = list(params.iou_thrs).index(MATCH_THRESHOLD), list(params.area_rng[0])
    parts = [part for part in evaluation.eval_imgs if part is not None and list(part["aRng"]) == all_sizes]

    # Collect scores and outcomes of their detections
    positives = sum(int((~np.asarray(part["gtIgnore"], bool)).sum()) for part in parts)
    all_scores = np.concatenate([np.zeros(0), *(part["dtScores"] for part in parts)])
    matched, ignored = (
        np.concatenate([np.zeros(0, bool), *(np.asarray(part[key][threshold], bool) for part in parts)])
        for key in ("dtMatches", "dtIgnore")  # a match is an annotation id, from 1 on
    )

    # Count them from each score on
    values = []
    for score in scores:
        counted = ~ignored & (all_scores >= score)
        true_positives = int((matched & counted).sum())
        values.append(true_positives / counted.sum() if counted.any() else -1.0)
        values.append(true_positives / positives if positives else -1.0)
    return dict(zip(names_at_scores(scores), map(float, values)))
