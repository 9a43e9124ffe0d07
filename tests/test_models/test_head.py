import copy

import pytest
import torch

from tests.test_models.models_common import SIZES, build_model, losses_of, make_batch
from yolox_pose.errors import DataError  # noqa: E402
from yolox_pose.models import YOLOXHeadModule, YOLOXPoseDecoupledHead  # noqa: E402
from yolox_pose.models.head import mean_counts  # noqa: E402

PARAMETERS = {
    "nano": 965_835,
    "tiny": 6_045_339,
    "s": 10_729_963,
    "m": 29_296_203,
    "l": 61_271_339,
    "x": 110_111_371,
}
GOLDEN = {
    "loss_obj": 6.621,
    "loss_cls": 1.552,
    "loss_bbox": 4.226,
    "loss_bbox_l1": 0.0,
    "loss_kpt": 26.577,
    "loss_vis": 0.693,
}
STATISTICS = {"positives", "unmatched"}
POSE_KEYS = {"loss_obj", "loss_cls", "loss_bbox", "loss_bbox_l1", "loss_kpt", "loss_vis", "oks", *STATISTICS}


@pytest.fixture(scope="module")
def nano():
    return build_model("nano")


@pytest.mark.parametrize("size", SIZES)
def test_number_of_parameters(size):
    assert sum(p.numel() for p in build_model(size).parameters()) == PARAMETERS[size]


def test_nano_is_depthwise_throughout(nano):
    dense = [
        name
        for name, layer in nano.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) and layer.groups == 1
    ]
    assert dense == ["backbone.stem.conv.conv"]


def test_keypoint_branch_can_have_plain_convolutions_alone():
    module = YOLOXHeadModule(1, 17, widen_factor=0.25, use_depthwise=True, pose_depthwise=False)
    dense = {
        name.partition(".")[0]
        for name, layer in module.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (3, 3) and layer.groups == 1
    }
    assert dense == {"conv_pose"}


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (1, 12)], ids=str)
def test_loss_keys_and_gradients_do_not_depend_on_the_batch(nano, counts):
    nano.zero_grad()
    losses = losses_of(nano, make_batch(counts))
    assert set(losses) == POSE_KEYS
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in nano.parameters())
    if counts == (0, 0):
        assert all(losses[key] == 0 for key in POSE_KEYS - {"loss_obj"})


def test_people_without_keypoints_train_the_box_alone(nano):
    losses = losses_of(nano, make_batch((3,), labelled=0.0))
    assert losses["loss_bbox"] > 0
    assert losses["loss_cls"] > 0
    assert losses["loss_kpt"] == losses["loss_vis"] == 0


def test_crowd_regions_are_no_background(nano):
    nano.eval()
    everything = losses_of(nano, make_batch((0,)), training=False)["loss_obj"]
    half = losses_of(nano, make_batch((0,), crowd=(0, 0, 64, 128)), training=False)["loss_obj"]
    nothing = losses_of(nano, make_batch((0,), crowd=(0, 0, 128, 128)), training=False)["loss_obj"]
    assert nothing == 0
    assert half.item() == pytest.approx(everything.item() / 2, rel=0.2)


def test_a_person_inside_a_crowd_region_still_trains(nano):
    losses = losses_of(nano, make_batch((2,), crowd=(0, 0, 128, 128)))
    assert losses["loss_obj"] > 0
    assert losses["loss_kpt"] > 0


def test_l1_is_on_in_the_last_epochs_alone(nano):
    batch = make_batch((3,))
    assert losses_of(nano, batch)["loss_bbox_l1"] == 0
    nano.head.phase.final_epoch = 0
    try:
        assert losses_of(nano, batch)["loss_bbox_l1"] > 0
    finally:
        nano.head.phase.final_epoch = None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_geometry_and_losses_in_float32(nano, dtype):
    batch = make_batch((2, 5))
    nano.eval()
    exact = losses_of(nano, batch, training=False)
    with torch.autocast("cpu", dtype=dtype):
        mixed = losses_of(nano, batch, training=False)
        features = nano.extract_feat(torch.zeros(1, 3, 128, 128))
        assert features[0].dtype == dtype
        assert nano.head.priors(features).dtype == torch.float32
    for key, value in mixed.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[key].item(), rel=0.05, abs=0.05)


def test_detection_mode_has_no_keypoint_parameters():
    model = build_model("nano", skeleton=None, num_classes=3, assigner={"prior_offset": 0.5})
    assert not [name for name, _ in model.named_parameters() if "pose" in name or "kpt" in name]
    losses = losses_of(model, make_batch((0, 4), classes=3))
    assert set(losses) == {"loss_obj", "loss_cls", "loss_bbox", "loss_bbox_l1", *STATISTICS}
    assert losses["loss_cls"] > 0


def test_another_number_of_keypoints_needs_one_setting():
    skeleton = {"names": ["tip", "left_fin", "right_fin"], "flip_pairs": [[1, 2]], "sigmas": [0.05, 0.1, 0.1]}
    model = build_model("nano", skeleton=skeleton)
    assert losses_of(model, make_batch((2,), keypoints=3))["loss_kpt"] > 0
    with pytest.raises(DataError, match="17 keypoints an instance, but the model has 3"):
        losses_of(model, make_batch((2,)))


def test_a_label_that_fits_no_class_is_named(nano):
    batch = make_batch((2,))
    batch["data_samples"][0].gt_instance_labels.labels[1] = 4
    with pytest.raises(DataError, match="made-up.jpg: label 4 does not fit a model of 1 class"):
        losses_of(nano, batch)


def test_unknown_settings_are_named():
    with pytest.raises(ValueError, match="loss_weights: unknown settings \\['bbox'\\]; known: box"):
        YOLOXPoseDecoupledHead(loss_weights={"bbox": 1})


def test_scores_start_near_the_prior(nano):
    fresh = build_model("nano", seed=3).eval()
    with torch.no_grad():
        outputs = fresh(torch.full((1, 3, 64, 64), 114.0), None, mode="tensor")
    assert outputs.objectness.sigmoid().mean().item() == pytest.approx(0.01, abs=0.01)


def test_counts_of_a_single_process():
    assert mean_counts(torch.tensor([5.0, 0.0])).tolist() == [5.0, 1.0]


def test_the_mean_gradient_of_two_processes_is_that_of_one_with_the_whole_batch(monkeypatch):
    model = build_model("nano").double().eval()
    batch = make_batch((1, 6))
    halves = [{key: values[i : i + 1] for key, values in batch.items()} for i in range(2)]
    seen = []

    def count(counts):
        seen.append(counts.clone())
        return counts

    monkeypatch.setattr("yolox_pose.models.head.mean_counts", count)
    for half in halves:
        losses_in_double(model, half)
    total = sum(seen)
    assert total.min() > 1
    gradients = []
    for part, divisor in ((batch, 1), (halves[0], 2), (halves[1], 2)):
        monkeypatch.setattr("yolox_pose.models.head.mean_counts", lambda counts, n=divisor: total / n)
        model.zero_grad()
        sum(losses_in_double(model, part).values()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    whole, first, second = gradients
    assert torch.allclose((first + second) / 2, whole, rtol=1e-4, atol=1e-6)


def losses_in_double(model, batch):
    made = model.data_preprocessor(copy.deepcopy(batch))
    return model(made["inputs"].double(), made["data_samples"], mode="loss")


def test_golden_losses(nano):
    """The figures of this implementation at its first release: they change only if a definition changes."""
    model = build_model("nano", seed=1).eval()
    losses = losses_of(model, make_batch((1, 0, 4), seed=5), training=False)
    golden = {key: value.item() for key, value in losses.items() if "loss" in key}
    assert golden == pytest.approx(GOLDEN, abs=2e-3)
