"""Hooks that show a training: warnings that are said once, curves that never end a run, pictures of fixed images."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.structures import InstanceData

from yolox_pose.engine.hooks import CurvesHook, TrainingChecksHook, ValPicturesHook
from yolox_pose.engine.hooks.checks import annotations_problem
from yolox_pose.errors import UsageError
from yolox_pose.structures.skeleton import COCO_PERSON


@pytest.fixture
def runner(tmp_path):
    """What the hooks look at, and the warnings."""
    warnings = []
    return SimpleNamespace(
        iter=99, epoch=10, max_epochs=30, work_dir=str(tmp_path), warnings=warnings,
        logger=SimpleNamespace(warning=warnings.append), message_hub=SimpleNamespace(log_scalars={}),
        model=torch.nn.Linear(1, 1), optim_wrapper=None,
    )  # fmt: skip


def records(boxes=2, visible=2, **more):
    values = {
        "boxes": np.tile(np.float32([4, 4, 40, 60]), (boxes, 1)),
        "visible": np.full((boxes, 17), visible, np.uint8),
        "classes": ("person",),
    }
    return type("Records", (SimpleNamespace,), {"__len__": lambda self: 5})(**values, **more)


def dataset(**kwargs):
    return SimpleNamespace(records=records(**kwargs), ann_file="a.json", skeleton=COCO_PERSON)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (dataset(), None),
        (dataset(boxes=0), "a.json: none of the 5 images has an annotation of the classes 'person'"),
        (dataset(visible=0), "a.json: none of the 2 annotations has a labelled keypoint"),
        (SimpleNamespace(ann_file="other"), None),
    ],
)
def test_annotations_that_teach_nothing(made, message):
    found = annotations_problem(made)
    assert found is None if message is None else found.startswith(message)


def test_boxes_alone_are_fine_without_a_skeleton():
    made = dataset(visible=0)
    made.skeleton = None
    assert annotations_problem(made) is None


def test_annotations_are_looked_at_once_and_inside_wrappers(runner):
    runner.train_dataloader = SimpleNamespace(dataset=SimpleNamespace(dataset=dataset(visible=0)))
    hook = TrainingChecksHook()
    hook.before_train(runner)
    hook.before_train(runner)
    assert len(runner.warnings) == 1 and "labelled keypoint" in runner.warnings[0]


@pytest.mark.parametrize(
    ("wrapper", "options", "capability", "warned"),
    [
        (AmpOptimWrapper, {"dtype": "bfloat16"}, "AVX2", 1),
        (AmpOptimWrapper, {"dtype": "bfloat16"}, "AVX512", 0),
        (AmpOptimWrapper, {"dtype": "bfloat16"}, "DEFAULT", 0),
        (OptimWrapper, {}, "AVX2", 0),
    ],
)
def test_bfloat16_where_it_is_slow_is_said_once(runner, monkeypatch, wrapper, options, capability, warned):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    runner.train_dataloader = SimpleNamespace(dataset=dataset())
    runner.optim_wrapper = wrapper(optimizer=torch.optim.SGD(runner.model.parameters(), 0.1), **options)
    hook = TrainingChecksHook()
    hook.before_train(runner)
    hook.before_train(runner)
    assert len(runner.warnings) == warned
    assert not warned or "train without --amp" in runner.warnings[0]


@pytest.mark.parametrize(("last", "warned"), [(0.0, True), (0.5, False)])
def test_steps_without_positives(runner, last, warned):
    hook = TrainingChecksHook(steps=100)
    runner.message_hub.log_scalars["train/positives"] = HistoryBuffer([2.0] * 20 + [0.0] * 99 + [last], [1] * 120)
    hook.after_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    assert len(runner.warnings) == warned
    assert not warned or "nothing was learned in the last 100 steps" in runner.warnings[0]


def test_too_few_steps_say_nothing(runner):
    runner.message_hub.log_scalars["train/positives"] = HistoryBuffer([0.0] * 50, [1] * 50)
    TrainingChecksHook(steps=100).after_train_iter(runner, 0)
    assert runner.warnings == []


@pytest.mark.parametrize(
    ("epoch", "max_epochs", "value", "warned"),
    [(9, 30, 0.0, 0), (10, 30, 0.0, 1), (10, 30, 0.01, 0), (4, 4, 0.0, 1), (10, 30, -1.0, 0)],
)
def test_an_ap_that_stays_at_nothing(runner, epoch, max_epochs, value, warned):
    runner.epoch, runner.max_epochs = epoch, max_epochs
    hook = TrainingChecksHook(epochs=10)
    for _ in range(2):
        hook.after_val_epoch(runner, {"coco/AP": value, "coco/AP50": 0.0})
    assert len(runner.warnings) == warned
    assert not warned or f"coco/AP is still 0 after {epoch} epochs" in runner.warnings[0]


def test_curves_that_cannot_be_drawn_are_one_warning(runner):
    hook = CurvesHook()
    hook.after_val_epoch(runner, {})
    hook.after_train(runner)
    assert len(runner.warnings) == 1 and runner.warnings[0].startswith("curves.png cannot be drawn: ")


def val_data(n=9, keypoints=17):
    img = np.full((64, 48, 3), 200, np.uint8)
    made = SimpleNamespace(
        image_ids=np.arange(n) + 100, classes=("person",), boxes=np.float32([[4, 4, 40, 60]] * n),
        labels=np.zeros(n, np.int64), keypoints=np.full((n, keypoints, 2), 20, np.float32),
        visible=np.full((n, keypoints), 2), rows=lambda i: slice(i, i + 1),
    )  # fmt: skip
    skeleton = COCO_PERSON if keypoints else None
    cls = type("Data", (SimpleNamespace,), {"__len__": lambda self: n})
    return cls(records=made, skeleton=skeleton, load_image=lambda i: img)


def sample(image_id, n, keypoints=17):
    instances = InstanceData(
        bboxes=torch.tensor([[4.0, 4.0, 40.0, 60.0]] * n).view(n, 4), scores=torch.linspace(0.9, 0.1, n),
        labels=torch.zeros(n, dtype=torch.long),
    )  # fmt: skip
    if keypoints:
        instances.keypoints, instances.keypoint_scores = torch.full((n, 17, 2), 30.0), torch.ones(n, 17)
    return SimpleNamespace(metainfo={"img_id": image_id}, pred_instances=instances)


@pytest.mark.parametrize("keypoints", [17, 0], ids=["pose", "detection"])
def test_the_same_few_images_every_time(runner, tmp_path, keypoints):
    runner.val_dataloader = SimpleNamespace(dataset=val_data(keypoints=keypoints))
    hook = ValPicturesHook(num=3)
    for runner.epoch in (2, 4):
        hook.before_val_epoch(runner)
        for start in (0, 5):
            outputs = [sample(100 + i, i % 3, keypoints) for i in range(start, min(start + 5, 9))]
            hook.after_val_iter(runner, 0, None, outputs)
    for epoch in (2, 4):
        folder = tmp_path / "val_pictures" / f"epoch_{epoch}"
        assert sorted(path.name for path in folder.iterdir()) == ["100.jpg", "104.jpg", "108.jpg"]
        drawn = [cv2.imread(str(folder / f"{100 + i}.jpg")).astype(int) for i in (0, 4)]
        assert drawn[0].shape == (84, 96, 3)
        assert np.ptp(drawn[0][30:, 50:]) < 30 and np.ptp(drawn[1][30:, 50:]) > 60  # nothing found, one found
        assert np.ptp(drawn[0][30:, :46]) > 60  # annotated


def test_pictures_that_cannot_be_asked_for(runner):
    with pytest.raises(UsageError, match="must be at least 1"):
        ValPicturesHook(num=0)
    runner.val_dataloader = SimpleNamespace(dataset=[1, 2])
    with pytest.raises(UsageError, match="not list"):
        ValPicturesHook().before_val_epoch(runner)
