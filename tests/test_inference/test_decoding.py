"""Detections in numpy against those of the model in PyTorch."""

import numpy as np
import pytest
import torch

from yolox_pose import ops
from yolox_pose.geometry.boxes import grid_priors
from yolox_pose.inference.exported.decoding import detect as detect_exported
from yolox_pose.inference.exported.description import ModelDescription
from yolox_pose.models.postprocess import detect
from yolox_pose.structures.settings import PostprocessSettings as Settings
from yolox_pose.structures.skeleton import Skeleton

SIZE = (96, 160)


def describe(layout, classes, keypoints, keypoint_classes):
    skeleton = Skeleton(tuple(f"k{i}" for i in range(keypoints))) if keypoints else None
    return ModelDescription(
        target="onnx",
        layout=layout,
        size=SIZE,
        outputs=(),
        classes=tuple(f"c{i}" for i in range(classes)),
        keypoint_classes=keypoint_classes,
        skeleton=skeleton,
    )


def test_priors_are_those_of_the_tensors():
    for size in (SIZE, (32, 32), (384, 640)):
        levels = [(size[0] // stride, size[1] // stride) for stride in (8, 16, 32)]
        np.testing.assert_array_equal(grid_priors(size, (8, 16, 32)), ops.grid_priors(levels, (8, 16, 32)))


@pytest.mark.parametrize("layout", ["raw", "decode"])
@pytest.mark.parametrize(
    ("classes", "keypoints", "keypoint_classes", "settings"),
    [
        (1, 17, (0,), Settings(score_thr=0.05)),
        (5, 3, (2,), Settings(score_thr=0.2, nms_thr=0.4, max_per_img=9)),
        (4, 0, (), Settings(nms_pre=30)),
        (2, 0, (), Settings(nms_thr=1.0)),
        (1, 2, (0,), Settings(score_thr=0.99999)),
        (1, 5, (0,), Settings(score_thr=0.2, nms_type="oks", nms_thr=1.0)),
        (3, 5, (1,), Settings(score_thr=0.2, nms_type="box_oks", nms_thr=0.3, oks_thr=0.3)),
        (3, 5, (0, 2), Settings(score_thr=0.2, nms_type="oks", soft_nms="linear", max_per_img=20)),
        (2, 0, (), Settings(score_thr=0.2, soft_nms="gaussian", nms_thr=0.5)),
    ],
)
def test_detections_are_those_of_the_model(layout, classes, keypoints, keypoint_classes, settings):
    torch.manual_seed(1)
    priors = grid_priors(SIZE, (8, 16, 32))
    n, tensor_priors = len(priors), torch.from_numpy(priors)
    raw = ops.HeadOutputs(
        torch.randn(2, n, classes) * 2,
        torch.randn(2, n) * 3,
        torch.cat([torch.randn(2, n, 2), torch.randn(2, n, 2) * 0.5 + 1.5], -1),
        torch.randn(2, n, 2 * keypoints) if keypoints else None,
        torch.randn(2, n, keypoints) if keypoints else None,
    )
    if layout == "raw":
        outputs = {name: values for name, values in raw._asdict().items() if values is not None}
    else:
        scores = raw.classes.sigmoid() * raw.objectness.sigmoid()[..., None]
        outputs = {"boxes": ops.decode_boxes(raw.boxes, tensor_priors), "scores": scores}
        if keypoints:
            outputs["keypoints"] = ops.decode_keypoints(raw.keypoints, tensor_priors)
            outputs["keypoint_scores"] = raw.visibility.sigmoid()
    outputs = {name: values.numpy() for name, values in outputs.items()}
    posed = torch.tensor([label in keypoint_classes for label in range(classes)])
    sigmas = torch.full((keypoints,), 1 / max(keypoints, 1))
    wanted = detect(raw, tensor_priors, settings, posed, sigmas)
    for image, one in enumerate(wanted):
        description = describe(layout, classes, keypoints, keypoint_classes)
        found = detect_exported(outputs, image, priors, description, settings)
        np.testing.assert_allclose(found.scores, one.scores, atol=1e-6)
        np.testing.assert_array_equal(found.labels, one.labels)
        np.testing.assert_allclose(found.boxes, one.boxes, atol=1e-4)
        assert found.keypoints.shape == (len(found.scores), keypoints, 2) and found.labels.dtype == np.int64
        if keypoints:
            absent = ~np.isin(found.labels, keypoint_classes)
            keypoints_wanted = np.where(absent[:, None, None], 0, one.keypoints)
            np.testing.assert_allclose(found.keypoints, keypoints_wanted, atol=1e-4)
            np.testing.assert_allclose(found.keypoint_scores, one.keypoint_scores, atol=1e-6)


def test_extreme_logits_give_no_warning():
    outputs = {
        "classes": np.array([[[200.0], [-200.0]]], np.float32),
        "objectness": np.array([[200.0, -200.0]], np.float32),
        "boxes": np.zeros((1, 2, 4), np.float32),
    }
    with np.errstate(all="raise", under="ignore"):
        found = detect_exported(
            outputs,
            0,
            grid_priors((32, 32), (32,)).repeat(2, 0),
            describe("raw", 1, 0, ()),
            Settings(0.01, 9, 0.65, 9),
        )
    assert found.scores.tolist() == [1.0]
