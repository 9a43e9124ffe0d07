"""Resumed runs follow the schedule of their config; a checkpoint of another training is refused."""

import copy

import pytest
import torch
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper
from torch import nn

from yolox_pose.engine.hooks.resume import TRAINED_WITH, adapt_schedule, check_optimizer, check_shapes
from yolox_pose.errors import UsageError
from yolox_pose.registry import PARAM_SCHEDULERS

EPOCH_LENGTH = 5


class Run:
    """The part of a runner that decides on learning rates."""

    def __init__(
        self, *, lr=0.1, epochs=4, factor=10.0, epoch_length=EPOCH_LENGTH, momentum=0.9, warmup=True, plateau=False
    ):
        torch.manual_seed(0)
        self.model, self.epoch_length = nn.Linear(2, 1), epoch_length
        groups = [{"params": [self.model.weight]}, {"params": [self.model.bias], "lr": lr * factor}]
        self.optim_wrapper = OptimWrapper(torch.optim.SGD(groups, lr=lr, momentum=momentum))
        configs = [
            {"type": "CosineAnnealingLR", "eta_min": lr * 0.01, "T_max": epochs, "by_epoch": True, "convert_to_iter_based": True},
            {"type": "MultiStepLR", "milestones": [epochs - 1], "by_epoch": True},
        ]  # fmt: skip
        if warmup:
            configs.insert(0, {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 7, "by_epoch": False})
        if plateau:
            configs = [{"type": "ReduceOnPlateauLR", "monitor": "AP"}]
        self.param_schedulers = [
            PARAM_SCHEDULERS.build(config, default_args={"optimizer": self.optim_wrapper, "epoch_length": epoch_length})
            for config in configs
        ]

    def train(self, epochs):
        """Train some epochs and return the learning rates of both groups in each iteration."""
        hook, rates = ParamSchedulerHook(), []
        for _ in range(epochs):
            for i in range(self.epoch_length):
                rates.append([group["lr"] for group in self.optim_wrapper.optimizer.param_groups])
                self.optim_wrapper.update_params(self.model(torch.ones(1, 2)).square().sum())
                hook.after_train_iter(self, i)
            hook.after_train_epoch(self)
        return rates

    def save(self, epoch):
        states = [scheduler.state_dict() for scheduler in self.param_schedulers]
        meta = {"epoch": epoch, "iter": epoch * self.epoch_length}
        meta[TRAINED_WITH] = {"optimizer": "SGD", "epoch_length": self.epoch_length}
        return copy.deepcopy({"optimizer": self.optim_wrapper.state_dict(), "param_schedulers": states, "meta": meta})

    def resume(self, checkpoint):
        """Load a checkpoint as the hook and MMEngine do, and return whether the hook changed it."""
        changed = adapt_schedule(checkpoint, self.optim_wrapper, self.param_schedulers, self.epoch_length)
        self.optim_wrapper.load_state_dict(checkpoint["optimizer"])
        for scheduler, state in zip(self.param_schedulers, checkpoint["param_schedulers"]):
            scheduler.load_state_dict(state)
        return changed


@pytest.mark.parametrize(
    "change",
    [{}, {"epochs": 6}, {"lr": 0.02}, {"factor": 3.0}, {"warmup": False}, {"momentum": 0.5}, {"epochs": 3, "lr": 0.3}],
    ids=str,
)
@pytest.mark.parametrize("done", [1, 2])
def test_a_resumed_run_has_the_learning_rates_of_one_that_was_never_stopped(change, done):
    first = Run()
    first.train(done)
    checkpoint = first.save(done)

    resumed, whole = Run(**change), Run(**change)
    assert resumed.resume(checkpoint) is bool(change)
    states = resumed.optim_wrapper.optimizer.state.values()
    assert [state["momentum_buffer"].abs().sum() > 0 for state in states] == [True, True]
    assert resumed.train(2) == whole.train(done + 2)[done * EPOCH_LENGTH :]
    for group in resumed.optim_wrapper.optimizer.param_groups:
        assert group["momentum"] == change.get("momentum", 0.9)


def test_equal_settings_leave_the_checkpoint_as_it_is():
    first = Run()
    first.train(2)
    checkpoint = first.save(2)
    before = copy.deepcopy(checkpoint)
    assert not adapt_schedule(checkpoint, Run().optim_wrapper, Run().param_schedulers, EPOCH_LENGTH)
    assert str(checkpoint) == str(before)


def test_another_epoch_length_keeps_the_epoch():
    """With half the batch size an epoch has twice the iterations."""
    first = Run()
    first.train(2)
    checkpoint = first.save(2)
    resumed, whole = Run(epoch_length=10), Run(epoch_length=10)
    assert resumed.resume(checkpoint)
    assert checkpoint["meta"]["iter"] == 20
    assert resumed.train(1) == whole.train(3)[20:]


def test_schedules_that_depend_on_validation_stay_those_of_the_checkpoint():
    first, resumed = Run(plateau=True), Run(plateau=True, lr=0.5)
    assert not resumed.resume(first.save(1))
    assert resumed.optim_wrapper.optimizer.param_groups[0]["lr"] == 0.1


def test_other_parameter_groups_are_refused():
    checkpoint, optimizer = Run().save(1), Run().optim_wrapper.optimizer
    check_optimizer(checkpoint, optimizer, "epoch_1.pth")
    fewer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(UsageError, match=r"epoch_1\.pth was trained with 2 parameters in 2 groups, this run trains 1 in 1\. "
                       r"Resume with .*--freeze-detector.* --load-from epoch_1\.pth"):  # fmt: skip
        check_optimizer(checkpoint, fewer, "epoch_1.pth")
    other = torch.optim.AdamW(optimizer.param_groups)
    with pytest.raises(UsageError, match="was trained with SGD, this run uses AdamW"):
        check_optimizer(checkpoint, other, "epoch_1.pth")


def test_another_model_is_refused():
    small, large = nn.Linear(2, 1).state_dict(), nn.Linear(3, 1).state_dict()
    check_shapes(small, small, "epoch_1.pth")
    for stored in (large, {"weight": small["weight"]}):
        with pytest.raises(UsageError, match=r"epoch_1\.pth holds another model than the config"):
            check_shapes(stored, small, "epoch_1.pth")
