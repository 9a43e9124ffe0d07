"""Named lists of object classes, in label order. A ``classes`` setting is the name of a list, or a list of class names."""

from __future__ import annotations

from collections.abc import Sequence

COCO_CLASSES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 categories of COCO's ``instances_*.json`` in the order of their ids, as in all published weights."""

COCO_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Ids between 1 and 90 that COCO's ``instances_*.json`` skip."""

CLASS_LISTS: dict[str, tuple[str, ...]] = {"coco": COCO_CLASSES}


def get_classes(classes: str | Sequence[str]) -> tuple[str, ...]:
    """Convert a ``classes`` setting to names in label order.

    Args:
        classes: Key of :data:`CLASS_LISTS`, or the class names.

    Raises:
        ValueError: If the list is unknown, or a class occurs twice.
    """
    if isinstance(classes, str):
        if classes not in CLASS_LISTS:
            raise ValueError(
                f"unknown list of classes {classes!r}; known: {', '.join(sorted(CLASS_LISTS))}, or give a list of names"
            )
        return CLASS_LISTS[classes]
    names = tuple(classes)
    if len(set(names)) < len(names):
        raise ValueError(f"classes: {next(name for name in names if names.count(name) > 1)!r} is named twice")
    return names


def default_category_ids(classes: Sequence[str]) -> tuple[int, ...]:
    """Return the category id of each label for use without an annotation file: COCO's for its 80 classes, else 1 to C."""
    if tuple(classes) == COCO_CLASSES:
        return tuple(i for i in range(1, 91) if i not in COCO_UNUSED_IDS)
    return tuple(range(1, len(classes) + 1))
