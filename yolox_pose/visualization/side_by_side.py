"""Ground truth of a COCO file, drawn beside what was found."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.structures.skeleton import Skeleton
from yolox_pose.visualization.drawing import draw_poses

CAPTION_COLOR, CAPTION_TEXT = (40, 40, 40), (255, 255, 255)


class GroundTruth:
    """Annotations of a COCO keypoint (or instance) file, found by the names of its images.

    Args:
        path: COCO file.

    Raises:
        DataError: If it is no COCO file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            content = json.loads(self.path.read_bytes())
            self.image_ids: dict[str, int] = {Path(i["file_name"]).name: i["id"] for i in content["images"]}
            self.categories: dict[str, int] = {c["name"]: c["id"] for c in content.get("categories", ())}
            self._annotations: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
            for annotation in content["annotations"]:
                if not annotation.get("iscrowd"):
                    self._annotations[annotation["image_id"]].append(annotation)
        except OSError as error:
            raise DataError(f"annotations {self.path} cannot be read: {error.strerror or error}") from None
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(f"annotations {self.path} are not a COCO file: {type(error).__name__} {error}") from None

    def draw(self, img: np.ndarray, image_path: Path, skeleton: Skeleton | None, zoom: float = 1.0) -> np.ndarray:
        """Draw the annotated persons of an image into a copy of it: hidden keypoints hollow, visible ones filled.

        Args:
            img: (H, W, 3) uint8 BGR.
            image_path: Its file; only the name is looked up. An image that is not annotated comes back as it is.
            skeleton: Of the model.
            zoom: See :func:`yolox_pose.visualization.drawing.draw_poses`.

        Raises:
            DataError: If the annotations have another number of keypoints than the skeleton.
        """
        image_id = self.image_ids.get(image_path.name)
        annotations = [] if image_id is None else self._annotations.get(image_id, [])
        num_keypoints = skeleton.num_keypoints if skeleton is not None else 0
        triples = np.zeros((len(annotations), num_keypoints, 3))
        boxes = np.zeros((len(annotations), 4))
        order = {category: i for i, category in enumerate(self.categories.values())}
        labels = np.array([order.get(annotation.get("category_id", -1), -1) for annotation in annotations])
        for i, annotation in enumerate(annotations):
            x, y, w, h = annotation["bbox"]
            boxes[i] = x, y, x + w, y + h
            values = annotation.get("keypoints") or ()
            if num_keypoints and values:
                if len(values) != 3 * num_keypoints:
                    raise DataError(
                        f"annotations {self.path}, annotation {annotation.get('id')}: {len(values)} keypoint values, the "
                        f"model's skeleton needs {3 * num_keypoints}"
                    )
                triples[i] = np.reshape(values, (-1, 3))
        return draw_poses(
            img,
            keypoints=triples[..., :2],
            keypoint_scores=None,
            keypoints_visible=triples[..., 2],
            boxes=boxes,
            scores=None,
            labels=labels,
            classes=tuple(self.categories),
            skeleton=skeleton,
            zoom=zoom,
        )

    def category_ids(self, classes: Sequence[str]) -> list[int]:
        """Category id of each class: by names where all are known, else the file's ids in order, counted from 1 if too few."""
        if all(name in self.categories for name in classes):
            return [self.categories[name] for name in classes]
        ids = sorted(self.categories.values())
        return ids if len(ids) == len(classes) else list(range(1, len(classes) + 1))


def side_by_side(left: np.ndarray, right: np.ndarray, captions: tuple[str, str]) -> np.ndarray:
    """Put two pictures of one size beside each other, with a caption above each."""
    height = max(20, left.shape[0] // 24)
    bars = [np.full((height, picture.shape[1], 3), CAPTION_COLOR, np.uint8) for picture in (left, right)]
    scale = height / 36
    for bar, caption in zip(bars, captions):
        place = round(0.4 * height), round(0.7 * height)
        cv2.putText(bar, caption, place, cv2.FONT_HERSHEY_SIMPLEX, scale, CAPTION_TEXT, 1, cv2.LINE_AA)
    return np.hstack([np.vstack([bars[0], left]), np.vstack([bars[1], right])])
