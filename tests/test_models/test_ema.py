"""The averaged weights are MMPose's, to the bit, in other kernels and without reading the counter."""

import pytest
import torch
from mmpose.engine.hooks.ema_hook import ExpMomentumEMA
from torch import nn

from yolox_pose.models import BatchedExpMomentumEMA


def make(cls, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))
    return model, cls(model, **{"momentum": 0.01, "gamma": 5, **options})


def train(model, average, steps):
    generator = torch.Generator().manual_seed(steps)
    for _ in range(steps):
        model(torch.randn(2, 3, 8, 8, generator=generator))  # moves the running statistics
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        average.update_parameters(model)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("options", [{}, {"update_buffers": True}, {"interval": 3, "update_buffers": True}], ids=str)
def test_averages_of_mmpose(options):
    pairs = [make(cls, **options) for cls in (BatchedExpMomentumEMA, ExpMomentumEMA)]
    for steps in (1, 6):
        for model, average in pairs:
            train(model, average, steps)
        assert_equal(*(average.state_dict() for _, average in pairs))


def test_the_counter_follows_loaded_weights():
    pairs = [make(cls, update_buffers=True) for cls in (BatchedExpMomentumEMA, ExpMomentumEMA)]
    model, other = make(ExpMomentumEMA, update_buffers=True)
    train(model, other, 4)
    for source, average in pairs:
        train(source, average, 2)
        average.load_state_dict(other.state_dict())
        train(source, average, 3)
    assert_equal(*(average.state_dict() for _, average in pairs))
    assert int(pairs[0][1].steps) == 7
