"""Draw the ground truth of a COCO file beside predictions."""

from __future__ import annotations

import cv2
import numpy as np

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

CAPTION_COLOR, CAPTION_TEXT = (40, 40, 40), (255, 255, 255)


def draw_ground_truth(
    img: np.ndarray, truth: GroundTruth, file_name: str, skeleton: Skeleton | None, zoom: float = 1.0
) -> np.ndarray:
    """Draw the annotated persons of an image into a copy of it: hidden keypoints hollow, visible ones filled.

    Crowd regions and annotations with neither a box nor labeled keypoints are left out.

    Args:
        img: Image of shape (H, W, 3), uint8 BGR.
        truth: The annotations.
        file_name: Name of the image's file without its folder. An image that is not annotated is drawn without persons.
        skeleton: Skeleton of the model; None for boxes alone.
        zoom: Enlargement (:func:`yolox_pose.visualization.drawing.draw_poses`).

    Returns:
        (round(H * zoom), round(W * zoom), 3) uint8 BGR.

    Raises:
        DataError: If the annotations have another number of keypoints than the skeleton.
    """
    # Find the annotations of the image
    image_id = truth.ids_by_file_name.get(file_name)
    rows = np.zeros(0, np.int64) if image_id is None else truth.rows([image_id], truth.categories)
    rows = rows[~truth.iscrowd[rows]]

    # Collect their boxes, keypoints and labels
    num_keypoints = 0 if skeleton is None else skeleton.num_keypoints
    keypoints = truth.keypoint_table(rows, num_keypoints) if num_keypoints else np.zeros((len(rows), 0, 3))
    boxes = truth.boxes_or_extents(rows, keypoints)
    drawable = ~np.isnan(boxes).any(axis=1)
    rows, keypoints, boxes = rows[drawable], keypoints[drawable], boxes[drawable]
    labels = {category_id: label for label, category_id in enumerate(truth.categories)}

    return draw_poses(
        img,
        keypoints=keypoints[..., :2],
        keypoint_scores=None,
        keypoints_visible=keypoints[..., 2],
        boxes=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
        scores=None,
        labels=np.array([labels[category_id] for category_id in truth.category_ids[rows].tolist()], dtype=np.int64),
        classes=tuple(truth.categories.values()),
        skeleton=skeleton,
        zoom=zoom,
    )


def side_by_side(left: np.ndarray, right: np.ndarray, captions: tuple[str, str]) -> np.ndarray:
    """Put two pictures of the same size beside each other, with a caption above each.

    Args:
        left: Left picture of shape (H, W, 3), uint8 BGR.
        right: Right picture of the same shape.
        captions: Text above the left and the right picture.

    Returns:
        uint8 BGR picture, 2W wide and higher than H by the captions.
    """
    height = max(20, left.shape[0] // 24)
    bars = [np.full((height, picture.shape[1], 3), CAPTION_COLOR, np.uint8) for picture in (left, right)]
    scale = height / 36
    for bar, caption in zip(bars, captions):
        place = round(0.4 * height), round(0.7 * height)
        cv2.putText(bar, caption, place, cv2.FONT_HERSHEY_SIMPLEX, scale, CAPTION_TEXT, 1, cv2.LINE_AA)
    return np.hstack([np.vstack([bars[0], left]), np.vstack([bars[1], right])])
