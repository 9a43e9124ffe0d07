import importlib
import sys
from pathlib import Path

import pytest
import torch

from yolox_pose.ops import SimOTASettings, grid_priors, simota
from yolox_pose.skeleton import COCO_PERSON

sys.path.insert(0, str(Path(__file__).parent))
from simota_reference import simota_one_image  # noqa: E402

SIZE, STRIDES = 128, (8, 16, 32)
PRIORS = grid_priors([(SIZE // s, SIZE // s) for s in STRIDES], STRIDES)
SIGMAS = torch.tensor(COCO_PERSON.sigmas)


def make_batch(seed, counts, classes=1, unlabelled=0.0):
    """Random instances and predictions near them, as in the middle of a training."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    batch, most, n = len(counts), max(counts), len(PRIORS)
    corner, size = rand(batch, most, 2) * 90, rand(batch, most, 2) * 50 + 8
    boxes = torch.cat([corner, corner + size], -1)
    keypoints = corner[:, :, None] + size[:, :, None] * rand(batch, most, 17, 2)
    labelled = (rand(batch, most, 17) > 0.3) & (rand(batch, most, 1) >= unlabelled)
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
        "labelled": labelled,
        "areas": size.prod(-1) * 0.53,
        "sigmas": SIGMAS,
    }


def detection_only(batch):
    pose = ("pred_keypoints", "keypoints", "labelled", "areas", "sigmas")
    return {key: None if key in pose else value for key, value in batch.items()}


def reference(batch, image, settings):
    pose = batch["pred_keypoints"] is not None
    gt = []
    for g in range(int(batch["valid"][image].sum())):
        one = {"box": batch["boxes"][image, g].tolist(), "label": int(batch["labels"][image, g])}
        if pose:
            one |= {
                "keypoints": batch["keypoints"][image, g].tolist(),
                "labelled": batch["labelled"][image, g].tolist(),
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
    batch = make_batch(seed, [0, 1, 3, 9], unlabelled=0.3)
    found = simota(**batch, settings=settings)
    for image in range(4):
        assert_as_expected(found, image, reference(batch, image, settings))


@pytest.mark.parametrize("seed", range(3))
def test_detection_of_many_classes_equals_the_brute_force_reference(seed):
    settings = SimOTASettings(dynamic_k="iou", prior_offset=0.5)
    batch = detection_only(make_batch(seed, [2, 6], classes=5))
    found = simota(**batch, settings=settings)
    for image in range(2):
        assert_as_expected(found, image, reference(batch, image, settings))


@pytest.mark.parametrize("indicator", ["oks", "iou"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_mmpose(seed, indicator):
    """With the same settings; mmpose's penalty quantises costs outside centres to 0.008, which moves a few of them."""
    pytest.importorskip("mmengine")
    from mmengine.structures import InstanceData
    from mmpose.models.task_modules.assigners import SimOTAAssigner, metric_calculators

    import yolox_pose.registry  # noqa: F401

    batch = make_batch(seed, [5, 8])
    batch["labelled"][:, :, 0] = True  # mmpose has no rule for people without labelled keypoints
    oks = metric_calculators.PoseOKS()
    oks.sigmas = SIGMAS
    peer = SimOTAAssigner(dynamic_k_indicator=indicator, oks_calculator=dict(type="mmpose.PoseOKS"),
                          iou_calculator=dict(type="mmpose.BBoxOverlaps2D"))  # fmt: skip
    peer.oks_calculator = oks
    found = simota(**batch, settings=SimOTASettings(dynamic_k=indicator))
    for image, count in enumerate([5, 8]):
        score = batch["class_logits"][image].sigmoid() * batch["objectness_logits"][image, :, None].sigmoid()
        result = peer.assign(
            InstanceData(
                bboxes=batch["pred_boxes"][image],
                scores=score.sqrt(),
                priors=torch.cat([PRIORS, PRIORS[:, 2:]], 1),
                keypoints=batch["pred_keypoints"][image],
                keypoints_visible=torch.ones(len(PRIORS), 17),
            ),
            InstanceData(
                bboxes=batch["boxes"][image, :count],
                labels=batch["labels"][image, :count],
                keypoints=batch["keypoints"][image, :count],
                keypoints_visible=batch["labelled"][image, :count].float(),
                areas=batch["areas"][image, :count],
            ),
        )
        same = found.instance[image] == result["gt_inds"] - 1
        assert same.float().mean() > 0.995
        positive = same & (found.instance[image] >= 0)
        assert positive.sum() >= count
        assert torch.allclose(found.overlap[image][positive], result["max_overlaps"][positive], atol=1e-5)


def test_result_does_not_depend_on_the_batch_or_the_chunks(monkeypatch):
    batch = make_batch(7, [3, 0, 9, 1], unlabelled=0.3)
    together = simota(**batch)
    monkeypatch.setitem(importlib.import_module("yolox_pose.ops.simota").CHUNK_ELEMENTS, "cpu", 1)
    one_by_one = simota(**batch)
    assert torch.equal(together.instance, one_by_one.instance)
    assert torch.allclose(together.overlap, one_by_one.overlap, atol=1e-6)


def test_no_instances_at_all():
    found = simota(**make_batch(0, [0, 0]))
    assert (found.instance == -1).all()
    assert (found.overlap == 0).all()


def test_an_instance_outside_the_grid_gets_nothing():
    batch = make_batch(0, [1])
    batch["boxes"][:] = torch.tensor([500.0, 500.0, 510.0, 510.0])
    assert (simota(**batch).instance == -1).all()


def test_predictions_that_are_not_numbers_do_not_spread():
    batch = make_batch(3, [4])
    batch["pred_boxes"][0, ::3] = torch.nan
    batch["pred_keypoints"][0, ::5] = torch.inf
    found = simota(**batch)
    assert (found.instance >= 0).any()
    assert torch.isfinite(found.overlap).all()


def test_unknown_indicator_is_named():
    with pytest.raises(ValueError, match="'giou'"):
        simota(**make_batch(0, [1]), settings=SimOTASettings(dynamic_k="giou"))
