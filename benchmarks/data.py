"""Training samples a second and core at 640 px, mosaic + affine + mixup: ours against mmpose's pipeline, from the same files.

``python benchmarks/data.py --data DIR [--json FILE] [--pictures DIR]``. ``DIR`` holds COCO-keypoints annotations and the
images, which are enlarged to COCO's usual long side of 640 px into a temporary folder first. One process, one thread;
all pipelines run in turns on the same images. Then box sizes, positions and keypoint visibilities of many samples of
both are compared. ``--pictures`` writes samples of both side by side. The start-up at full scale is measured too, on as
many images and people as COCO train has.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import add_json_option, case, interleaved, progress, report

from yolox_pose import compat

SIZE, LONG_SIDE, JPEG_QUALITY = 640, 640, 95
PEER = "mmpose 1.3.2 yoloxpose_s pipeline"
COCO_IMAGES, COCO_PEOPLE = 118_287, 149_813
START_LIMIT = 5.0
"""Seconds in which the annotations of COCO train have to be read."""
TOLERANCE = 0.1
"""Largest difference of a distribution's deciles, in units of the peer's spread between its first and last decile."""


def enlarge(source: Path, images: Path, target: Path, limit: int) -> Path:
    """Copy the first images that have labelled keypoints, with a long side of :data:`LONG_SIDE`, and their annotations.

    Returns:
        The annotation file. Every annotation has a segmentation, without which mmpose's data set stops.
    """
    content = json.loads(source.read_text())
    posed = {a["image_id"] for a in content["annotations"] if a.get("num_keypoints") and not a.get("iscrowd")}
    chosen = [image for image in content["images"] if image["id"] in posed][:limit]
    scales = {}
    (target / "images").mkdir(parents=True)
    for image in chosen:
        img = cv2.imread(str(images / image["file_name"]), cv2.IMREAD_COLOR)
        factor = LONG_SIDE / max(img.shape[:2])
        img = cv2.resize(img, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        scales[image["id"]] = img.shape[1] / image["width"], img.shape[0] / image["height"]
        image.update(width=img.shape[1], height=img.shape[0], file_name=f"{image['id']}.jpg")
        cv2.imwrite(str(target / "images" / image["file_name"]), img, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    people = [a for a in content["annotations"] if a["image_id"] in scales and not a.get("iscrowd")]
    path = target / "annotations.json"
    annotations = [_scaled(a, scales[a["image_id"]]) for a in people]
    path.write_text(json.dumps({**content, "images": chosen, "annotations": annotations}))
    return path


def _scaled(annotation: dict[str, Any], scale: tuple[float, float]) -> dict[str, Any]:
    sx, sy = scale
    x, y, w, h = (np.asarray(annotation["bbox"]) * (sx, sy, sx, sy)).tolist()
    keypoints = np.asarray(annotation["keypoints"], dtype=float).reshape(-1, 3) * (sx, sy, 1)
    scaled = {"bbox": [x, y, w, h], "area": annotation["area"] * sx * sy, "keypoints": keypoints.ravel().tolist()}
    return {**annotation, **scaled, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}


def our_dataset(annotations: Path, **settings: Any) -> Any:
    """Our data set with the pipeline of ``yolox-pose_s``."""
    from mmengine.config import Config

    from yolox_pose.cli.paths import find_config
    from yolox_pose.datasets import CocoPoseDataset

    config = Config.fromfile(find_config("yolox-pose_s_8xb32-300e_coco"))
    return CocoPoseDataset(
        str(annotations), data_prefix={"img": str(annotations.parent / "images")}, input_size=(SIZE, SIZE),
        pipeline=config.train_pipeline, **settings,
    )  # fmt: skip


def their_dataset(annotations: Path) -> Any:
    """mmpose's data set with the first pipeline of its ``yoloxpose_s`` config, without the packing of targets."""
    from mmpose.registry import DATASETS

    size, load = (SIZE, SIZE), {"type": "LoadImage"}
    pipeline = [
        load,
        {"type": "Mosaic", "img_scale": size, "pad_val": 114.0, "pre_transform": [load]},
        {
            "type": "BottomupRandomAffine", "input_size": size, "shift_factor": 0.1, "rotate_factor": 10,
            "scale_factor": (0.75, 1.0), "pad_val": 114, "distribution": "uniform", "transform_mode": "perspective",
            "bbox_keep_corner": False, "clip_border": True,
        },
        {
            "type": "YOLOXMixUp", "img_scale": size, "ratio_range": (0.8, 1.6), "pad_val": 114.0, "pre_transform": [load]
        },
        {"type": "YOLOXHSVRandomAug"},
        {"type": "RandomFlip"},
        {"type": "FilterAnnotations", "by_kpt": True, "by_box": True, "keep_empty": False},
        {"type": "GenerateTarget", "encoder": {"type": "YOLOXPoseAnnotationProcessor", "input_size": size}},
        {"type": "PackPoseInputs"},
    ]  # fmt: skip
    return DATASETS.build(
        {
            "type": "mmpose.CocoDataset", "data_mode": "bottomup", "ann_file": str(annotations),
            "filter_cfg": {"filter_empty_gt": False, "min_size": 32}, "pipeline": pipeline,
            "data_prefix": {"img": str(annotations.parent / "images")},
        }
    )  # fmt: skip
