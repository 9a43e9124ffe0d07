import math

import pytest
import torch

from yolox_pose.ops import Assignment, HeadOutputs, KeypointTargets, LossWeights, Targets, yolox_losses
from yolox_pose.ops.losses import visibility_targets

PRIORS = torch.tensor([[0.0, 0.0, 8.0], [8.0, 0.0, 8.0], [16.0, 0.0, 8.0]])
SIGMAS = torch.tensor([0.5, 0.5])
ENTROPY = math.log(2)
"""Binary cross entropy of logit 0, whatever the target."""


def predictions(requires_grad=False):
    """Zero logits: boxes of 8 x 8 px around the priors, keypoints on them."""
    made = HeadOutputs(*(torch.zeros(1, 3, *shape) for shape in ((1,), (), (4,), (4,), (2,))))
    for tensor in made:
        tensor.requires_grad_(requires_grad)
    return made


def targets(**changes):
    """One instance: the box of prior 1, one keypoint on it, one 4 px away, area 16."""
    values = {
        "boxes": torch.tensor([[[4.0, -4.0, 12.0, 4.0]]]),
        "labels": torch.zeros(1, 1, dtype=torch.long),
        "valid": torch.ones(1, 1, dtype=torch.bool),
        "pose": KeypointTargets(
            keypoints=torch.tensor([[[[8.0, 0.0], [12.0, 0.0]]]]),
            visible=torch.tensor([[[2, 1]]], dtype=torch.uint8),
            areas=torch.tensor([[16.0]]),
        ),
    }
    return Targets(**{**values, **changes})


def assignment(overlap=0.25):
    return Assignment(torch.tensor([[-1, 0, -1]]), torch.tensor([[0.0, overlap, 0.0]]))


def losses(**kwargs):
    arguments = {"sigmas": SIGMAS, "use_l1": True, **kwargs}
    pred, truth = arguments.pop("predictions", predictions()), arguments.pop("targets", targets())
    found = yolox_losses(pred, truth, arguments.pop("assignment", assignment()), PRIORS, **arguments)
    return {key: value.item() for key, value in found.items()}


def test_every_term_by_hand():
    # exp(-16 / (2 * 16 * (2 * 0.5)^2)) = exp(-0.5) for the keypoint 4 px away
    oks = (1 + math.exp(-0.5)) / 2
    assert losses() == {
        "loss_obj": pytest.approx(3 * ENTROPY),
        "loss_cls": pytest.approx(ENTROPY),
        "loss_bbox": pytest.approx(0.0, abs=1e-6),
        "loss_bbox_l1": pytest.approx(0.0, abs=1e-6),
        "loss_kpt": pytest.approx(30 * (1 - oks), rel=1e-5),
        "loss_vis": pytest.approx(ENTROPY),
        "positives": 1.0,
        "unmatched": 0.0,
        "oks": pytest.approx(oks, rel=1e-6),
    }


def test_box_terms_of_a_wrong_box_by_hand():
    # the box is twice as wide as the prediction: IoU 1/2; encoded, centre and height agree, log(2) is missing in width
    found = losses(targets=targets(boxes=torch.tensor([[[0.0, -4.0, 16.0, 4.0]]])))
    assert found["loss_bbox"] == pytest.approx(5 * (1 - 0.25), rel=1e-5)
    assert found["loss_bbox_l1"] == pytest.approx(math.log(2), rel=1e-5)


def test_class_target_is_a_power_of_the_overlap():
    pred = predictions()._replace(classes=torch.full((1, 3, 1), 2.0))
    for power, target in ((0.5, 0.5), (1.0, 0.25)):
        expected = -(
            target * math.log(torch.sigmoid(torch.tensor(2.0)))
            + (1 - target) * math.log(1 - torch.sigmoid(torch.tensor(2.0)))
        )
        found = losses(predictions=pred, class_target_power=power)["loss_cls"]
        assert found == pytest.approx(expected, rel=1e-5)


def test_ignored_priors_are_not_background_but_positives_stay():
    ignored = torch.tensor([[True, True, False]])
    assert losses(targets=targets(ignored=ignored))["loss_obj"] == pytest.approx(2 * ENTROPY)


def test_smooth_l1_in_units_of_the_root_of_the_area():
    # 4 px of sqrt(16) px = 1 unit, beta 0.1: 1 - 0.05, averaged over two labelled keypoints
    found = losses(weights=LossWeights(keypoint_l1=2.0))
    assert found["loss_kpt_l1"] == pytest.approx(2 * 0.95 / 2, rel=1e-5)


def test_keypoint_l1_is_averaged_over_labeled_keypoints_only():
    # only the keypoint 4 px away is labeled: the mean over one keypoint, not over two
    pose = targets().pose._replace(visible=torch.tensor([[[0, 1]]], dtype=torch.uint8))
    found = losses(weights=LossWeights(keypoint_l1=2.0), targets=targets(pose=pose))
    assert found["loss_kpt_l1"] == pytest.approx(2 * 0.95, rel=1e-5)


def test_visibility_is_averaged_over_all_keypoints_also_if_some_are_ignored():
    pose = targets().pose._replace(visible=torch.tensor([[[0, 2]]], dtype=torch.uint8))
    for unlabelled, expected in (("negative", ENTROPY), ("ignore", ENTROPY / 2)):
        found = losses(targets=targets(pose=pose), unlabelled=unlabelled)
        assert found["loss_vis"] == pytest.approx(expected, rel=1e-6)


def test_instances_without_labeled_keypoints_train_no_keypoints():
    pose = KeypointTargets(
        keypoints=torch.tensor([[[[8.0, 0.0], [12.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]]),
        visible=torch.tensor([[[2, 1], [0, 0]]], dtype=torch.uint8),
        areas=torch.tensor([[16.0, 16.0]]),
    )
    two = targets(
        boxes=torch.tensor([[[4.0, -4.0, 12.0, 4.0], [12.0, -4.0, 20.0, 4.0]]]),
        labels=torch.zeros(1, 2, dtype=torch.long),
        valid=torch.ones(1, 2, dtype=torch.bool),
        pose=pose,
    )
    both = Assignment(torch.tensor([[-1, 0, 1]]), torch.tensor([[0.0, 0.25, 0.25]]))
    weights = LossWeights(keypoint_l1=1.0)
    found, alone = losses(targets=two, assignment=both, weights=weights), losses(weights=weights)
    assert found["positives"] == 1.0 and found["loss_obj"] == pytest.approx(3 * ENTROPY / 2)
    for key in ("loss_kpt", "loss_vis", "loss_kpt_l1", "oks"):
        assert found[key] == pytest.approx(alone[key]), key


def test_counts_go_through_reduce():
    halved = losses(reduce=lambda counts: counts / 2)
    assert halved["loss_obj"] == pytest.approx(2 * losses()["loss_obj"])
    assert halved["loss_kpt"] == pytest.approx(2 * losses()["loss_kpt"])


def test_nothing_positive_is_zero_with_gradients_everywhere():
    pred = predictions(requires_grad=True)
    nothing = Assignment(torch.full((1, 3), -1), torch.zeros(1, 3))
    found = yolox_losses(pred, targets(), nothing, PRIORS, sigmas=SIGMAS)
    assert {key for key, value in found.items() if value != 0} == {"loss_obj", "unmatched"}
    assert found["unmatched"] == 1
    sum(found.values()).backward()
    assert all(tensor.grad is not None for tensor in pred)


def test_statistics_of_an_uneven_assignment_by_hand():
    """Two images, three instances and one place that is padding: 2, 1 and 0 positives."""
    pred = HeadOutputs(*(tensor.expand(2, *tensor.shape[1:]) for tensor in predictions()))
    one = targets()
    valid = torch.tensor([[True, True], [True, False]])
    pose = KeypointTargets(*(value.repeat(2, 2, *[1] * (value.dim() - 2)) for value in one.pose))
    two = Targets(one.boxes.repeat(2, 2, 1), one.labels.repeat(2, 2), valid, pose)
    spread = Assignment(torch.tensor([[0, 0, 1], [-1, -1, -1]]), torch.full((2, 3), 0.5))
    found = yolox_losses(pred, two, spread, PRIORS, sigmas=SIGMAS)
    assert found["positives"] == pytest.approx(3 / 3) and found["unmatched"] == pytest.approx(1 / 3)
    assert not any(found[name].requires_grad for name in ("positives", "unmatched", "oks"))


def test_visibility_options():
    codes = torch.tensor([0, 1, 2])
    assert [t.tolist() for t in visibility_targets(codes, True, "negative")] == [[0, 1, 1], [1, 1, 1]]
    assert [t.tolist() for t in visibility_targets(codes, False, "negative")] == [[0, 0, 1], [1, 1, 1]]
    assert [t.tolist() for t in visibility_targets(codes, True, "ignore")] == [[0, 1, 1], [0, 1, 1]]
    with pytest.raises(ValueError, match="'drop'"):
        visibility_targets(codes, True, "drop")
