"""Keeping a detector while a model learns: what is read, remembered and refused."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData  # noqa: E402
from mmpose.structures import PoseDataSample  # noqa: E402

from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, build
from yolox_pose.checkpoints import write_checkpoint  # noqa: E402
from yolox_pose.checkpoints.preprocessing import LEGACY  # noqa: E402
from yolox_pose.config import load_config  # noqa: E402
from yolox_pose.engine.hooks import DistillationHook  # noqa: E402
from yolox_pose.errors import DataError, UsageError  # noqa: E402


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """(file, model) of a detector of two classes."""
    path = tmp_path_factory.mktemp("detector") / "detector.pth"
    model = build(DETECTOR.format("nano"), num_classes=2)
    write_checkpoint(path, model.state_dict(), {"dataset_meta": {"classes": ["dog", "person"]}})
    return str(path), model


IMAGES = 255 * torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def samples():
    """Annotations of two images without people."""
    nobody = {"bboxes": (0, 4), "labels": (0,), "keypoints": (0, 17, 2), "keypoints_visible": (0, 17), "areas": (0,)}
    found = []
    for _ in IMAGES:
        sample = PoseDataSample()
        sample.gt_instance_labels = InstanceData(**{key: torch.zeros(shape) for key, shape in nobody.items()})
        sample.gt_instance_labels.labels = torch.zeros(0, dtype=torch.long)
        found.append(sample)
    return found


def runner(start=None, resume=False, size="nano", config=None):
    name = config or POSE.format(size)
    dataset = SimpleNamespace(metainfo={"classes": ["person"]})
    return SimpleNamespace(
        model=build(name),
        cfg=load_config(name),
        logger=logging.getLogger("test"),
        train_dataloader=SimpleNamespace(dataset=dataset),
        _resume=resume,
        _load_from=start,
    )


def test_the_start_is_kept_with_the_row_of_its_class_and_without_keypoints(detector):
    path, model = detector
    run, hook = runner(path), DistillationHook(score=1.5, box=2)
    hook.before_train(run)
    kept, weights = run.model._teacher
    assert weights == (1.5, 2) and kept.head.num_keypoints == 0
    assert not kept.training and not any(p.requires_grad for p in kept.parameters())
    rows = kept.head.head_module.out_cls[1].weight, model.head.head_module.out_cls[1].weight
    assert torch.equal(rows[0][0], rows[1][1])
    assert torch.equal(kept.backbone.stem.conv.conv.weight, model.backbone.stem.conv.conv.weight)


def test_the_detector_is_no_part_of_the_model(detector):
    run = runner(detector[0])
    before = list(run.model.state_dict())
    DistillationHook().before_train(run)
    assert list(run.model.state_dict()) == before
    run.model.train()
    assert not run.model._teacher[0].training


def test_the_losses_hold_the_model_at_what_the_detector_says(detector):
    run = runner(detector[0])
    plain = run.model.loss(IMAGES, samples()).keys()
    DistillationHook().before_train(run)
    kept = run.model._teacher[0]
    apart = run.model.loss(IMAGES, samples())
    assert apart.keys() - plain == {"loss_distill_score", "loss_distill_box"}
    run.model.load_state_dict(kept.state_dict(), strict=False)
    same = run.model.eval().loss(IMAGES, samples())
    for key in apart.keys() - plain:
        assert 0 <= same[key] < 1e-6 < apart[key], key


def test_a_resumed_run_keeps_what_it_kept(detector):
    hook, saved = DistillationHook(), {}
    hook.before_train(runner(detector[0]))
    hook.before_save_checkpoint(None, saved)
    run, resumed = runner("epoch_3.pth", resume=True), DistillationHook()
    resumed.after_load_checkpoint(run, saved)
    resumed.before_train(run)
    assert run.model._teacher is not None and resumed.checkpoint == detector[0]
    with pytest.raises(DataError, match="has no teacher"):
        DistillationHook().before_train(runner("epoch_3.pth", resume=True))


def test_what_does_not_fit_is_refused(detector, tmp_path):
    with pytest.raises(DataError, match="has no teacher"):
        DistillationHook().before_train(runner())
    with pytest.raises(DataError, match=r"detector\.pth does not fit .* of size nano, the model tiny"):
        DistillationHook(detector[0]).before_train(runner(size="tiny"))
    with pytest.raises(UsageError, match="does not exist"):
        DistillationHook("nothing.pth").before_train(runner())
    other = tmp_path / "rgb.pth"
    meta = {"classes": ["dog", "person"], "preprocessing": dict(LEGACY)}
    write_checkpoint(other, detector[1].state_dict(), {"dataset_meta": meta})
    with pytest.raises(DataError, match=r"rgb\.pth expects another normalization"):
        DistillationHook(str(other)).before_train(runner())
