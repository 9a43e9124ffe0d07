import copy

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from tests.test_models.models_common import build_model, losses_of, make_batch, size_config
from yolox_pose.checkpoints.matching import adapt_state_dict  # noqa: E402
from yolox_pose.compat.torch_load import load  # noqa: E402
from yolox_pose.geometry.letterbox import fit_letterbox  # noqa: E402
from yolox_pose.models.estimator import to_source  # noqa: E402
from yolox_pose.models.postprocess import detect  # noqa: E402
from yolox_pose.ops import HeadOutputs, grid_priors  # noqa: E402
from yolox_pose.structures.settings import PostprocessSettings  # noqa: E402


@pytest.fixture(scope="module")
def nano():
    return build_model("nano").eval()


@pytest.mark.parametrize("source", [(640, 480), (333, 777), (20, 20)])
@pytest.mark.parametrize("centered", [True, False])
def test_predictions_come_back_to_the_source_image(source, centered):
    letterbox = fit_letterbox(source, (416, 320), centered)
    points = np.array([[[1.0, 2.0], [source[0] - 3, source[1] / 2]]], dtype=np.float32)
    boxes = np.array([[-5.0, 1.0, source[0] / 2, source[1] + 9]], dtype=np.float32)
    found = InstanceData(
        bboxes=torch.from_numpy(letterbox.forward_boxes(boxes)).float(),
        keypoints=torch.from_numpy(letterbox.forward(points)).float(),
    )
    back = to_source(found, {"letterbox": (*letterbox.scale, *letterbox.pad), "ori_shape": (source[1], source[0])})
    assert np.allclose(back.keypoints.numpy(), points, atol=1e-3 * max(source) / 100)
    assert np.allclose(back.bboxes.numpy(), [[0, 1, source[0] / 2, source[1]]], atol=1e-3 * max(source) / 100)


def test_prediction_does_not_depend_on_the_batch(nano):
    with torch.no_grad():
        nano.head.head_module.out_obj[0].bias.fill_(0.0)
    nano.test_cfg["score_thr"] = 0.003
    batch = make_batch((0, 0))
    together = nano.test_step(copy.deepcopy(batch))
    alone = nano.test_step({key: values[1:] for key, values in copy.deepcopy(batch).items()})
    first, second = together[1].pred_instances, alone[0].pred_instances
    assert len(first.scores) == len(second.scores) > 10
    assert torch.allclose(first.scores, second.scores, atol=1e-5)
    assert torch.allclose(first.keypoints, second.keypoints, atol=1e-2)
    assert (first.scores.diff() <= 0).all()


def test_detections_by_hand():
    priors = grid_priors([(1, 3)], [8])
    far = 20.0
    predictions = HeadOutputs(
        classes=torch.tensor([[[far, -far], [far, -far], [-far, far]]]),
        objectness=torch.tensor([[0.0, 2.0, -10.0]]),
        boxes=torch.tensor([[[1.0, 0, 0, 0], [0.0, 0, 0, 0], [0.0, 0, 0, 0]]]),
        keypoints=torch.tensor([[[0.0, 0], [0.5, 0.25], [0.0, 0]]]),
        visibility=torch.tensor([[[1.0], [0.0], [1.0]]]),
    )
    (found,) = detect(predictions, priors, PostprocessSettings(score_thr=0.1))
    # prior 0 decodes to the box of prior 1 and loses to its higher score; prior 2 is below the threshold
    assert found.scores.tolist() == [pytest.approx(torch.tensor(2.0).sigmoid().item())]
    assert found.boxes.tolist() == [[4.0, -4.0, 12.0, 4.0]]
    assert found.keypoints.tolist() == [[[12.0, 2.0]]]
    assert found.keypoint_scores.tolist() == [[0.5]]
    assert len(detect(predictions, priors, PostprocessSettings(score_thr=0.1, nms_thr=1.0))[0].scores) == 2


def test_no_detections_are_empty_results(nano):
    nano.test_cfg["score_thr"] = 0.999
    found = nano.test_step(make_batch((0,)))[0].pred_instances
    nano.test_cfg["score_thr"] = 0.01
    assert found.bboxes.shape == (0, 4)
    assert found.keypoints.shape == (0, 17, 2)


def test_a_detector_starts_a_pose_model(nano):
    detector = build_model("nano", seed=5, skeleton=None, num_classes=80)
    names = {"conv_cls": "cls_convs", "conv_reg": "reg_convs", "out_cls": "conv_cls", "out_bbox": "conv_reg",
             "out_obj": "conv_obj"}  # fmt: skip
    weights = {}
    for key, value in detector.state_dict().items():
        parts = key.split(".")
        if key.startswith("head.head_module."):
            key = ".".join([f"bbox_head.multi_level_{names[parts[2]]}", *parts[3:]])
        weights[key] = value
    adapt_state_dict(weights, nano.state_dict())
    model = build_model("nano", seed=9)
    left = model.load_state_dict(weights, strict=False)
    assert left.unexpected_keys == []
    assert all(".conv_pose." in key or ".out_kpt" in key for key in left.missing_keys)
    source = detector.head.head_module
    assert torch.equal(model.head.head_module.out_cls[1].weight[0], source.out_cls[1].weight[0])
    assert torch.equal(model.head.head_module.conv_reg[0][1].depthwise_conv.conv.weight,
                       source.conv_reg[0][1].depthwise_conv.conv.weight)  # fmt: skip


def test_real_detector_weights_start_a_pose_model(shared_data):
    weights = load(shared_data / "weights" / "yolox_nano_coco_mmdet.pth")["state_dict"]
    model = build_model("nano")
    left = model.load_state_dict(dict(weights), strict=False)
    assert left.unexpected_keys == []
    assert {key.split(".")[2] for key in left.missing_keys} == {"conv_pose", "out_kpt", "out_kpt_vis"}
    expected = weights["bbox_head.multi_level_conv_cls.0.weight"][:1]
    assert torch.equal(model.head.head_module.out_cls[0].weight, expected)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [0.9]),
        ({"nms_thr": 1.0}, [0.9, 0.8, 0.7]),
        ({"nms_type": "oks"}, [0.9, 0.8]),
        ({"nms_type": "box_oks"}, [0.9, 0.8]),
        ({"nms_type": "oks", "nms_thr": 1.0}, [0.9, 0.8]),
        ({"nms_type": "box_oks", "oks_thr": 0.999}, [0.9, 0.8, 0.7]),
        ({"soft_nms": "linear", "score_thr": 0.02}, [0.9, 0.04]),
    ],
)
def test_what_the_settings_call_one_person(settings, kept):
    # three priors with one box, but for a pixel; the poses of the first and the last agree
    priors = torch.tensor([[0.0, 0.0, 8.0]] * 3)
    logit = torch.logit(torch.tensor([[0.9, 0.8, 0.7]]))
    offsets = torch.tensor([[[0.0] * 4, [4.0] * 4, [0.05] * 4]])
    predictions = HeadOutputs(
        classes=torch.full((1, 3, 1), 30.0),
        objectness=logit,
        boxes=torch.tensor([[[1.0, 1, 1.5, 1.5], [1, 1, 1.5, 1.5], [1.0, 1, 1.5, 1.5]]])
        + torch.tensor([[[0.0] * 4, [0.118, 0, 0, 0], [0.0] * 4]]),
        keypoints=offsets,
        visibility=torch.full((1, 3, 2), 3.0),
    )
    (found,) = detect(predictions, priors, PostprocessSettings(**settings), sigmas=torch.tensor([0.1, 0.1]))
    assert found.scores.tolist() == pytest.approx(kept, abs=0.02)
    assert (found.scores.diff() <= 0).all()


def test_classes_without_keypoints_are_compared_by_boxes():
    priors = torch.tensor([[0.0, 0.0, 8.0]] * 2)
    predictions = HeadOutputs(
        classes=torch.tensor([[[-30.0, 30.0], [-30.0, 30.0]]]),
        objectness=torch.tensor([[2.0, 1.0]]),
        boxes=torch.zeros(1, 2, 4),
        keypoints=torch.tensor([[[0.0, 0.0], [9.0, 9.0]]]),
        visibility=torch.full((1, 2, 1), 3.0),
    )
    settings, sigmas = PostprocessSettings(nms_type="oks"), torch.tensor([0.1])
    (found,) = detect(predictions, priors, settings, torch.tensor([True, False]), sigmas)
    assert len(found.scores) == 1 and found.keypoint_scores.tolist() == [[0.0]]
    (found,) = detect(predictions, priors, settings, torch.tensor([True, True]), sigmas)
    assert len(found.scores) == 2


def test_a_frozen_detector_gets_no_gradients_and_keeps_its_statistics():
    model = build_model("nano", estimator={"freeze_detector": True})
    before = {key: value.clone() for key, value in model.state_dict().items()}
    losses = losses_of(model, make_batch((2, 1)))
    sum(value for key, value in losses.items() if "loss" in key).backward()
    learning = {key for key, value in model.named_parameters() if value.grad is not None}
    assert {key.split(".")[2] for key in learning} == {"conv_pose", "out_kpt", "out_kpt_vis"}
    assert learning == {key for key, value in model.named_parameters() if value.requires_grad}
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and all(".conv_pose." in key for key in moved)


def test_a_frozen_detector_gives_the_keypoint_branch_the_gradients_that_it_has_anyway():
    gradients = []
    for frozen in (False, True):
        model = build_model("nano", estimator={"freeze_detector": frozen}).eval()
        losses = losses_of(model, make_batch((2, 1)), training=False)
        sum(value for key, value in losses.items() if "loss" in key).backward()
        gradients.append({key: value.grad for key, value in model.named_parameters() if "pose" in key or "kpt" in key})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(value, gradients[1][key], atol=1e-6) for key, value in gradients[0].items())


def test_a_detector_that_is_frozen_needs_something_that_learns():
    with pytest.raises(ValueError, match="without keypoints nothing to learn"):
        build_model("nano", name="yolox_{}_8xb8-300e_coco", estimator={"freeze_detector": True})


@pytest.mark.parametrize("stages", [1, 4])
def test_frozen_stages_are_frozen_from_the_start(stages):
    """DDP registers the parameters that learn before training starts."""
    config = {**size_config("nano").model.backbone, "frozen_stages": stages}
    backbone = build_model("nano", estimator={"backbone": config}).backbone
    learns = [any(p.requires_grad for p in getattr(backbone, name).parameters()) for name in backbone.layers]
    assert learns == [stage > stages for stage in range(5)]
