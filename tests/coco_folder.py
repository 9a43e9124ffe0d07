"""Tiny COCO data sets, made in the tests themselves."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


class CocoFolder:
    """A folder with images and an annotation file that a test can spoil before it is written."""

    def __init__(self, root: Path, num_images: int = 4, size: tuple[int, int] = (64, 48), num_keypoints: int = 17):
        self.root, self.size = root, size
        names = [f"point{k}" for k in range(num_keypoints)]
        self.content = {
            "images": [
                {"id": i + 1, "file_name": f"{i + 1}.png", "width": size[0], "height": size[1]}
                for i in range(num_images)
            ],
            "annotations": [self.person(10 * (i + 1), i + 1, num_keypoints=num_keypoints) for i in range(num_images)],
            "categories": [{"id": 1, "name": "person", "keypoints": names}],
        }
        (root / "images").mkdir(parents=True, exist_ok=True)
        for i in range(num_images):
            self.write_image(i + 1)

    @staticmethod
    def person(ann_id, image_id, bbox=(8, 6, 24, 30), num_keypoints=17, **fields):
        x, y, w, h = bbox
        spread = [
            (x + w * (k + 1) / (num_keypoints + 2), y + h * (k + 1) / (num_keypoints + 2)) for k in range(num_keypoints)
        ]
        keypoints = [value for point in spread for value in (*point, 2)]
        person = {
            "id": ann_id,
            "image_id": image_id,
            "category_id": 1,
            "bbox": list(bbox),
            "iscrowd": 0,
            "keypoints": keypoints,
        }
        return person | fields

    def write_image(self, image_id, size=None):
        width, height = size or self.size
        img = np.random.default_rng(image_id).integers(0, 255, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(self.root / "images" / f"{image_id}.png"), img)

    def save(self) -> Path:
        path = self.root / "annotations.json"
        path.write_text(json.dumps(self.content))
        return path

    def config(self, **options) -> dict:
        """Arguments of ``CocoPoseDataset`` for this folder."""
        self.save()
        return {"ann_file": "annotations.json", "data_root": str(self.root), "data_prefix": {"img": "images"}} | options


@pytest.fixture
def coco_folder(tmp_path):
    """Make a :class:`CocoFolder`; options as for the class."""

    def make(**options) -> CocoFolder:
        return CocoFolder(tmp_path / "coco", **options)

    return make
