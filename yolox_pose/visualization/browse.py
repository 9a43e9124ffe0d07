"""Draw annotations and augmented training samples into images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from yolox_pose.coco.records import PoseRecords
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.images import read_image
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

CROWD_TINT = np.array([60, 60, 230])
"""BGR color that is laid over crowd regions."""
CROWD_OPACITY = 0.4
"""Weight of that color."""


class LabeledImage(NamedTuple):
    """An image with G annotated instances of K keypoints.

    Attributes:
        image_id: Id of the image.
        img: Image of shape (H, W, 3), uint8 BGR.
        boxes: Boxes of shape (G, 4), xyxy in pixels.
        labels: Class labels of shape (G,).
        keypoints: Keypoints of shape (G, K, 2) in pixels.
        visible: Visibility codes of shape (G, K).
        crowd: Mask of the crowd regions of shape (H, W), bool; None without any.
    """

    image_id: int
    img: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    crowd: np.ndarray | None

    @property
    def file_name(self) -> str:
        """File name of the drawn picture."""
        return f"{self.image_id:012d}.jpg"


def choose_images(image_ids: np.ndarray, chosen: Sequence[int] | None, number: int, seed: int) -> list[int]:
    """Return the positions of the images to draw.

    Args:
        image_ids: Ids of all images, shape (N,).
        chosen: Ids to draw; None or empty for a random choice.
        number: Number of images of the random choice.
        seed: Seed of the random choice.

    Raises:
        UsageError: If a chosen id is not there.
    """
    if not chosen:
        return sorted(np.random.default_rng(seed).permutation(len(image_ids))[:number].tolist())
    positions = {image_id: i for i, image_id in enumerate(image_ids.tolist())}
    missing = [image_id for image_id in chosen if image_id not in positions]
    if missing:
        raise UsageError(f"image {missing[0]} is not in the annotation file")
    return [positions[image_id] for image_id in chosen]


def annotated_image(records: PoseRecords, image_root: Path, index: int) -> LabeledImage:
    """Return image ``index`` of annotation records with its annotations.

    Raises:
        ImageError: If the file cannot be read.
    """
    image_id, rows, crowd = int(records.image_ids[index]), records.rows(index), records.crowd_mask(index)
    return LabeledImage(
        image_id=image_id,
        img=read_image(image_root / records.file_name(index), apply_exif=False, image_id=image_id),
        boxes=records.boxes[rows],
        labels=records.labels[rows],
        keypoints=records.keypoints[rows],
        visible=records.visible[rows],
        crowd=None if crowd is None else crowd.astype(bool),
    )


def augmented_image(dataset: Any, index: int) -> LabeledImage:
    """Return sample ``index`` of a data set as its training pipeline makes it.

    Args:
        dataset: A :class:`~yolox_pose.datasets.coco.CocoPoseDataset` whose pipeline ends in ``PackYOLOXPoseInputs``.
        index: Position of the image.
    """
    sample = dataset[index]
    labels, fields = sample["data_samples"].gt_instance_labels, sample["data_samples"].get("gt_fields")
    return LabeledImage(
        image_id=int(dataset.records.image_ids[index]),
        img=np.ascontiguousarray(sample["inputs"].numpy().transpose(1, 2, 0)),
        boxes=labels["bboxes"].numpy(),
        labels=labels["labels"].numpy(),
        keypoints=labels["keypoints"].numpy(),
        visible=labels["keypoints_visible"].numpy(),
        crowd=None if fields is None else fields.ignore_mask[0].numpy().astype(bool),
    )


def draw_labeled_image(
    image: LabeledImage, skeleton: Skeleton | None, classes: Sequence[str], zoom: float = 1.0
) -> np.ndarray:
    """Draw boxes, skeletons (hidden keypoints hollow) and crowd regions (tinted).

    Args:
        image: The image and its annotations.
        skeleton: Skeleton of the K keypoints; None for boxes alone.
        classes: Class names; the boxes are tagged where there are several.
        zoom: Enlargement (:func:`yolox_pose.visualization.drawing.draw_poses`).

    Returns:
        (round(H * zoom), round(W * zoom), 3) uint8 BGR.
    """
    img = image.img
    if image.crowd is not None:
        tinted = ((1 - CROWD_OPACITY) * img + CROWD_OPACITY * CROWD_TINT).astype(np.uint8)
        img = np.where(image.crowd[..., None], tinted, img)
    return draw_poses(
        img,
        keypoints=image.keypoints,
        keypoint_scores=None,
        keypoints_visible=image.visible,
        boxes=image.boxes,
        scores=None,
        labels=image.labels if len(classes) > 1 else None,
        classes=classes,
        skeleton=skeleton,
        zoom=zoom,
    )


def write_image(path: Path, img: np.ndarray) -> None:
    """Write an image in the format of the file name's ending.

    Raises:
        DataError: If OpenCV cannot encode it.
    """
    encoded, data = cv2.imencode(path.suffix, img)
    if not encoded:
        raise DataError(f"{path}: OpenCV cannot encode this image")
    path.write_bytes(data.tobytes())
