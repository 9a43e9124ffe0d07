"""Encode crowd regions (``iscrowd``) as run-length masks: polygons, both RLE forms and plain boxes become one mask.

An RLE dict is ``{"size": [h, w], "counts": bytes}`` in the compressed form of pycocotools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_utils

from yolox_pose.coco.columns import is_number


def rle_total(counts: str | bytes) -> int:
    """Return the number of pixels that a compressed RLE string covers.

    A string that covers more than the image makes pycocotools write behind its buffer, so that it is checked first.

    Args:
        counts: Compressed counts: groups of 5 bits with a continuation bit, each run from the third on stored as the
            difference to the run two before (pycocotools, ``rleFrString``).

    Raises:
        ValueError: If the string ends inside a number, holds another character, or a run is negative.
    """
    text = counts.encode("ascii") if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        group = byte - 48
        if not 0 <= group < 64:
            raise ValueError(f"holds the character {chr(byte)!r}")
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift or any(run < 0 for run in runs):
        raise ValueError("is damaged")
    return sum(runs)


def _rle_from_dict(segmentation: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    # Check the size
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if list(size or []) != [height, width]:
        raise ValueError(f"RLE size {size} is not the image's [{height}, {width}]")

    # Count the pixels of either form
    if isinstance(counts, list):
        if not all(type(run) is int and run >= 0 for run in counts):
            raise ValueError("RLE counts hold something other than non-negative integers")
        total, rle = sum(counts), None
    elif isinstance(counts, (str, bytes)):
        try:
            total = rle_total(counts)
        except (ValueError, UnicodeEncodeError) as error:
            raise ValueError(f"RLE counts string {error}") from None
        rle = {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts}
    else:
        raise ValueError("RLE has no counts")

    # Compress it if it is a list
    if total != width * height:
        raise ValueError(f"RLE covers {total} pixels, the image has {width * height}")
    return rle or mask_utils.frPyObjects({"size": [height, width], "counts": counts}, height, width)


def _rle_from_polygons(polygons: Sequence[Any], width: int, height: int) -> dict[str, Any]:
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("polygon is not a list of at least 3 points")
        if not all(is_number(value) and np.isfinite(value) for value in polygon):
            raise ValueError("polygon holds something other than finite numbers")
    return mask_utils.merge(mask_utils.frPyObjects(list(polygons), height, width))


def crowd_rle(segmentation: Any, box_xywh: np.ndarray | None, width: int, height: int) -> dict[str, Any]:
    """Return the RLE of a crowd region.

    Args:
        segmentation: COCO ``segmentation``: RLE dict, list of polygons, or None/empty where the file has none.
        box_xywh: Box of shape (4,) in pixels, which is the region where there is no segmentation.
        width: Image width in pixels.
        height: Image height in pixels.

    Raises:
        ValueError: If the region cannot be read; the message is the reason.
    """
    if isinstance(segmentation, Mapping):
        return _rle_from_dict(segmentation, width, height)
    if isinstance(segmentation, list) and segmentation:
        return _rle_from_polygons(segmentation, width, height)
    if segmentation:
        raise ValueError("segmentation is neither RLE nor polygons")
    if box_xywh is None:
        raise ValueError("crowd region has neither segmentation nor box")
    return mask_utils.frPyObjects(np.asarray(box_xywh, dtype=np.float64).reshape(1, 4), height, width)[0]


def merge_rles(rles: Sequence[dict[str, Any]]) -> bytes:
    """Return the compressed counts of the union of the RLEs of one image."""
    return rles[0]["counts"] if len(rles) == 1 else mask_utils.merge(list(rles))["counts"]


def decode_rle(counts: bytes, width: int, height: int) -> np.ndarray:
    """Decode compressed counts into an (H, W) uint8 mask, 1 inside the region."""
    return mask_utils.decode({"size": [height, width], "counts": counts})
