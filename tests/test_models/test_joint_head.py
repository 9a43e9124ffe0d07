"""The head with classes of which some have keypoints: assignment, losses, gradients, detections, configs."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from tests.test_models.models_common import SIZES, build_model, losses_of, make_batch, size_config
from tests.test_ops.simota_reference import simota_one_image
from yolox_pose.config import find_config  # noqa: E402
from yolox_pose.models import YOLOXPoseDecoupledHead  # noqa: E402
from yolox_pose.models.estimator import to_source  # noqa: E402
from yolox_pose.models.postprocess import detect  # noqa: E402
from yolox_pose.models.targets import collect_targets  # noqa: E402
from yolox_pose.ops import HeadOutputs, decode_boxes, decode_keypoints, grid_priors  # noqa: E402
from yolox_pose.structures.settings import PostprocessSettings  # noqa: E402
from yolox_pose.structures.skeleton import COCO_PERSON  # noqa: E402

CLASSES, POSED = 3, (1,)
KEYS = {"loss_obj", "loss_cls", "loss_bbox", "loss_bbox_l1", "loss_kpt", "loss_vis", "positives", "unmatched", "oks"}
POSE_BRANCH = ("conv_pose.", "out_kpt.", "out_kpt_vis.")


@pytest.fixture(scope="module")
def joint():
    return build_model("nano", num_classes=CLASSES, keypoint_classes=POSED).eval()


def relabelled(batch, label):
    """The same batch, all instances of one class; their keypoints stay."""
    batch = copy.deepcopy(batch)
    for sample in batch["data_samples"]:
        sample.gt_instance_labels.labels[:] = label
    return batch


def likely(seed, sizes=((16, 16), (8, 8), (4, 4))):
    """Priors and predictions with boxes and keypoints of the sizes of the instances of ``make_batch``."""
    generator = torch.Generator().manual_seed(seed)
    priors = grid_priors(sizes, (8, 16, 32))

    def noise(*shape, scale=1.0):
        return torch.randn(2, len(priors), *shape, generator=generator) * scale

    extent = torch.log(30 / priors[:, 2])[None, :, None].expand(2, -1, 2)
    boxes = torch.cat([noise(2, scale=0.5), extent + noise(2, scale=0.3)], -1)
    predictions = HeadOutputs(noise(CLASSES), noise(), boxes, noise(34, scale=0.7), noise(17))
    return priors, predictions


@pytest.mark.parametrize("dynamic_k", ["oks", "iou"])
def test_assignment_equals_the_brute_force_reference(dynamic_k):
    head = YOLOXPoseDecoupledHead(CLASSES, keypoint_classes=POSED, assigner={"dynamic_k": dynamic_k})
    priors, predictions = likely(0)
    samples = make_batch((4, 9), classes=CLASSES, seed=3)["data_samples"]
    targets = collect_targets(samples, priors, 17, head.has_keypoints)
    found = head.assign(predictions, priors, targets)
    boxes, keypoints = decode_boxes(predictions.boxes, priors), decode_keypoints(predictions.keypoints, priors)
    for image, sample in enumerate(samples):
        one = sample.gt_instance_labels
        truth = [
            {
                "box": one.bboxes[g].tolist(),
                "label": int(one.labels[g]),
                "keypoints": one.keypoints[g].tolist(),
                "labeled": [bool(v) and int(one.labels[g]) in POSED for v in one.keypoints_visible[g]],
                "area": one.areas[g].item(),
            }
            for g in range(len(one))
        ]
        assert {any(one["labeled"]) for one in truth} == {True, False}
        expected = simota_one_image(
            priors.tolist(), boxes[image].tolist(), predictions.classes[image].sigmoid().tolist(),
            predictions.objectness[image].sigmoid().tolist(), truth, head.assigner, keypoints[image].tolist(),
            COCO_PERSON.sigmas,
        )  # fmt: skip
        for prior, acceptable in enumerate(expected):
            assert int(found.instance[image, prior]) in acceptable
            overlap = acceptable[int(found.instance[image, prior])]
            assert found.overlap[image, prior].item() == pytest.approx(overlap, abs=1e-5)
        matched = found.instance[image][found.instance[image] >= 0]
        assert {any(truth[g]["labeled"]) for g in matched.tolist()} == {True, False}


def test_class_targets_by_hand(joint):
    """OKS (or IoU for people without keypoints) to the power 0.5 for the class with keypoints, IoU for the others."""
    assert joint.head.class_target_power.tolist() == [1.0, 0.5, 1.0]
    priors, predictions = likely(1)
    head = YOLOXPoseDecoupledHead(CLASSES, keypoint_classes=POSED)
    samples = make_batch((5, 6), classes=CLASSES, seed=2)["data_samples"]
    targets = collect_targets(samples, priors, 17, head.has_keypoints)
    found, total = head.assign(predictions, priors, targets), 0.0
    for image, prior in (found.instance >= 0).nonzero().tolist():
        label = int(targets.labels[image, found.instance[image, prior]])
        target = torch.zeros(CLASSES)
        target[label] = found.overlap[image, prior] ** (0.5 if label in POSED else 1.0)
        p = predictions.classes[image, prior].sigmoid()
        total -= (target * p.log() + (1 - target) * (1 - p).log()).sum().item()
    losses = head.loss(predictions, priors, samples)
    assert losses["loss_cls"].item() == pytest.approx(total / int((found.instance >= 0).sum()), rel=1e-5)


def test_one_class_with_keypoints_is_the_pose_model():
    batch = make_batch((2, 5), seed=4)
    pose, joint = build_model("nano", seed=1), build_model("nano", seed=1, keypoint_classes=(0,))
    expected, found = losses_of(pose, batch), losses_of(joint, batch)
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_no_class_with_keypoints_trains_as_if_nobody_were_labelled():
    """The class target apart, which is a matter of the class: a person's is OKS^0.5, an object's IoU."""
    settings = {"seed": 1, "num_classes": 2, "class_target_power": 1.0}
    batch = relabelled(make_batch((2, 5), seed=4), 1)
    found = losses_of(build_model("nano", keypoint_classes=(0,), **settings), batch)
    unlabelled = relabelled(make_batch((2, 5), seed=4, labelled=0.0), 1)
    expected = losses_of(build_model("nano", **settings), unlabelled)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "batch",
    [
        make_batch((0, 0)),
        relabelled(make_batch((3, 4)), 2),
        relabelled(make_batch((3, 4), labelled=0.0), POSED[0]),
        make_batch((6, 6), classes=CLASSES),
    ],
    ids=["nothing", "objects", "people without keypoints", "both"],
)
def test_keys_are_the_same_and_the_keypoint_branch_learns_from_its_classes_alone(joint, batch, request):
    joint.zero_grad()
    losses = losses_of(joint, batch, training=False)
    assert set(losses) == KEYS
    sum(losses.values()).backward()
    branch, rest = [], []
    for name, parameter in joint.head.named_parameters():
        (branch if any(part in name for part in POSE_BRANCH) else rest).append(parameter.grad)
    assert len(branch) > 20 and all(gradient is not None for gradient in branch + rest)
    assert any(gradient.any() for gradient in rest)
    learns = request.node.callspec.id == "both"
    assert any(gradient.any() for gradient in branch) == learns
    assert (losses["loss_kpt"] > 0) == (losses["loss_vis"] > 0) == learns


def test_keypoints_count_the_positives_of_people_alone(joint):
    """Objects beside people neither add to the keypoint losses nor to what they are divided by."""
    batch = make_batch((3,), seed=5)
    far = make_batch((3,), seed=5)["data_samples"][0].gt_instance_labels
    people, objects = relabelled(batch, 1), far.bboxes * 0.1 + torch.tensor([112.0, 112, 112, 112])
    alone = losses_of(joint, people, training=False)
    sample = people["data_samples"][0]
    own = sample.gt_instance_labels
    sample.gt_instance_labels = InstanceData(
        bboxes=torch.cat([own.bboxes, objects]),
        labels=torch.tensor([1, 1, 1, 0, 2, 0]),
        **{key: torch.cat([own[key], far[key]]) for key in ("keypoints", "keypoints_visible", "areas")},
    )
    with_objects = losses_of(joint, people, training=False)
    assert with_objects["loss_bbox"] != alone["loss_bbox"]
    assert with_objects["loss_kpt"].item() == pytest.approx(alone["loss_kpt"].item(), rel=1e-4)
    assert with_objects["loss_vis"].item() == pytest.approx(alone["loss_vis"].item(), rel=1e-4)


def test_detections_of_other_classes_have_no_keypoints():
    priors, predictions = likely(2)
    settings = PostprocessSettings(score_thr=0.2)
    posed = torch.tensor([False, True, False])
    for plain, found in zip(detect(predictions, priors, settings), detect(predictions, priors, settings, posed)):
        person = found.labels == 1
        assert 0 < person.sum() < len(person)
        assert torch.equal(found.keypoint_scores[person], plain.keypoint_scores[person])
        assert not found.keypoint_scores[~person].any()
        for name in ("boxes", "scores", "labels", "keypoints"):
            assert torch.equal(getattr(found, name), getattr(plain, name))


def test_coordinates_of_keypoints_that_do_not_exist_are_zero():
    found = InstanceData(
        bboxes=torch.tensor([[1.0, 2, 3, 4]] * 2),
        keypoints=torch.full((2, 5, 2), 7.0),
        keypoint_scores=torch.tensor([[0.0] * 5, [0.5, 0, 0, 0, 0]]),
    )
    back = to_source(found, {"letterbox": (2.0, 2.0, 1.0, 1.0), "ori_shape": (9, 9)})
    assert back.keypoints.unique(dim=1)[:, 0].tolist() == [[0, 0], [3, 3]]


def test_boxes_of_different_classes_do_not_suppress_each_other(joint):
    priors = grid_priors([(1, 2)], [8])
    logits = torch.tensor([[[9.0, -9, -9], [-9, 8, -9]]])
    boxes = torch.tensor([[[0.5, 0, 2, 2], [-0.5, 0, 2, 2]]])
    predictions = HeadOutputs(logits, torch.zeros(1, 2), boxes, torch.zeros(1, 2, 34), torch.zeros(1, 2, 17))
    (found,) = detect(predictions, priors, has_keypoints=joint.head.has_keypoints)
    assert torch.equal(found.boxes[0], found.boxes[1]) and found.labels.tolist() == [0, 1]


def test_settings():
    assert YOLOXPoseDecoupledHead(2).keypoint_classes == (0, 1)
    assert YOLOXPoseDecoupledHead(2, skeleton=None).keypoint_classes == ()
    assert YOLOXPoseDecoupledHead(3, keypoint_classes=[2, 0]).keypoint_classes == (0, 2)
    assert YOLOXPoseDecoupledHead(2, skeleton=None).class_target_power.tolist() == [1, 1]
    same = YOLOXPoseDecoupledHead(2, keypoint_classes=(0,), class_target_power=0.7).class_target_power
    assert same.tolist() == pytest.approx([0.7, 0.7])
    for settings, message in (
        ({"keypoint_classes": (2,)}, "2 is not a label of a head with 2"),
        ({"keypoint_classes": ("person",)}, "'person' is not a label"),
        ({"keypoint_classes": (0,), "skeleton": None}, "no skeleton"),
    ):
        with pytest.raises(ValueError, match=message):
            YOLOXPoseDecoupledHead(2, **settings)


@pytest.mark.parametrize("size", SIZES)
def test_joint_configs_are_the_pose_configs_with_more_classes(size):
    pose, joint = size_config(size), Config.fromfile(find_config(f"yolox-joint_{size}_8xb32-300e_coco"))
    assert joint.model.head.num_classes == 80 and joint.model.head.keypoint_classes == (0,)
    for key, loader in (("train", "train_dataloader"), ("val", "val_dataloader"), ("val", "test_dataloader")):
        data = joint[loader].dataset
        assert data.ann_file == f"annotations/instances_{key}2017.json"
        assert data.keypoint_file == f"annotations/person_keypoints_{key}2017.json"
        assert data.classes == "coco" and data.keypoint_classes == ("person",)
        assert data.input_size == pose[loader].dataset.input_size
    assert joint.train_dataloader.dataset.skip_transforms == pose.train_dataloader.dataset.skip_transforms
    assert joint.val_evaluator == joint.test_evaluator and set(joint.val_evaluator.metric) == {"keypoints", "bbox"}
    joint.model.head.num_classes = 1
    del joint.model.head["keypoint_classes"]
    for key in ("model", "optim_wrapper", "param_scheduler", "custom_hooks", "train_cfg", "default_hooks"):
        assert joint[key] == pose[key]
