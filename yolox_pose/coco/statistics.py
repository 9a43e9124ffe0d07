"""Count the images, instances and keypoints of an annotation file.

Shape letters: N images, M instances, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yolox_pose.coco.records import PoseRecords

MEDIUM_AREA, LARGE_AREA = 32.0**2, 96.0**2
"""Areas in pixels from which COCO's evaluation calls an instance medium and large (cocoeval.py)."""
_PERCENTILES = (5, 25, 50, 75, 95)


def dataset_statistics(records: PoseRecords, names: Sequence[str], crowd_regions: int = 0) -> dict[str, Any]:
    """Count images, instances, sizes and labeled keypoints.

    Args:
        records: The annotations.
        names: The K keypoint names.
        crowd_regions: Number of ``iscrowd`` annotations; the records hold their union per image alone.

    Returns:
        Numbers, lists and dicts that can be written as JSON.
    """
    # Measure the instances
    per_image = records.instance_counts
    labeled = (records.visible > 0).sum(axis=1)
    sides = np.sqrt(np.prod(records.boxes[:, 2:] - records.boxes[:, :2], axis=1))
    has_crowd = records.crowds.lengths() > 0

    # Count them
    return {
        "images": len(records),
        "images_without_instances": int((per_image == 0).sum()),
        "images_with_crowd_regions": int(has_crowd.sum()),
        "crowd_regions": crowd_regions,
        "image_sizes": _ranges(records.sizes),
        "instances": int(per_image.sum()),
        "instances_per_class": dict(
            zip(records.classes, np.bincount(records.labels, minlength=len(records.classes)).tolist())
        ),
        "instances_per_image": {"mean": _mean(per_image), "max": int(per_image.max(initial=0))},
        "instances_without_keypoints": int((labeled == 0).sum()),
        "labeled_keypoints_per_instance": {
            "mean": _mean(labeled[labeled > 0]),
            "histogram": np.bincount(labeled, minlength=records.num_keypoints + 1).tolist(),
        },
        "box_side": {f"{p}%": round(float(np.percentile(sides, p)), 1) for p in _PERCENTILES} if len(sides) else {},
        "sizes": {
            "small": int((records.areas < MEDIUM_AREA).sum()),
            "medium": int(((records.areas >= MEDIUM_AREA) & (records.areas < LARGE_AREA)).sum()),
            "large": int((records.areas >= LARGE_AREA).sum()),
        },
        "keypoints": _keypoint_counts(records.visible[labeled > 0], names),
        "notes": {event: int(number) for event, number in sorted(records.counts.items()) if number},
    }


def _keypoint_counts(visible: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count how often each keypoint is visible, hidden and not labeled among instances with keypoints."""
    counts = [(visible == code).sum(axis=0).tolist() for code in (2, 1, 0)]
    return {name: dict(zip(("visible", "hidden", "unlabeled"), row)) for name, *row in zip(names, *counts)}


def _mean(values: np.ndarray) -> float:
    return round(float(values.mean()), 3) if len(values) else 0.0


def _ranges(sizes: np.ndarray) -> dict[str, list[int]]:
    if not len(sizes):
        return {}
    return {
        "width": [int(sizes[:, 0].min()), int(sizes[:, 0].max())],
        "height": [int(sizes[:, 1].min()), int(sizes[:, 1].max())],
    }


def statistics_table(statistics: dict[str, Any]) -> str:
    """Return the statistics as text."""
    s = statistics
    total = max(s["instances"], 1)
    lines = [
        f"images                {s['images']:>9,}   without instances {s['images_without_instances']:,}, "
        f"with crowd regions {s['images_with_crowd_regions']:,} ({s['crowd_regions']:,} regions)",
        f"image size            {_range_text(s['image_sizes'])}",
        f"instances             {s['instances']:>9,}   per image {s['instances_per_image']['mean']:.2f}, "
        f"max {s['instances_per_image']['max']:,}",
    ]
    if len(s["instances_per_class"]) > 1:
        lines += [f"  {name:<20}{number:>9,}" for name, number in s["instances_per_class"].items()]
    lines.append(
        "areas                 " + ", ".join(f"{name} {n:,} ({n / total:.0%})" for name, n in s["sizes"].items())
    )
    lines.append("box side, pixels      " + ", ".join(f"{p}: {v:g}" for p, v in s["box_side"].items()))
    if s["keypoints"]:
        lines += _keypoint_lines(s)
    lines += [f"note: {number:,} {event}" for event, number in s["notes"].items()]
    return "\n".join(lines)


def _range_text(sizes: dict[str, list[int]]) -> str:
    return " x ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in sizes.values()) or "-"


def _keypoint_lines(s: dict[str, Any]) -> list[str]:
    """Return a table of the keypoints' visibility, with a bar for the visible (#) and hidden (+) shares."""
    labeled = s["instances"] - s["instances_without_keypoints"]
    lines = [
        f"with keypoints        {labeled:>9,}   {s['labeled_keypoints_per_instance']['mean']:.1f} labeled each",
        f"{'':<20}{'visible':>9}{'hidden':>9}{'unlabeled':>12}",
    ]
    for name, counts in s["keypoints"].items():
        visible, hidden = (round(20 * counts[key] / max(labeled, 1)) for key in ("visible", "hidden"))
        bar = "#" * visible + "+" * hidden
        lines.append(
            f"  {name:<18}{counts['visible']:>9,}{counts['hidden']:>9,}{counts['unlabeled']:>12,}  {bar}".rstrip()
        )
    return lines
