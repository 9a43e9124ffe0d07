"""The changes that ``make mutants`` makes, one at a time. Each must make a fast test of its package fail.

A fragment must occur exactly once in its file. When a line changes, change it here too. Choose changes that a wrong edit
could make: a comparison, a bound, an axis, a sign, a normalizer, the order of ties.
"""

from __future__ import annotations

from tests.mutants import Mutation


def _mutations(file: str, first: str, *changes: tuple[str, str]) -> list[Mutation]:
    """Return the mutations of a file, whose test module ``first`` runs before the others of the package."""
    return [Mutation(file, old, new, first) for old, new in changes]


OPS = [
    *_mutations(
        "ops/boxes.py",
        "test_boxes.py",
        ("torch.stack([x * stride, y * stride,", "torch.stack([y * stride, x * stride,"),
        ("encoded[..., 2:].exp() * stride / 2", "encoded[..., 2:].exp() * stride"),
        ("(size / stride + LOG_EPS).log()", "(size / stride).log()"),
        ("(center - priors[..., :2]) / stride", "(center + priors[..., :2]) / stride"),
        ("[..., None, :]).sub_(overlap)", "[..., None, :])"),
        ("(box_areas(first) + box_areas(second) - overlap)", "(box_areas(first) + box_areas(second))"),
    ),
    *_mutations(
        "ops/keypoints.py",
        "test_oks.py",
        ("return offsets * priors[..., None, 2:3] + ", "return offsets + "),
        ("((keypoints - priors[..., None, :2]) /", "((keypoints + priors[..., None, :2]) /"),
    ),
    *_mutations(
        "ops/oks.py",
        "test_oks.py",
        ("(2 * sigmas.float()) ** 2", "sigmas.float() ** 2"),
        ("areas.float().clamp(min=MIN_AREA)[..., None]", "areas.float()[..., None]"),
        ("similarity.sum(-1) / labeled.sum(-1).clamp(min=1)", "similarity.mean(-1)"),
        ("labeled / labeled.sum(-1, keepdim=True).clamp(min=1)", "labeled / labeled.shape[-1]"),
    ),
    *_mutations(
        "ops/nms.py",
        "test_ops_nms.py",
        (".triu(1)", ".triu(0)"),
        ("pairwise_iou(ranked, ranked) > threshold", "pairwise_iou(ranked, ranked) >= threshold"),
        ("descending=True, stable=True", "descending=False, stable=True"),
        ("group[..., :, None] == group[..., None, :]", "group[..., :, None] != group[..., None, :]"),
    ),
    *_mutations(
        "ops/pose_nms.py",
        "test_pose_nms.py",
        ("score > settings.score_thr", "score >= settings.score_thr"),
        ("torch.minimum(iou, oks)", "torch.maximum(iou, oks)"),
        ("-(similarity**2) / settings.soft_sigma", "-similarity / settings.soft_sigma"),
    ),
    *_mutations(
        "ops/simota.py",
        "test_simota.py",
        (".sum(-1).int().clamp(min=1)", ".sum(-1).int().clamp(min=0)"),
        (".sum(-1).int().clamp(min=1)", ".sum(-1).round().int().clamp(min=1)"),
        ("log_no - log_yes - log_no.sum", "log_yes - log_no - log_no.sum"),
        ("radius = settings.center_radius * stride", "radius = settings.center_radius * stride / 2"),
        ("cost += penalty * ~candidates.in_box_and_center", "cost += penalty * candidates.in_box_and_center"),
        ("matches.gather(1, columns) > 1", "matches.gather(1, columns) > 2"),
        ("cost.topk(top_k, largest=False)", "cost.topk(top_k, largest=True)"),
        ("torch.where(pose.labeled.any(-1)[..., None], oks, iou)", "oks"),
    ),
    *_mutations(
        "ops/losses.py",
        "test_losses.py",
        (
            "aligned_iou(decode_boxes(encoded, priors), boxes).square()",
            "aligned_iou(decode_boxes(encoded, priors), boxes)",
        ),
        ("~(ignored & ~positive)", "~ignored"),
        ("visible > 0 if hidden_is_visible else visible > 1", "visible > 1 if hidden_is_visible else visible > 0"),
        (
            "(distance * targets.labeled).sum(-1) / targets.labeled.sum(-1).clamp(min=1)",
            "(distance * targets.labeled).mean(-1)",
        ),
        ('weight, reduction="none").mean(-1)', 'weight, reduction="none").sum(-1) / weight.sum(-1).clamp(min=1)'),
        ("(pose.labeled.any(-1) & positives.used)", "positives.used"),
        ("(overlap**exponent)", "overlap"),
        ("value / keypoint_count for", "value / count for"),
    ),
    *_mutations("ops/distillation.py", "test_distillation.py", ("1 - iou.square()", "1 - iou")),
    *_mutations(
        "ops/fusion.py",
        "test_fusion.py",
        ("weights.sum(-1) / num_views", "weights.sum(-1) / len(heads)"),
        ("[width - x2, y1, width - x1, y2]", "[width - x1, y1, width - x2, y2]"),
    ),
]

GEOMETRY = [
    *_mutations(
        "geometry/letterbox.py",
        "test_letterbox.py",
        ("scale = min(width / w, height / h)", "scale = max(width / w, height / h)"),
        (
            "((width - new_w) // 2, (height - new_h) // 2) if centered",
            "((width - new_w) // 2, (height - new_h) // 2) if not centered",
        ),
        ("(points * self.scale + self.pad)", "((points + self.pad) * self.scale)"),
        ("self.source if clip else None", "self.size if clip else None"),
        ("(detections.keypoint_scores > 0).any(-1)", "(detections.keypoint_scores > 0).all(-1)"),
    ),
    *_mutations(
        "geometry/nms.py",
        "test_nms.py",
        ('scores.astype(np.float64), kind="stable"', 'scores.astype(np.float64)[::-1], kind="stable"'),
        (
            "iou_above(first.take(i, 0), second.take(j, 0), threshold)",
            "iou_above(first.take(i, 0), second.take(j, 0), 0)",
        ),
        ("labels[block[better]] == labels[remaining[worse]]", "labels[block[better]] != labels[remaining[worse]]"),
        ("return (1 - threshold) * (1 + _ROUNDING) + _ROUNDING", "return (1 - threshold) / 2"),
        ("worse[survive[better]]", "worse"),
    ),
    *_mutations(
        "geometry/pose_nms.py",
        "test_torch_numpy_agree.py",
        ("np.minimum(iou, oks)", "np.maximum(iou, oks)"),
        ("scores[best] > settings.score_thr", "scores[best] >= settings.score_thr"),
        ("        scores[kept] = -np.inf\n", ""),
        ("np.exp(-(similarity**2) / settings.soft_sigma)", "np.exp(-similarity / settings.soft_sigma)"),
    ),
    *_mutations(
        "geometry/boxes.py",
        "test_boxes_and_oks.py",
        ("(low <= high).all(-1)", "(low < high).all(-1)"),
        ("return intersection > (", "return intersection >= ("),
        ("box_areas(second) - intersection\n", "box_areas(second)\n"),
        ("np.exp(encoded[:, 2:]) * stride / 2", "np.exp(encoded[:, 2:]) * stride"),
    ),
    *_mutations(
        "geometry/oks.py",
        "test_boxes_and_oks.py",
        ("np.maximum(areas, MIN_AREA)", "areas"),
        ("np.square(2 * np.asarray(sigmas))", "np.square(np.asarray(sigmas))"),
        ("(box_areas(first.boxes)[:, None] + box_areas(second.boxes)) / 2", "box_areas(first.boxes)[:, None]"),
    ),
    *_mutations(
        "geometry/affine.py",
        "test_affine.py",
        ("[[-1, 0, width], [0, 1, 0]", "[[-1, 0, width - 1], [0, 1, 0]"),
        ("translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)", "matrix"),
        ("back @ slant @ rotate @", "back @ rotate @ slant @"),
        ("np.round((corners - 0.5) * (1 << POLYGON_BITS))", "np.round(corners * (1 << POLYGON_BITS))"),
    ),
    *_mutations(
        "geometry/images.py",
        "test_images.py",
        ("(array >> 8)", "array"),
        ('data.find(b"\\xff\\xd9", _jpeg_scan_start(data))', 'data.find(b"\\xff\\xd9")'),
    ),
]

COCO = [
    *_mutations(
        "coco/merge.py",
        "test_merge.py",
        ("if iou[i, j] < threshold", "if iou[i, j] <= threshold"),
        ("iou[i], iou[:, j] = -1, -1", "iou[i] = -1"),
        ("aligned_iou(instance_boxes, people_boxes) > 0", "aligned_iou(instance_boxes, people_boxes) >= 0"),
    ),
    *_mutations(
        "coco/record_builder.py",
        "test_loading.py",
        ("> image_sizes[:, None])).any(axis=2) & (codes > 0)", "> image_sizes[:, None])).any(axis=2)"),
        ("AREA_PER_BOX * (boxes", "(boxes"),
        ("beyond > tolerance", "beyond >= tolerance"),
        ("(boxes[:, 2:] <= boxes[:, :2]).any(axis=1)", "(boxes[:, 2:] < boxes[:, :2]).any(axis=1)"),
        ('image_index[people[kept]], kind="stable"', '-image_index[people[kept]], kind="stable"'),
    ),
    *_mutations(
        "coco/rle.py",
        "test_rle.py",
        ("if len(runs) > 2 else 0", "if len(runs) > 1 else 0"),
        ("value -= 1 << shift", "value -= 1"),
        ("if total != width * height", "if total > width * height"),
    ),
    *_mutations(
        "coco/columns.py",
        "test_columns.py",
        ("if isinstance(value, bool) or not", "if not"),
    ),
    *_mutations(
        "coco/yolo_labels.py",
        "test_yolo_labels.py",
        ("box[:2] - box[2:] / 2", "box[:2]"),
        ("2.0 * (keypoints != 0).any(axis=1, keepdims=True)", "2.0 * (keypoints != 0).all(axis=1, keepdims=True)"),
    ),
    *_mutations(
        "coco/statistics.py",
        "test_statistics.py",
        ("records.areas < LARGE_AREA", "records.areas <= LARGE_AREA"),
        ("for code in (2, 1, 0)", "for code in (1, 2, 0)"),
    ),
    *_mutations(
        "coco/results.py", "test_results.py", ("boxes[:, 2:] - boxes[:, :2]], axis=1)", "boxes[:, 2:]], axis=1)")
    ),
]

EVALUATION = [
    *_mutations(
        "evaluation/coco_eval.py",
        "test_coco_eval.py",
        ("np.any(keypoints[..., 2] > 0, axis=1)", "np.any(keypoints[..., 2] >= 0, axis=1)"),
        ("[1.0 / count] * count", "[1.0] * count"),
        ("np.lexsort((-detections.scores,", "np.lexsort((detections.scores,"),
        ("np.arange(len(order)) - first < limit", "np.arange(len(order)) - first <= limit"),
    ),
    *_mutations(
        "evaluation/matching.py",
        "test_coco_eval.py",
        ("AREA_PER_BOX * boxes[:, 2]", "boxes[:, 2]"),
        ("(keypoints[..., 2] > 0).sum(axis=1)", "(keypoints[..., 2] > 1).sum(axis=1)"),
    ),
    *_mutations(
        "evaluation/summary.py",
        "test_coco_eval.py",
        (
            "values[_THRESHOLD_50, ..., 0], values[_THRESHOLD_75, ..., 0]",
            "values[_THRESHOLD_75, ..., 0], values[_THRESHOLD_50, ..., 0]",
        ),
        ("float(part[part > -1].mean())", "float(part.mean())"),
        ("all_scores >= score", "all_scores > score"),
    ),
    *_mutations(
        "evaluation/coco_metric.py",
        "test_coco_metric.py",
        ("by_image.setdefault(image_id, detections)", "by_image[image_id] = detections"),
        ("above = scores > threshold", "above = scores >= threshold"),
        ("np.ceil(scores * 10**SCORE_DECIMALS)", "np.floor(scores * 10**SCORE_DECIMALS)"),
    ),
    *_mutations(
        "evaluation/streaming.py",
        "test_streaming.py",
        ("frame = max(newest, frame + 1)", "frame = frame + 1"),
        ("started = max(now, float(times[frame]))", "started = now"),
        ("(numbers - numbers[0]) / fps", "numbers / fps"),
    ),
]

TRACKING = [
    *_mutations(
        "tracking/assignment.py",
        "test_assignment.py",
        ("similarity >= minimum", "similarity > minimum"),
        ("free_columns &= ~same[column]", "pass"),
        ('np.argsort(-gain[rows, columns], kind="stable")', 'np.argsort(gain[rows, columns], kind="stable")'),
        ("len(set(best.tolist())) == len(rows)", "True"),
    ),
    *_mutations(
        "tracking/motion.py",
        "test_motion.py",
        ("noise * seconds**2 / 3", "noise * seconds**2"),
        ("extent_gain = motion.spread / (motion.spread + 1)", "extent_gain = motion.spread"),
        ("POSITION_NOISE**2 + displacement**2", "POSITION_NOISE**2"),
        ("velocity - gain[1] * mixed", "velocity"),
    ),
    *_mutations(
        "tracking/smoothing.py",
        "test_smoothing.py",
        ("self.settings.cutoff + self.settings.speed_gain * speed", "self.settings.cutoff"),
        ("state.time >= oldest", "state.time > oldest"),
        ("[:, None] / size", "[:, None]"),
    ),
    *_mutations(
        "tracking/metrics.py",
        "test_tracking_metrics.py",
        (
            "num_truths - num_matches, num_detections - num_matches",
            "num_detections - num_matches, num_truths - num_matches",
        ),
        ("number - when <= memory", "number - when < memory"),
        ("bonus = 1 + min(iou.shape)", "bonus = 0"),
    ),
    *_mutations(
        "tracking/tracker.py",
        "test_tracker.py",
        ("now - tracks.last_time <= self.settings.memory", "now - tracks.last_time < self.settings.memory"),
        ("(tracks.hits > 1)", "(tracks.hits > 0)"),
        ("(iou + pose_oks) / 2", "iou"),
        ("high = detections.scores >= settings.high_score", "high = detections.scores > settings.high_score"),
        (
            "same_class = predicted.labels[:, None] == detections.labels",
            "same_class = np.ones((len(predicted.labels), len(detections.labels)), bool)",
        ),
        ("growth * [-1, -1, 1, 1]", "growth"),
    ),
]

VISUALIZATION = [
    *_mutations(
        "visualization/figures.py",
        "test_drawing.py",
        ("np.floor(bounds[:, :2] - margins)", "np.ceil(bounds[:, :2] - margins)"),
        ("np.ceil(bounds[:, 2:] + margins)", "np.floor(bounds[:, 2:] + margins)"),
        ("np.lexsort((opacity[row, column], row))", "np.lexsort((-opacity[row, column], row))"),
        ("np.maximum(first, 0), np.minimum(last, 1)", "np.maximum(first, 0), last"),
    ),
]

MUTATIONS = (*OPS, *GEOMETRY, *COCO, *EVALUATION, *TRACKING, *VISUALIZATION)
