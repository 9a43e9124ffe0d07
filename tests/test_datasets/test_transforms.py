"""Every transform: a lit spot and the keypoint on it, a painted box and its label, a painted crowd and its mask, together."""

import cv2
import numpy as np
import pytest
import torch

from yolox_pose.datasets import transforms as T
from yolox_pose.datasets.transforms.base import LABEL_KEYS
from yolox_pose.geometry.affine import TiledImage
from yolox_pose.registry import TRANSFORMS
from yolox_pose.structures.skeleton import COCO_PERSON

SIZE = (160, 128)
"""Width and height of the pipelines' results here."""
SIZES = [(200, 150), (120, 160), (96, 96), (320, 100), (170, 240)]
"""Widths and heights of the images."""
GEOMETRIC = {
    "mosaic": [T.YOLOXPoseMosaic(SIZE)],
    "mosaic and affine": [T.YOLOXPoseMosaic(SIZE), T.YOLOXPoseAffine(SIZE)],
    "affine": [T.YOLOXPoseAffine(SIZE)],
    "mixup": [T.LetterboxResize(SIZE), T.YOLOXPoseMixUp(SIZE)],
    "flip": [T.YOLOXPoseFlip(prob=1.0)],
    "letterbox": [T.LetterboxResize(SIZE)],
    "letterbox top left": [T.LetterboxResize(SIZE, centered=False)],
    "all": [
        T.YOLOXPoseMosaic(SIZE),
        T.YOLOXPoseAffine(SIZE),
        T.YOLOXPoseMixUp(SIZE),
        T.YOLOXPoseFlip(),
        T.DropTinyInstances(),
    ],
}


class PaintedImages:
    """Images whose labels can be seen: what is painted is one of a bright spot, a filled box, a filled crowd region."""

    def __init__(self, paint: str, empty: bool = False):
        self.paint, self.empty, self.loaded = paint, empty, []
        rng = np.random.default_rng(3)
        self.boxes = [np.sort(rng.integers(8, np.array(size) - 8, (2, 2)), axis=0) + [[0, 0], [7, 7]] for size in SIZES]
        self.points = [rng.integers(12, np.array(size) - 12) + 0.5 for size in SIZES]

    def __len__(self):
        return len(SIZES)

    def num_instances(self, index):
        return 0 if self.empty else 1

    def load_image(self, index):
        self.loaded.append(index)
        width, height = SIZES[index]
        img = np.zeros((height, width, 3), np.uint8)
        if self.paint == "spot":
            x, y = self.points[index]
            distance = (np.arange(width)[None] + 0.5 - x) ** 2 + (np.arange(height)[:, None] + 0.5 - y) ** 2
            img[:] = np.round(250 * np.exp(-distance / (2 * 2.0**2)))[..., None].astype(np.uint8)
        else:
            (x1, y1), (x2, y2) = self.boxes[index]
            img[y1:y2, x1:x2] = 250
        return img

    def get_sample(self, index):
        (width, height), number = SIZES[index], self.num_instances(index)
        keypoints = np.tile(self.points[index], (number, 17, 1)).astype(np.float32)
        crowd = (self.load_image(index)[..., 0] > 0).astype(np.uint8) if self.paint == "crowd" else None
        return {
            "sample_idx": index,
            "img_id": 100 + index,
            "img_path": f"{index}.png",
            "ori_shape": (height, width),
            "flip_indices": COCO_PERSON.flip_indices,
            "bboxes": np.tile(self.boxes[index].reshape(1, 4), (number, 1)).astype(np.float32),
            "labels": np.zeros(number, np.int64),
            "keypoints": keypoints,
            "keypoints_visible": np.full((number, 17), 2, np.uint8),
            "areas": np.full(number, 100, np.float32),
            "ann_ids": np.full(number, index, np.int64),
            "ignore_mask": crowd,
        }

    def run(self, pipeline, seed, index=0):
        sample = self.get_sample(index)
        self.loaded.clear()
        results = sample | {"rng": np.random.default_rng(seed), "dataset": self}
        for transform in [T.LoadBGRImage(), *pipeline]:
            results = transform(results)
        if isinstance(results.get("img"), TiledImage):
            results = T.DropTinyInstances()(results)
        return results


def without_padding(pipeline):
    """The same transforms, with black where no image is, so that only what is painted is bright."""
    for transform in pipeline:
        if hasattr(transform, "pad_value"):
            transform.pad_value = 0
    return pipeline


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_lit_spot_and_the_keypoint_on_it_still_coincide(name):
    data, reach, compared = PaintedImages("spot"), 12, 0
    for seed in range(60):
        results = data.run(without_padding(GEOMETRIC[name]), seed, seed % 5)
        img = results["img"].astype(np.float64).sum(axis=2)
        spots = results["keypoints"][:, 0][results["keypoints_visible"][:, 0] > 0]
        for x, y in spots:
            window = np.array([x - reach, y - reach, x + reach, y + reach]).round().astype(int)
            apart = np.abs(spots - (x, y)).max(axis=1)
            if (
                window.min() < 0
                or window[2] > img.shape[1]
                or window[3] > img.shape[0]
                or np.sum(apart < 2 * reach) > 1
            ):
                continue
            x1, y1, x2, y2 = window
            part = img[y1:y2, x1:x2]
            if name in ("mosaic", "mosaic and affine", "all") and part[[0, -1]].sum() + part[:, [0, -1]].sum() > 60:
                continue  # cut by the border of a tile
            found = part.sum(axis=0) @ np.arange(x1 + 0.5, x2), part.sum(axis=1) @ np.arange(y1 + 0.5, y2)
            np.testing.assert_allclose(np.array(found) / part.sum(), (x, y), atol=0.12, err_msg=f"seed {seed}")
            compared += 1
    assert compared >= 30


@pytest.mark.parametrize("name", ["flip", "letterbox", "mosaic", "mixup"])
def test_a_painted_box_and_its_label_still_coincide(name):
    data, compared = PaintedImages("box"), 0
    for seed in range(40):
        results = data.run(without_padding(GEOMETRIC[name]), seed, seed % 5)
        lit = results["img"][..., 0] > (100 if name != "mixup" else 60)
        for box in results["bboxes"]:
            others = results["bboxes"][(results["bboxes"] != box).any(axis=1)]
            if ((others[:, :2] < box[2:] + 3) & (others[:, 2:] > box[:2] - 3)).all(axis=1).any():
                continue
            low, high = np.maximum(box[:2] - 2, 0).astype(int), np.ceil(box[2:] + 2).astype(int)
            ys, xs = np.nonzero(lit[low[1] : high[1], low[0] : high[0]])
            if not len(xs):
                assert (box[2:] - box[:2]).min() < 1.5
                continue
            extent = [xs.min() + low[0], ys.min() + low[1], xs.max() + 1 + low[0], ys.max() + 1 + low[1]]
            np.testing.assert_allclose(extent, box, atol=1.2)
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_painted_crowd_and_its_mask_still_coincide(name):
    data = PaintedImages("crowd")
    for seed in range(20):
        results = data.run(without_padding(GEOMETRIC[name]), seed, seed % 5)
        lit, mask = results["img"][..., 0] > (100 if name not in ("mixup", "all") else 50), results["ignore_mask"]
        mask = np.zeros_like(lit) if mask is None else mask
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3)), borderValue=1)
        outer = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3)))
        assert mask.shape == lit.shape and not (inner & ~lit).any() and not (lit & (outer == 0)).any()


def test_one_lit_pixel_is_mirrored_exactly():
    results = PaintedImages("spot").get_sample(0)
    results["img"] = np.zeros((150, 200, 3), np.uint8)
    results["img"][20, 30] = 255
    results["keypoints"][0, 5], results["keypoints_visible"][0, 5] = (30.5, 20.5), 1
    results = T.YOLOXPoseFlip(1.0)(results | {"rng": np.random.default_rng(0)})
    x, y = results["keypoints"][0, 6]
    assert results["img"][int(y), int(x)].tolist() == [255] * 3 and (x, y) == (169.5, 20.5)
    assert results["keypoints_visible"][0, 6] == 1 and results["img"].flags["C_CONTIGUOUS"]


def test_areas_shrink_with_the_image_and_the_crop():
    data = PaintedImages("box")
    for seed in range(20):
        results = data.run([T.YOLOXPoseMosaic(SIZE)], seed)
        for ann_id, area, box in zip(results["ann_ids"], results["areas"], results["bboxes"]):
            (x1, y1), (x2, y2) = data.boxes[ann_id]
            source_area = float((x2 - x1) * (y2 - y1))
            assert area / np.prod(box[2:] - box[:2]) == pytest.approx(100 / source_area, rel=1e-3)


def test_images_without_people_mix():
    data = PaintedImages("spot", empty=True)
    results = data.run([*GEOMETRIC["all"], T.PackYOLOXPoseInputs()], 0)
    labels = results["data_samples"].gt_instance_labels
    assert labels.bboxes.shape == (0, 4) and labels.keypoints.shape == (0, 17, 2)
    assert results["inputs"].shape == (3, 128, 160)


def test_mixup_prefers_partners_with_people():
    data = PaintedImages("spot")
    data.num_instances = lambda index: int(index == 3)
    data.run([T.LetterboxResize(SIZE), T.YOLOXPoseMixUp(SIZE)], 1)
    assert data.loaded[-1] == 3


def test_mosaic_images_outside_the_window_are_not_read():
    data, numbers = PaintedImages("spot"), []
    for seed in range(40):
        data.run([T.YOLOXPoseMosaic(SIZE), T.YOLOXPoseAffine(SIZE)], seed)
        numbers.append(len(data.loaded))
    assert min(numbers) < 4 and max(numbers) == 4


def test_probabilities_of_zero_leave_the_sample_alone():
    data = PaintedImages("spot")
    before = data.run([], 0)
    after = data.run(
        [
            T.YOLOXPoseMosaic(SIZE, prob=0),
            T.YOLOXPoseMixUp(SIZE, prob=0),
            T.YOLOXPoseFlip(0.0),
            T.YOLOXPoseHSV(0, 0, 0),
        ],
        0,
    )
    for key in ("img", *LABEL_KEYS):
        np.testing.assert_array_equal(after[key], before[key])


def test_hsv_moves_colours_by_no_more_than_its_limits():
    img = np.full((8, 8, 3), (80, 120, 160), np.uint8)
    values = []
    for seed in range(50):
        out = T.YOLOXPoseHSV(0, 0, 30)({"img": img.copy(), "rng": np.random.default_rng(seed)})["img"]
        values.append(int(out.max()) - 160)
    assert min(values) >= -30 and max(values) <= 30 and len(set(values)) > 10 and values.count(0) >= 15


def test_affine_draws_within_its_ranges():
    transform, scales, angles, shifts = T.YOLOXPoseAffine((200, 100)), [], [], []
    for seed in range(300):
        matrix = transform.draw_matrix(np.random.default_rng(seed))
        scales.append(np.sqrt(np.linalg.det(matrix[:2, :2])))
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        shifts.append(matrix[:2] @ [100, 50, 1] - [100, 50])
    assert 0.74 < min(scales) < 0.77 and 0.98 < max(scales) < 1.001
    assert -12.5 < min(angles) < -9 and 9 < max(angles) < 12.5
    assert (np.abs(shifts).max(axis=0) <= [20, 10]).all() and (np.abs(shifts).max(axis=0) > [18, 9]).all()


def test_drop_tiny_instances():
    results = PaintedImages("spot").get_sample(0)
    results = {key: np.repeat(value, 3, axis=0) if key in LABEL_KEYS else value for key, value in results.items()}
    results["bboxes"] = np.float32([[0, 0, 20, 1], [0, 0, 20, 20], [5, 5, 5.5, 30]])
    results["ann_ids"] = np.array([1, 2, 3])
    assert T.DropTinyInstances()(results)["ann_ids"].tolist() == [2] and len(results["areas"]) == 1


def test_pack_of_a_letterboxed_image():
    data = PaintedImages("crowd")
    results = data.run([T.LetterboxResize(SIZE), T.PackYOLOXPoseInputs(meta_keys=("sample_idx",))], 0, index=1)
    inputs, sample = results["inputs"], results["data_samples"]
    assert inputs.dtype == torch.uint8 and inputs.shape == (3, 128, 160) and inputs.is_contiguous()
    labels = sample.gt_instance_labels
    assert {key: value.dtype for key, value in labels.items()} == {
        "bboxes": torch.float32, "labels": torch.int64, "keypoints": torch.float32, "keypoints_visible": torch.uint8, "areas": torch.float32,
    }  # fmt: skip
    assert sample.gt_fields.ignore_mask.shape == (1, 128, 160) and sample.gt_fields.ignore_mask.dtype == torch.uint8
    meta = sample.metainfo
    assert meta["letterbox"] == (0.8, 0.8, 32.0, 0.0) and meta["ori_shape"] == (160, 120) and meta["sample_idx"] == 1
    assert meta["img_shape"] == (128, 160) and meta["input_size"] == (160, 128) and meta["img_id"] == 101
    corner = (
        np.array([0.0, 0.0]) / meta["input_size"] * meta["input_scale"] + meta["input_center"] - meta["input_scale"] / 2
    )
    np.testing.assert_allclose(corner, [-40, 0], atol=1e-4)


def test_pack_without_labels_or_letterbox():
    img = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    packed = T.PackYOLOXPoseInputs()({"img": img, "img_id": 5, "img_path": "a", "ori_shape": (2, 4)})
    assert packed["inputs"][:, 1, 2].tolist() == img[1, 2].tolist()
    sample = packed["data_samples"]
    assert "gt_instance_labels" not in sample and "gt_fields" not in sample and sample.letterbox == (1, 1, 0, 0)


def test_load_takes_given_images_and_paths(tmp_path):
    img = np.full((4, 6, 3), 9, np.uint8)
    assert T.LoadBGRImage()({"img": img})["ori_shape"] == (4, 6)
    cv2.imwrite(str(tmp_path / "a.png"), img)
    results = T.LoadBGRImage()({"img_path": str(tmp_path / "a.png")})
    np.testing.assert_array_equal(results["img"], img)


def test_names_are_registered_and_not_those_of_mmpose():
    from mmpose.registry import TRANSFORMS as THEIRS

    names = ["LoadBGRImage", "YOLOXPoseMosaic", "YOLOXPoseAffine", "YOLOXPoseMixUp", "YOLOXPoseHSV", "YOLOXPoseFlip"]
    for name in [*names, "LetterboxResize", "DropTinyInstances", "PackYOLOXPoseInputs"]:
        assert TRANSFORMS.get(name).__module__.startswith("yolox_pose.datasets.transforms.")
        assert name not in THEIRS.module_dict
