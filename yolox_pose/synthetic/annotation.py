"""COCO annotations of painted scenes.

Everything follows from the owner map of the canvas: masks, boxes and areas from the pixels that a person owns, the
visibility of a keypoint from the topmost surface at its pixel.

Shape letters: P people, H and W of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.synthetic.figure import PARTS_PER_PERSON, Part
from yolox_pose.synthetic.paint import BACKGROUND
from yolox_pose.synthetic.scene import Actor

KEYPOINT_DECIMALS = 2
"""Decimals of keypoint coordinates, as in COCO."""
PERSON_CATEGORY = 1
"""Category id of people."""


def unlabelled_fields() -> dict[str, Any]:
    """Return the annotation fields of a person without labelled keypoints."""
    return {"keypoints": [0] * (3 * COCO_PERSON.num_keypoints), "num_keypoints": 0}


def person_masks(owner: np.ndarray, count: int) -> np.ndarray:
    """Return the (P, H, W) bool masks of the pixels that each person owns, without the stool of a sitting person."""
    person, part = owner // PARTS_PER_PERSON, owner % PARTS_PER_PERSON
    person = np.where((owner >= 0) & (part != Part.SEAT), person, BACKGROUND)
    return person[None] == np.arange(count)[:, None, None]


def owned_areas(owner: np.ndarray, count: int) -> np.ndarray:
    """Return the (P,) number of pixels that each of the first people owns, stools excluded."""
    parts = np.bincount(owner[owner >= 0], minlength=count * PARTS_PER_PERSON)
    people = parts[: count * PARTS_PER_PERSON].reshape(count, PARTS_PER_PERSON)
    return people.sum(1) - people[:, Part.SEAT]


def keypoint_visibility(actor: Actor, index: int, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints of a person in the painted picture and their COCO visibility codes.

    A keypoint outside the picture is (0, 0) with code 0. Inside, it has code 2 if the topmost surface at its pixel
    shows the keypoint (``Figure.surfaces``), and code 1 if another person, an object or another body part covers it.

    Args:
        actor: The person.
        index: Number of the person in the picture.
        owner: Owner map of shape (H, W).

    Returns:
        Keypoints of shape (17, 2) in pixels, rounded to hundredths, and codes of shape (17,).
    """
    height, width = owner.shape
    points = np.round(actor.figure.keypoints, KEYPOINT_DECIMALS)
    codes = np.zeros(len(points), np.int64)
    inside = (points[:, 0] >= 0) & (points[:, 0] < width) & (points[:, 1] >= 0) & (points[:, 1] < height)
    for k in np.flatnonzero(inside):
        topmost = int(owner[int(points[k, 1]), int(points[k, 0])]) - index * PARTS_PER_PERSON
        codes[k] = 2 if topmost in actor.figure.surfaces[k] else 1
    points[~inside] = 0
    return points, codes


def rle_from_mask(mask: np.ndarray) -> dict[str, list[int]]:
    """Return the uncompressed COCO run lengths of an (H, W) mask: column by column, starting with zeros."""
    flat = mask.astype(bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    counts = ([0] if flat.size and flat[0] else []) + [int(run) for run in runs]
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": counts}


def annotate(actors: Sequence[Actor], owner: np.ndarray) -> list[dict[str, Any]]:
    """Return the COCO annotations of a painted scene, without ids: one per visible person, one for the crowd region.

    Args:
        actors: The P people in the order in which they were painted.
        owner: Owner map of shape (H, W).
    """
    masks = person_masks(owner, len(actors))

    # One annotation per person outside the crowd region
    annotations = []
    for index, (actor, mask) in enumerate(zip(actors, masks)):
        if actor.role == "crowd" or not mask.any():
            continue
        points, codes = keypoint_visibility(actor, index, owner)
        if actor.role == "unlabelled":
            points, codes = np.zeros_like(points), np.zeros_like(codes)
        annotations.append(_annotation(mask, _keypoint_fields(points, codes), iscrowd=0))

    # One annotation for all people of the crowd region
    in_crowd = np.array([actor.role == "crowd" for actor in actors], bool)
    if in_crowd.any() and masks[in_crowd].any():
        annotations.append(_annotation(masks[in_crowd].any(0), unlabelled_fields(), iscrowd=1))
    return annotations


def _annotation(mask: np.ndarray, keypoint_fields: dict[str, Any], *, iscrowd: int) -> dict[str, Any]:
    """Return an annotation whose box, area and segmentation are those of a mask."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(xs[0]), int(ys[0])
    return {
        "bbox": [x, y, int(xs[-1]) + 1 - x, int(ys[-1]) + 1 - y],
        "area": int(mask.sum()),
        "segmentation": rle_from_mask(mask),
        **keypoint_fields,
        "iscrowd": iscrowd,
        "category_id": PERSON_CATEGORY,
    }


def _keypoint_fields(points: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    """Return the COCO fields of (17, 2) keypoints and their (17,) codes."""
    flat: list[float] = []
    for (x, y), code in zip(points.tolist(), codes.tolist()):
        flat += [round(x, KEYPOINT_DECIMALS), round(y, KEYPOINT_DECIMALS), code]
    return {"keypoints": flat, "num_keypoints": int((codes > 0).sum())}
