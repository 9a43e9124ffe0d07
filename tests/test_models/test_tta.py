"""Test-time augmentation: coordinates come back exactly, mirrored images give mirrored results, one view changes nothing."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from tests.test_models.models_common import build_model
from tests.tiny_models import write_checkpoint, write_config
from yolox_pose.datasets.transforms import LetterboxResize, PackYOLOXPoseInputs  # noqa: E402
from yolox_pose.datasets.transforms.tta import TTALetterbox  # noqa: E402
from yolox_pose.models.estimator import to_source  # noqa: E402
from yolox_pose.models.loading import load_model  # noqa: E402
from yolox_pose.models.tta import YOLOXPoseTTA  # noqa: E402
from yolox_pose.structures.skeleton import COCO_PERSON  # noqa: E402

SIZE = (160, 96)


def sample(img):
    return {"img": img, "img_id": 3, "ori_shape": img.shape[:2]}


def views(img, **options):
    return TTALetterbox(SIZE, **options)(sample(img))


def noise(height=75, width=133, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    config = write_config(folder)
    return load_model(config, write_checkpoint(config, folder / "random.pth"), "cpu")


def predict(model, *imgs, **options):
    found = YOLOXPoseTTA(model).test_step(pseudo_collate([views(img, **options) for img in imgs]))
    return [element.pred_instances for element in found]


def spot(height, width, x, y):
    """A soft bright spot around the centre of a pixel, which keeps its centroid in any resize."""
    spread = 0.03 * max(height, width)
    rows, columns = np.mgrid[:height, :width]
    light = 141 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    return np.repeat((114 + light).round().astype(np.uint8)[..., None], 3, axis=2)


class PixelFinder(torch.nn.Module):
    """Stands in for an estimator: one person around the centroid of what is bright, its left side 4 px to the right."""

    def __init__(self):
        super().__init__()
        self.test_cfg = {"score_thr": 0.1}
        self.head = torch.nn.Module()
        self.head.skeleton, self.head.sigmas = COCO_PERSON, torch.tensor(COCO_PERSON.sigmas)

    def test_step(self, data):
        for img, element in zip(data["inputs"], data["data_samples"]):
            weight = img.double().mean(0) - 114  # the padding's grey weighs nothing
            rows, columns = torch.arange(img.shape[1]) + 0.5, torch.arange(img.shape[2]) + 0.5
            point = torch.stack([(weight.sum(0) * columns).sum(), (weight.sum(1) * rows).sum()]) / weight.sum()
            keypoints = point.float().expand(1, 17, 2).clone()
            keypoints[:, 1::2, 0] += 4  # the person's left side is on the right of a picture of its face
            box = torch.cat([point - 8, point + 8])[None].float()
            found = InstanceData(
                bboxes=box, scores=torch.tensor([0.8]), labels=torch.tensor([0]), keypoints=keypoints,
                keypoint_scores=torch.full((1, 17), 0.9),
            )  # fmt: skip
            element.pred_instances = to_source(found, element.metainfo)
        return data["data_samples"]


@pytest.mark.parametrize("size", [(75, 133), (97, 61), (301, 499)])
def test_a_lit_spot_comes_back_from_every_view(size):
    height, width = size
    y, x = 2 * height // 3, width // 4
    img = spot(height, width, x, y)
    (found,) = predict(PixelFinder(), img, scales=(0.8, 1.0, 1.3), flip=False)
    assert found.keypoints[0, 0].tolist() == pytest.approx([x + 0.5, y + 0.5], abs=0.12)
    (both,) = predict(PixelFinder(), img, flip=True)
    assert both.keypoints[0, 0].tolist() == pytest.approx([x + 0.5, y + 0.5], abs=0.12)
    assert len(both.scores) == 1 and both.scores.item() == pytest.approx(0.8)


def test_left_and_right_swap_in_the_mirror():
    img = spot(75, 133, 24, 34)
    (plain,) = predict(PixelFinder(), img, flip=False)
    assert plain.keypoints[0, 1, 0] > plain.keypoints[0, 2, 0] + 2
    mirrored = views(img, flip=True)
    stub = PixelFinder()
    second = stub.test_step({"inputs": mirrored["inputs"][1:], "data_samples": mirrored["data_samples"][1:]})[0]
    assert second.metainfo["flip"] and second.pred_instances.keypoints[0, 0, 0] == pytest.approx(133 - 24.5, abs=0.1)


@pytest.mark.parametrize("criterion", ["box", "oks", "box_oks"])
def test_one_view_is_the_plain_prediction(tiny, criterion):
    tiny.test_cfg["nms_type"] = criterion
    img = noise()
    packed = PackYOLOXPoseInputs()(LetterboxResize(SIZE)(sample(img)))
    plain = tiny.test_step(pseudo_collate([packed]))[0].pred_instances
    (found,) = predict(tiny, img, flip=False)
    tiny.test_cfg["nms_type"] = "box"
    assert len(found.scores) == len(plain.scores) > 5
    for name in ("bboxes", "scores", "labels", "keypoints", "keypoint_scores"):
        assert torch.equal(found[name], plain[name])


@pytest.mark.parametrize("size", [(75, 133), (97, 61)])
def test_mirrored_images_give_mirrored_results(tiny, size):
    img = noise(*size)
    mirror = np.ascontiguousarray(img[:, ::-1])
    first, second = predict(tiny, img, mirror, scales=(1.0, 1.2))
    assert len(first.scores) == len(second.scores) > 5
    flip = COCO_PERSON.flip_indices
    x1, y1, x2, y2 = second.bboxes.unbind(-1)
    boxes = torch.stack([size[1] - x2, y1, size[1] - x1, y2], -1)
    partner = torch.cdist(
        torch.cat([first.bboxes, 1e4 * first.scores[:, None]], 1), torch.cat([boxes, 1e4 * second.scores[:, None]], 1)
    ).argmin(1)
    assert sorted(partner.tolist()) == list(range(len(partner)))
    assert torch.allclose(first.scores, second.scores[partner], atol=1e-5)
    assert torch.allclose(first.bboxes, boxes[partner], atol=1e-2)
    x, y = second.keypoints[partner][:, flip].unbind(-1)
    assert torch.allclose(first.keypoints, torch.stack([size[1] - x, y], -1), atol=1e-2)
    assert torch.allclose(first.keypoint_scores, second.keypoint_scores[partner][:, flip], atol=1e-5)


def test_detection_models_and_images_without_anything():
    model = build_model("nano", skeleton=None, num_classes=3).eval()
    model.test_cfg = {"score_thr": 0.0, "nms_pre": 50, "nms_thr": 0.65, "max_per_img": 7}
    (found,) = predict(model, noise())
    assert len(found.scores) == 7 and "keypoints" not in found
    assert (found.scores.diff() <= 0).all()
    model.test_cfg["score_thr"] = 0.999
    (nothing,) = predict(model, noise())
    assert len(nothing.scores) == 0 and nothing.bboxes.shape == (0, 4)


def test_views_are_sizes_and_flips():
    packed = views(noise(), scales=(0.6, 1.0, 1.0, 1.6), flip=True)
    assert [tuple(t.shape[1:]) for t in packed["inputs"]] == [(64, 96), (96, 160), (160, 256)] * 2
    assert [s.metainfo["flip"] for s in packed["data_samples"]] == [False] * 3 + [True] * 3
    with pytest.raises(ValueError, match="scales must be one or more positive numbers"):
        TTALetterbox(scales=(0.0,))


def test_the_source_is_not_changed():
    img = noise()
    before = copy.copy(img)
    views(img)
    assert np.array_equal(img, before)
