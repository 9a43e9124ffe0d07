"""Data of a detector, from annotation file to samples: no keypoints anywhere, boxes and classes where the pixels are."""

import cv2
import numpy as np
import pytest
import torch

from tests.coco_folder import CocoFolder
from yolox_pose.config import load_config  # noqa: E402
from yolox_pose.datasets.coco import CocoPoseDataset  # noqa: E402
from yolox_pose.datasets.sampler import SampleKey  # noqa: E402
from yolox_pose.errors import DataError  # noqa: E402
from yolox_pose.registry import DATASETS  # noqa: E402
from yolox_pose.structures.classes import COCO_CLASSES  # noqa: E402

COLORS = {"cat": (255, 0, 0), "dog": (0, 255, 0), "cow": (0, 0, 255)}
"""BGR colour of the rectangle that is an object of the class, on a black picture."""
CLASSES = tuple(COLORS)
LOAD, PACK = {"type": "yolox_pose.LoadBGRImage"}, {"type": "yolox_pose.PackYOLOXPoseInputs"}
UPRIGHT = {"type": "yolox_pose.YOLOXPoseAffine", "scale_range": (0.5, 1.5), "max_rotation": 0, "max_shear": 0}
PIPELINES = {
    "letterbox": [{"type": "yolox_pose.LetterboxResize", "centered": False}, {"type": "yolox_pose.YOLOXPoseFlip"}],
    "affine": [UPRIGHT],
    "mosaic": [{"type": "yolox_pose.YOLOXPoseMosaic"}, UPRIGHT, {"type": "yolox_pose.YOLOXPoseFlip"}],
    "mixup": [UPRIGHT, {"type": "yolox_pose.YOLOXPoseMixUp"}],
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Eight pictures, each with one rectangle of a class; ids of the categories are neither in order nor without gaps."""
    folder = CocoFolder(tmp_path_factory.mktemp("zoo"), num_images=8, size=(96, 64))
    rng = np.random.default_rng(0)
    folder.content["categories"] = [{"id": 9 - 3 * i, "name": name} for i, name in enumerate(CLASSES)]
    folder.content["annotations"] = []
    for i in range(8):
        x, y, w, h = (
            int(v) for v in (rng.integers(4, 30), rng.integers(4, 20), rng.integers(20, 60), rng.integers(16, 40))
        )
        img = np.zeros((64, 96, 3), np.uint8)
        cv2.rectangle(img, (x, y), (x + w - 1, y + h - 1), COLORS[CLASSES[i % 3]], -1)
        cv2.imwrite(str(folder.root / "images" / f"{i + 1}.png"), img)
        folder.content["annotations"].append(
            {"id": i + 1, "image_id": i + 1, "category_id": 9 - 3 * (i % 3), "bbox": [x, y, w, h], "area": w * h}
        )
    return folder


def dataset(folder, **options):
    return CocoPoseDataset(**folder.config(**{"skeleton": None, "classes": CLASSES, "input_size": (96, 96), **options}))


@pytest.mark.parametrize("name", PIPELINES)
def test_every_box_is_full_of_its_class(zoo, name):
    data = dataset(zoo, pipeline=[LOAD, *PIPELINES[name], {"type": "yolox_pose.DropTinyInstances"}, PACK])
    seen = set()
    for epoch in range(3):
        for index in range(len(data)):
            item = data[SampleKey(epoch, index)]
            labels = item["data_samples"].gt_instance_labels
            assert labels.keypoints.shape == (len(labels.bboxes), 0, 2)
            for box, label in zip(labels.bboxes, labels.labels):
                x1, y1, x2, y2 = (box + torch.tensor([2, 2, -2, -2])).round().long().tolist()  # resampling blurs edges
                channel = int(np.argmax(COLORS[CLASSES[label]]))
                inside = item["inputs"][channel, y1:y2, x1:x2].float()
                if inside.numel():
                    assert inside.mean() > (100 if name == "mixup" else 250), (name, epoch, index)
                    seen.add(int(label))
    assert seen == {0, 1, 2}


def test_labels_follow_the_configs_order_of_classes(zoo):
    plain, turned = dataset(zoo), dataset(zoo, classes=("cow", "cat", "dog"))
    assert [int(plain.get_sample(i)["labels"][0]) for i in range(3)] == [0, 1, 2]
    assert [int(turned.get_sample(i)["labels"][0]) for i in range(3)] == [1, 2, 0]
    assert dataset(zoo, classes=None).classes == CLASSES  # the file's order
    assert plain.metainfo["classes"] == list(CLASSES) and "num_keypoints" not in plain.metainfo


def test_categories_that_do_not_fit_are_named(zoo):
    with pytest.raises(DataError, match=r"category 'cow' \(id 3, 2 annotations\) is not among the config's classes"):
        dataset(zoo, classes=("cat", "dog"))
    with pytest.raises(DataError, match="class 'person' is not among the file's categories"):
        dataset(zoo, classes="coco")
    with pytest.raises(ValueError, match="unknown list of classes 'cocoo'"):
        dataset(zoo, classes="cocoo")


@pytest.fixture(scope="module")
def coco(shared_data):
    """Training data of a shipped config, on real images."""
    config = load_config("yolox_s_8xb8-300e_coco").train_dataloader.dataset
    config.data_root = str(shared_data / "coco_ci32")
    config.input_size = (192, 192)
    data = DATASETS.build(config)
    data.phase.final_epoch = 5
    return data


def test_real_images_through_both_pipelines(coco):
    assert coco.classes == COCO_CLASSES
    count = 0
    for epoch in (0, 1, 9):
        for index in range(len(coco)):
            item = coco[SampleKey(epoch, index)]
            labels = item["data_samples"].gt_instance_labels
            assert item["inputs"].shape == (3, 192, 192)
            assert (labels.bboxes[:, 2:] - labels.bboxes[:, :2] > 1).all()
            assert (labels.bboxes >= 0).all() and (labels.bboxes <= 192).all() and (labels.labels < 80).all()
            count += len(labels.bboxes)
    assert count > 300


def test_crowd_regions_travel_along(coco):
    """In the last phase every crowd region is a mask that lies where the picture is: at the top left."""
    with_crowd = [i for i in range(len(coco)) if coco.records.crowd_mask(i) is not None]
    assert len(with_crowd) >= 3
    for index in with_crowd:
        sample = coco[SampleKey(9, index)]["data_samples"]
        mask = sample.gt_fields.ignore_mask
        sx, sy, left, top = sample.metainfo["letterbox"]
        height, width = sample.metainfo["ori_shape"]
        assert (left, top) == (0, 0) and mask.any()
        assert not mask[:, round(height * sy) + 1 :].any()
        assert mask.sum() == pytest.approx(int(coco.records.crowd_mask(index).sum()) * sx * sy, rel=0.15)
