"""Write instances as lines of YOLO-pose text. Needs numpy alone; :mod:`yolox_pose.coco.yolo_labels` reads the lines."""

from __future__ import annotations

import numpy as np


def format_label_line(
    label: int, box: np.ndarray, keypoints: np.ndarray, visible: np.ndarray, size: tuple[int, int] | np.ndarray
) -> str:
    """Format an instance as ``class cx cy w h x1 y1 v1 ... xK yK vK``, in parts of the image's width and height.

    Args:
        label: Class label.
        box: Box of shape (4,), xyxy in pixels.
        keypoints: Keypoints of shape (K, 2), in pixels.
        visible: Visibility codes of shape (K,): 0, 1 or 2. Keypoints with code 0 become ``0 0 0``.
        size: Width and height of the image in pixels.
    """
    extent = np.asarray(size, dtype=np.float64)
    low, high = np.asarray(box, dtype=np.float64).reshape(2, 2) / extent
    columns = [str(int(label)), *(f"{value:.6f}" for value in [*(low + high) / 2, *(high - low)])]
    for (x, y), code in zip((keypoints / extent).tolist(), visible.tolist()):
        columns += [f"{x:.6f}", f"{y:.6f}", str(int(code))] if code else ["0", "0", "0"]
    return " ".join(columns)
