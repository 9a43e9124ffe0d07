import os
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from yolox_pose.engine.hooks import (
    AtomicCheckpointHook,
    BufferedRuntimeInfoHook,
    NonFiniteLossGuard,
    ProgressBarHook,
    TrainingPhaseHook,
)
from yolox_pose.engine.hooks.checkpoint import AtomicLocalBackend
from yolox_pose.engine.optim import YOLOXPoseOptimConstructor
from yolox_pose.engine.optim.constructor import ClipWithoutWaiting
from yolox_pose.errors import YOLOXPoseError
from yolox_pose.structures.phase import TrainingPhase


def make_runner(**kwargs):
    model = SimpleNamespace(data_preprocessor=SimpleNamespace(), head=SimpleNamespace())
    loader = SimpleNamespace(dataset=SimpleNamespace(), sampler=SimpleNamespace())
    runner = SimpleNamespace(
        model=model, train_dataloader=loader, max_epochs=10, epoch=0, iter=0, max_iters=20, seed=42,
        logger=SimpleNamespace(info=lambda text: None), optim_wrapper=SimpleNamespace(),
    )  # fmt: skip
    vars(runner).update(kwargs)
    return runner


@pytest.mark.parametrize("resumed_at", [0, 6, 7, 9])
def test_the_last_phase_depends_on_the_epoch_alone(resumed_at):
    lines = []
    hook = TrainingPhaseHook(num_last_epochs=3, full_size_last=True)
    runner = make_runner(epoch=resumed_at, logger=SimpleNamespace(info=lines.append))
    hook.before_train(runner)
    use_l1, full_size = [], []
    for runner.epoch in range(resumed_at, 10):
        hook.before_train_epoch(runner)
        use_l1.append(runner.model.head.phase.use_l1)
        full_size.append(runner.model.data_preprocessor.phase.full_size)
    assert use_l1 == full_size == [epoch >= 7 for epoch in range(resumed_at, 10)]
    assert [runner.train_dataloader.dataset.phase.is_last(epoch) for epoch in (6, 7)] == [False, True]
    assert lines == [f"Epoch {max(resumed_at, 7) + 1}: last phase, plain augmentation and L1 box loss"]


def test_one_phase_for_data_sampler_batch_sizes_and_head():
    hook, runner = TrainingPhaseHook(3), make_runner()
    hook.before_train(runner)
    loader, model = runner.train_dataloader, runner.model
    for part in (loader.dataset, loader.sampler, model.data_preprocessor, model.head):
        assert part.phase is hook.phase
    assert hook.phase.seed == 42


def test_no_last_phase():
    hook, runner = TrainingPhaseHook(0), make_runner(epoch=9)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    phase = runner.model.head.phase
    assert not (phase.use_l1 or phase.full_size or phase.is_last(9))


def test_the_phase_reaches_spawned_workers_with_the_data_set():
    phase = pickle.loads(pickle.dumps(TrainingPhase(seed=3, final_epoch=5)))
    assert phase.seed == 3 and [phase.is_last(epoch) for epoch in (4, 5)] == [False, True]


def test_guard_stops_after_several_failures_in_a_row_and_names_the_images():
    guard = NonFiniteLossGuard(patience=2, interval=1)
    runner = make_runner()
    guard.every_n_train_iters = lambda runner, n: True
    batch = {"data_samples": [SimpleNamespace(metainfo={"img_id": 17})]}
    guard.after_train_iter(runner, 0, batch, {"loss": torch.tensor(torch.nan)})
    guard.after_train_iter(runner, 1, batch, {"loss": torch.tensor(1.0)})  # not in a row
    guard.after_train_iter(runner, 2, batch, {"loss": torch.tensor(torch.inf)})
    with pytest.raises(YOLOXPoseError, match=r"images \[17\].*lower the learning rate"):
        guard.after_train_iter(runner, 3, batch, {"loss": torch.tensor(torch.nan)})


def test_a_failed_write_leaves_the_previous_file_whole(tmp_path, monkeypatch):
    backend, path = AtomicLocalBackend(), tmp_path / "epoch_1.pth"
    backend.put(b"first", path)

    def full_disk(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        backend.put(b"second", path)
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["epoch_1.pth"]


def test_checkpoints_go_through_the_atomic_backend():
    assert AtomicCheckpointHook(interval=1).backend_args == {"backend": "yolox_pose_atomic"}


def test_progress_bar_counts_and_shows(capsys):
    hook, runner = ProgressBarHook(), make_runner(iter=5)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    for _ in range(15):
        hook.after_train_iter(runner, 0, None, {"loss": torch.tensor(2.0)})
    hook.after_val_epoch(runner, {"coco/AP": 0.25})
    hook.after_train(runner)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "loss=2.000" in shown
    assert "AP=0.250" in shown


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.conv_pose = nn.Conv2d(4, 4, 1)
        self.out_kpt = nn.Conv2d(4, 2, 1)
        self.frozen = nn.Parameter(torch.zeros(1), requires_grad=False)


def build(**paramwise):
    config = {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.1, "weight_decay": 0.5}}
    return YOLOXPoseOptimConstructor(config, paramwise)(Model())


def test_parameters_with_equal_settings_share_a_group():
    groups = build(norm_decay_mult=0, bias_decay_mult=0, pose_lr_mult=6).optimizer.param_groups
    found = {
        (round(group["lr"], 9), group["weight_decay"]): sum(p.numel() for p in group["params"]) for group in groups
    }
    assert found == {
        (0.1, 0.5): 12,
        (0.1, 0.0): 4 + 8,
        (0.6, 0.5): 16 + 8,
        (0.6, 0.0): 4 + 2,
    }


def test_one_group_without_factors():
    assert len(build().optimizer.param_groups) == 1


def test_unknown_factor_is_named():
    with pytest.raises(ValueError, match="unknown keys \\['pose_lr'\\]"):
        build(pose_lr=6)


def test_optimizer_is_fused_unless_told_otherwise():
    assert build().optimizer.defaults["fused"] is True
    config = {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 0.1, "fused": False}}
    assert YOLOXPoseOptimConstructor(config)(Model()).optimizer.defaults["fused"] is False
    other = {"type": "OptimWrapper", "optimizer": {"type": "RMSprop", "lr": 0.1}}
    assert "fused" not in YOLOXPoseOptimConstructor(other)(Model()).optimizer.defaults


def test_fused_steps_equal_plain_ones():
    results = []
    for fused in (True, False):
        torch.manual_seed(0)
        model = Model()
        optimizer = {"type": "AdamW", "lr": 0.1, "weight_decay": 0.5, "fused": fused}
        wrapper = YOLOXPoseOptimConstructor({"type": "OptimWrapper", "optimizer": optimizer})(model)
        for _ in range(3):
            wrapper.update_params(model.out_kpt(model.conv_pose(model.stem(torch.ones(2, 3, 2, 2)))).square().sum())
        results.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.allclose(*results, atol=1e-6)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain"])
@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_a_step_with_gradients_that_are_no_numbers_changes_nothing_and_is_counted(kind, fused):
    model = nn.Linear(3, 1)
    optimizer = {"type": kind, "lr": 0.1, "fused": fused, **({"momentum": 0.9} if kind == "SGD" else {})}
    wrapper = YOLOXPoseOptimConstructor({"type": "OptimWrapper", "optimizer": optimizer})(model)
    weights = []
    for factor in (1.0, torch.nan, 1.0):
        wrapper.update_params((model(torch.ones(2, 3)) * factor).sum())
        weights.append(model.weight.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert torch.isfinite(weights[2]).all()
    assert int(wrapper.optimizer.skip.skipped) == 1


def test_guard_tells_how_many_steps_were_skipped():
    guard, lines = NonFiniteLossGuard(interval=1), []
    skip = SimpleNamespace(skipped=torch.tensor(2.0))
    runner = make_runner(
        optim_wrapper=SimpleNamespace(optimizer=SimpleNamespace(skip=skip)),
        logger=SimpleNamespace(warning=lines.append),
    )
    guard.every_n_train_iters = lambda runner, n: True
    for _ in range(2):
        guard.after_train_iter(runner, 0, {}, {"loss": torch.tensor(1.0)})
    assert len(lines) == 1 and "2 steps up to iteration 1 were skipped, 2 so far" in lines[0]


def test_gradients_are_clipped_every_time_and_the_norm_is_told_at_times():
    clip = ClipWithoutWaiting(torch.nn.utils.clip_grad_norm_, interval=3)
    told = []
    for _ in range(6):
        parameter = nn.Parameter(torch.zeros(2))
        parameter.grad = torch.tensor([3.0, 4.0])
        told.append(clip([parameter], max_norm=1.0))
        assert parameter.grad.norm() == pytest.approx(1.0, abs=1e-4)
    assert [norm is not None for norm in told] == [False, False, True] * 2
    assert told[2] == pytest.approx(5.0)


def test_losses_reach_the_log_in_order_and_complete():
    seen = []
    hub = SimpleNamespace(update_scalar=lambda key, value: seen.append((key, value)))
    runner = make_runner(message_hub=hub, hooks=[])
    runner.train_dataloader = range(7)
    hook = BufferedRuntimeInfoHook(interval=3)
    for batch_idx in range(7):
        runner.iter = batch_idx
        hook.after_train_iter(runner, batch_idx, None, {"loss": torch.tensor(float(batch_idx)), "rate": 0.5})
        assert len(seen) == {0: 0, 1: 0, 2: 6, 3: 6, 4: 6, 5: 12, 6: 14}[batch_idx]
    assert seen[::2] == [("train/loss", float(i)) for i in range(7)]
    assert seen[1::2] == [("train/rate", 0.5)] * 7
    hook.after_train_iter(runner, 0, None, {"loss": torch.tensor(9.0)})
    hook.before_save_checkpoint(runner, {})
    assert seen[-1] == ("train/loss", 9.0)
