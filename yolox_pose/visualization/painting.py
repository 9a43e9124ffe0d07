"""Paint boxes and figures onto a canvas with cv2."""

from __future__ import annotations

import math

import cv2
import numpy as np

from yolox_pose.visualization.canvas import CASING, SHIFT, Color, clamp
from yolox_pose.visualization.figures import Figure

BLEND_BLOCK = 1 << 14
"""Number of pixels that are blended at a time; they stay in the processor's cache."""


def paint_box(canvas: np.ndarray, box: np.ndarray, color: Color, thickness: int) -> None:
    """Paint the outline of a box, partly transparent so that it stays behind the skeletons.

    Args:
        canvas: Canvas of shape (H, W, 3), modified in place.
        box: Box of shape (4,), xyxy in pixels.
        color: BGR color.
        thickness: Thickness of the line in pixels.
    """
    # Find the pixels that contain the corners, near the canvas at most
    limits = canvas.shape[1::-1] * 2
    x1, y1, x2, y2 = (int(clamp(math.floor(v), -8, limit + 8)) for v, limit in zip(box.tolist(), limits))
    left, top = max(x1 - thickness, 0), max(y1 - thickness, 0)
    area = canvas[top : max(y2 + thickness + 1, 0), left : max(x2 + thickness + 1, 0)]
    if area.size == 0:
        return

    # Paint the outline on a copy and blend it
    layer = area.copy()
    cv2.rectangle(layer, (x1 - left, y1 - top), (x2 - left, y2 - top), color, thickness, cv2.LINE_AA)
    cv2.addWeighted(layer, 0.7, area, 0.3, 0, dst=area)


def paint_figure(canvas: np.ndarray, figure: Figure) -> None:
    """Paint limbs, then keypoints, onto the part of the canvas that a figure spans.

    They are painted opaque, and a map of opacities then blends them with what was there before. Lines stay smooth at any
    opacity, and crossing limbs of a person do not add up.

    Args:
        canvas: Pixels of the area of the figure, (h, w, 3), modified in place.
        figure: Figure of a person.
    """
    before, alpha = canvas.copy(), np.zeros(canvas.shape[:2], dtype=np.uint8)
    limbs, joints = figure.limbs, figure.joints

    # Paint all casings, and the opacities around them
    for corners, cover_corners, opacity in zip(limbs.casings, limbs.covers, limbs.opacities):
        cv2.fillConvexPoly(canvas, corners, CASING, cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(alpha, cover_corners, opacity, cv2.LINE_8, SHIFT)
    for center, radius, cover_radius, opacity in zip(joints.centers, joints.casings, joints.covers, joints.opacities):
        cv2.circle(canvas, center, radius, CASING, -1, cv2.LINE_AA, SHIFT)
        cv2.circle(alpha, center, cover_radius, opacity, -1, cv2.LINE_8, SHIFT)

    # Paint the colored insides over all casings
    for corners, color in zip(limbs.insides, limbs.colors):
        cv2.fillConvexPoly(canvas, corners, color, cv2.LINE_AA, SHIFT)
    for center, radius, color, middle, middle_color in zip(
        joints.centers, joints.insides, joints.colors, joints.middles, joints.middle_colors
    ):
        cv2.circle(canvas, center, radius, color, -1, cv2.LINE_AA, SHIFT)
        if middle:
            cv2.circle(canvas, center, middle, middle_color, -1, cv2.LINE_AA, SHIFT)
    blend(canvas, before, alpha)


def blend(img: np.ndarray, before: np.ndarray, alpha: np.ndarray) -> None:
    """Blend an image with its earlier content, in blocks of rows.

    cv2 blends float32 so much faster than uint8 that converting pays off; the result is the same.

    Args:
        img: Painted image of shape (H, W, 3), uint8, modified in place.
        before: Earlier content of shape (H, W, 3), uint8.
        alpha: Opacity of the painted image, (H, W) uint8; 0 restores the earlier content.
    """
    rows = max(BLEND_BLOCK // img.shape[1], 1)
    for top in range(0, len(img), rows):
        block = slice(top, top + rows)
        weight = alpha[block].astype(np.float32) / 255
        layers = img[block].astype(np.float32), before[block].astype(np.float32)
        cv2.convertScaleAbs(cv2.blendLinear(*layers, weight, 1 - weight), dst=img[block])
