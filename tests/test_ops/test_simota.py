import importlib

import pytest
import torch

from tests.test_ops.simota_peer import assign_by_mmpose
from tests.test_ops.simota_reference import simota_one_image
from yolox_pose.ops import DecodedOutputs, KeypointTargets, SimOTASettings, Targets, grid_priors, simota
from yolox_pose.structures.skeleton import COCO_PERSON

SIZE, STRIDES = 128, (8, 16, 32)
PRIORS = grid_priors([(SIZE // s, SIZE // s) for s in STRIDES], STRIDES)
SIGMAS = torch.tensor(COCO_PERSON.sigmas)


def make_batch(seed, counts, classes=1, unlabeled=0.0):
    """Random instances and predictions near them, as in the middle of a training."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    batch, most, n = len(counts), max(counts), len(PRIORS)
    corner, size = rand(batch, most, 2) * 90, rand(batch, most, 2) * 50 + 8
    boxes = torch.cat([corner, corner + size], -1)
    keypoints = corner[:, :, None] + size[:, :, None] * rand(batch, most, 17, 2)
    labeled = (rand(batch, most, 17) > 0.3) & (rand(batch, most, 1) >= unlabeled)
    valid = torch.arange(most) < torch.tensor(counts)[:, None]
    near = torch.randint(0, max(most, 1), (batch, n), generator=generator)
    rows = torch.arange(batch)[:, None]
    noise = torch.randn(batch, n, 4, generator=generator) * 5
    pred_boxes = (boxes[rows, near] if most else torch.zeros(batch, n, 4)) + noise
    pred_boxes[..., 2:] = torch.maximum(pred_boxes[..., 2:], pred_boxes[..., :2] + 1)
    pred_keypoints = torch.randn(batch, n, 17, 2, generator=generator) * 4
    if most:
        pred_keypoints += keypoints[rows, near]
    return {
        "priors": PRIORS,
        "pred_boxes": pred_boxes,
        "class_logits": torch.randn(batch, n, classes, generator=generator),
        "objectness_logits": torch.randn(batch, n, generator=generator),
        "boxes": boxes,
        "labels": torch.randint(0, classes, (batch, most), generator=generator),
        "valid": valid,
        "pred_keypoints": pred_keypoints,
        "keypoints": keypoints,
        "labeled": labeled,
        "areas": size.prod(-1) * 0.53,
        "sigmas": SIGMAS,
    }


def assign(batch, settings=SimOTASettings()):
    """Call ``simota`` with the tensors of a batch in its structures."""
    pose = None
    if batch["keypoints"] is not None:
        pose = KeypointTargets(batch["keypoints"], batch["labeled"].to(torch.uint8), batch["areas"])
    outputs = (batch["class_logits"], batch["objectness_logits"], batch["pred_boxes"], batch["pred_keypoints"])
    targets = Targets(batch["boxes"], batch["labels"], batch["valid"], pose)
    return simota(DecodedOutputs(*outputs), targets, batch["priors"], sigmas=batch["sigmas"], settings=settings)


def detection_only(batch):
    pose = ("pred_keypoints", "keypoints", "labeled", "areas", "sigmas")
    return {key: None if key in pose else value for key, value in batch.items()}


def reference(batch, image, settings):
    pose = batch["pred_keypoints"] is not None
    gt = []
    for g in range(int(batch["valid"][image].sum())):
        one = {"box": batch["boxes"][image, g].tolist(), "label": int(batch["labels"][image, g])}
        if pose:
            one |= {
                "keypoints": batch["keypoints"][image, g].tolist(),
                "labeled": batch["labeled"][image, g].tolist(),
                "area": batch["areas"][image, g].item(),
            }
        gt.append(one)
    return simota_one_image(
        PRIORS.tolist(),
        batch["pred_boxes"][image].tolist(),
        batch["class_logits"][image].sigmoid().tolist(),
        batch["objectness_logits"][image].sigmoid().tolist(),
        gt,
        settings,
        batch["pred_keypoints"][image].tolist() if pose else None,
        COCO_PERSON.sigmas,
    )


def assert_as_expected(found, image, expected):
    for instance, overlap, acceptable in zip(found.instance[image].tolist(), found.overlap[image].tolist(), expected):
        assert instance in acceptable
        assert overlap == pytest.approx(acceptable[instance], abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings",
    [
        SimOTASettings(),
        SimOTASettings(dynamic_k="iou"),
        SimOTASettings(iou_weight=2, class_weight=0.5, oks_weight=1, center_radius=1.5, prior_offset=0.5),
    ],
    ids=["default", "k-from-iou", "other-weights"],
)
def test_pose_equals_the_brute_force_reference(seed, settings):
    batch = make_batch(seed, [0, 1, 3, 9], unlabeled=0.3)
    found = assign(batch, settings)
    for image in range(4):
        assert_as_expected(found, image, reference(batch, image, settings))


@pytest.mark.parametrize("seed", range(3))
def test_detection_of_many_classes_equals_the_brute_force_reference(seed):
    settings = SimOTASettings(dynamic_k="iou", prior_offset=0.5)
    batch = detection_only(make_batch(seed, [2, 6], classes=5))
    found = assign(batch, settings)
    for image in range(2):
        assert_as_expected(found, image, reference(batch, image, settings))


def assert_as_mmpose(batch, settings):
    """mmpose's penalty quantises costs outside centres to 0.008, which moves a few priors."""
    found = assign(batch, settings)
    for image, count in enumerate(batch["valid"].sum(1).tolist()):
        instance, overlap = assign_by_mmpose(batch, image, settings.dynamic_k)
        same = found.instance[image] == instance
        assert same.float().mean() > 0.995
        positive = same & (found.instance[image] >= 0)
        assert positive.sum() >= count
        assert torch.allclose(found.overlap[image][positive], overlap[positive], atol=1e-5)


@pytest.mark.parametrize("indicator", ["oks", "iou"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_mmpose(seed, indicator):
    batch = make_batch(seed, [5, 8])
    batch["labeled"][:, :, 0] = True
    assert_as_mmpose(batch, SimOTASettings(dynamic_k=indicator))


@pytest.mark.parametrize("indicator", ["oks", "iou"])
def test_equals_mmpose_on_real_people_and_predictions(shared_data, indicator):
    """Boxes and scores of the published detector, poses somewhere inside the boxes, as early in a fine-tuning."""
    batch = make_real_batch(shared_data, images=8)
    assert batch["valid"].any(1).all()
    assert_as_mmpose(batch, SimOTASettings(dynamic_k=indicator))


def make_real_batch(shared_data, images):
    """People with labeled keypoints of the first images that have some, and a detector's predictions of them."""
    from mmengine.dataset import pseudo_collate

    from yolox_pose.config import load_config
    from yolox_pose.models.loading import load_model
    from yolox_pose.models.targets import collect_targets
    from yolox_pose.ops import decode_boxes
    from yolox_pose.registry import DATASETS

    folder = shared_data / "coco_persons"
    dataset = load_config("finetune/yolox-pose_nano_1xb16-30e_custom-416").train_dataloader.dataset
    dataset.update(data_root=str(folder), ann_file="annotations/val.json", input_size=(256, 256))
    dataset.update(min_keypoints=1, indices=40)
    people = DATASETS.build(dataset)
    detector = load_model("yolox_nano_8xb8-300e_coco", shared_data / "weights" / "yolox_nano_coco_mmdet.pth", "cpu")
    data = detector.data_preprocessor(pseudo_collate([people[i] for i in range(images)]))
    with torch.no_grad():
        features = detector.extract_feat(data["inputs"])
        raw, priors = detector.head(features), detector.head.priors(features)
    targets = collect_targets(data["data_samples"], priors, 17)
    boxes = decode_boxes(raw.boxes, priors)
    corner, size = boxes[:, :, None, :2], (boxes[..., 2:] - boxes[..., :2])[:, :, None]
    return {
        "priors": priors,
        "pred_boxes": boxes,
        "class_logits": raw.classes[..., :1],
        "objectness_logits": raw.objectness,
        "boxes": targets.boxes,
        "labels": targets.labels,
        "valid": targets.valid & targets.pose.labeled.any(-1),
        "pred_keypoints": corner + size * torch.rand(*boxes.shape[:2], 17, 2),
        "keypoints": targets.pose.keypoints,
        "labeled": targets.pose.labeled,
        "areas": targets.pose.areas,
        "sigmas": SIGMAS,
    }


def test_result_does_not_depend_on_the_batch_or_the_chunks(monkeypatch):
    batch = make_batch(7, [3, 0, 9, 1], unlabeled=0.3)
    together = assign(batch)
    monkeypatch.setitem(importlib.import_module("yolox_pose.ops.simota").CHUNK_ELEMENTS, "cpu", 1)
    one_by_one = assign(batch)
    assert torch.equal(together.instance, one_by_one.instance)
    assert torch.allclose(together.overlap, one_by_one.overlap, atol=1e-6)


def test_no_instances_at_all():
    found = assign(make_batch(0, [0, 0]))
    assert (found.instance == -1).all()
    assert (found.overlap == 0).all()


def test_an_instance_outside_the_grid_gets_nothing():
    batch = make_batch(0, [1])
    batch["boxes"][:] = torch.tensor([500.0, 500.0, 510.0, 510.0])
    assert (assign(batch).instance == -1).all()


def test_predictions_that_are_not_numbers_do_not_spread():
    batch = make_batch(3, [4])
    batch["pred_boxes"][0, ::3] = torch.nan
    batch["pred_keypoints"][0, ::5] = torch.inf
    found = assign(batch)
    assert (found.instance >= 0).any()
    assert torch.isfinite(found.overlap).all()


def test_unknown_indicator_is_named():
    with pytest.raises(ValueError, match="'giou'"):
        assign(make_batch(0, [1]), SimOTASettings(dynamic_k="giou"))
