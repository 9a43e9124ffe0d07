"""From image file to the network's input and to detections: ours beside what the origins of weights do."""

import cv2
import numpy as np
import pytest
import torch

import yolox_pose.registry  # noqa: F401  (fills the gaps of the stack)
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.models.loading import load_model

SIZE = 416


@pytest.fixture(scope="module")
def photographs(shared_data):
    """Three photographs of different aspect ratios."""
    files = sorted((shared_data / "coco_mini" / "val2017").glob("*.jpg"))
    images = [cv2.imread(str(file)) for file in files[:60]]
    ratios = np.array([img.shape[1] / img.shape[0] for img in images])
    chosen = [ratios.argmin(), np.abs(ratios - 1).argmin(), ratios.argmax()]
    assert len(set(chosen)) == 3
    # larger than the network's input, so that they are resized
    return [cv2.resize(images[i], None, fx=1.53, fy=1.53, interpolation=cv2.INTER_CUBIC) for i in chosen]


def ours(img, centered):
    letterbox = fit_letterbox(img.shape[1::-1], (SIZE, SIZE), centered)
    return letterbox_image(img, letterbox, 114), letterbox


def mmdetections(img):
    from mmdet.datasets.transforms import Pad, Resize

    results = Resize(scale=(SIZE, SIZE), keep_ratio=True).transform({"img": img, "img_shape": img.shape[:2]})
    return Pad(pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0))).transform(results)["img"]


def mmposes(img):
    from mmpose.datasets.transforms import BottomupResize

    transform = BottomupResize(input_size=(SIZE, SIZE), pad_val=(114, 114, 114))
    return transform.transform({"img": img, "img_shape": img.shape[:2], "ori_shape": img.shape[:2]})["img"]


def test_mmdetections_input_is_the_same_to_the_pixel(photographs):
    for img in photographs:
        assert np.array_equal(ours(img, centered=False)[0], mmdetections(img))


def test_mmposes_input_differs_by_its_warp(photographs):
    """Its affine map starts at pixel corners instead of centres and has no whole sides: a shift below one pixel."""
    for img in photographs:
        mine, other = ours(img, centered=True)[0].astype(float), mmposes(img).astype(float)
        assert mine.shape == other.shape
        shift, response = cv2.phaseCorrelate(
            mine.mean(-1), other.mean(-1), cv2.createHanningWindow((SIZE, SIZE), cv2.CV_64F)
        )
        assert np.abs(shift).max() < 1 and response > 0.5


def test_detections_of_a_file_are_mmdetections(photographs, shared_data):
    """Same canvas, same weights: nothing of the way from file to box is left to differ."""
    model = load_model("yolox_nano_8xb8-300e_coco", shared_data / "weights" / "yolox_nano_coco_mmdet.pth", "cpu")
    for img in photographs:
        raw = []
        for canvas in (ours(img, centered=False)[0], mmdetections(img)):
            batch = torch.from_numpy(np.ascontiguousarray(canvas.transpose(2, 0, 1)))[None].float()
            with torch.no_grad():
                raw.append(model.head(model.extract_feat(batch)))
        assert torch.equal(raw[0].boxes, raw[1].boxes) and torch.equal(raw[0].classes, raw[1].classes)
