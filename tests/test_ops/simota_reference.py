"""SimOTA as one would write it down: loops, Python numbers, float64. For tests only."""

import math

CANDIDATES = 10
TIE = 1e-3
"""Costs that differ by less are equal in float32."""


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def oks(pred, target, labeled, area, sigmas):
    values = [
        math.exp(-((p[0] - t[0]) ** 2 + (p[1] - t[1]) ** 2) / (2 * max(area, 1.0) * (2 * s) ** 2))
        for p, t, label, s in zip(pred, target, labeled, sigmas)
        if label
    ]
    return sum(values) / len(values)


def log(x):
    return max(math.log(x), -100.0) if x > 0 else -100.0


def simota_one_image(priors, boxes, classes, objectness, gt, settings, keypoints=None, sigmas=None):
    """Returns the acceptable instances ({-1} for background; several where costs tie) and the overlaps with them.

    ``gt``: list of dicts with box, label and, for pose, keypoints, labeled and area.
    """
    n, result = len(priors), [{-1: 0.0} for _ in priors]
    inside = {}
    for i, (px, py, stride) in enumerate(priors):
        x, y = px + settings.prior_offset * stride, py + settings.prior_offset * stride
        for g, one in enumerate(gt):
            x1, y1, x2, y2 = one["box"]
            in_box = x1 < x < x2 and y1 < y < y2
            radius = settings.center_radius * stride
            in_center = abs(x - (x1 + x2) / 2) < radius and abs(y - (y1 + y2) / 2) < radius
            inside[i, g] = (in_box, in_center)
    candidates = [i for i in range(n) if any(any(inside[i, g]) for g in range(len(gt)))]
    cost, match, similarity = {}, {}, {}
    for i in candidates:
        for g, one in enumerate(gt):
            overlap = best = iou(boxes[i], one["box"])
            if keypoints is not None and any(one["labeled"]):
                best = oks(keypoints[i], one["keypoints"], one["labeled"], one["area"], sigmas)
            total = -settings.iou_weight * math.log(overlap + 1e-7)
            if keypoints is not None:
                total -= settings.oks_weight * math.log(best + 1e-7)
            for c, p in enumerate(classes[i]):
                score = math.sqrt(p * objectness[i])
                total -= settings.class_weight * (log(score) if c == one["label"] else log(1 - score))
            cost[i, g] = (not all(inside[i, g]), total)  # ordered: preferred ones first
            similarity[i, g] = best if settings.dynamic_k == "oks" else overlap
    for g in range(len(gt)):
        ranked = sorted((similarity[i, g] for i in candidates), reverse=True)[:CANDIDATES]
        k = max(1, int(sum(ranked)))
        for i in sorted(candidates, key=lambda i: cost[i, g])[:k]:
            match.setdefault(i, []).append(g)
    for i, wanted in match.items():
        if len(wanted) > 1:
            outside, least = min(cost[i, g] for g in range(len(gt)))
            wanted = [g for g in range(len(gt)) if cost[i, g][0] == outside and cost[i, g][1] - least < TIE]
        result[i] = {g: similarity[i, g] for g in wanted}
    return result
