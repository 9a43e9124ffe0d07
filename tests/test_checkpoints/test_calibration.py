"""Statistics of batch norms that are measured anew, by hand for the first layer, in layers that do not learn, too."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from yolox_pose.checkpoints.calibration import measure_norms


class Kept(nn.Sequential):
    """Layers that stay in evaluation, as the first ones of a backbone that does not learn."""

    def train(self, mode=True):
        return super().train(False)


def network(first=nn.Sequential):
    torch.manual_seed(0)
    layers = (
        first(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, momentum=0.03)),
        nn.SiLU(),
        nn.Conv2d(5, 4, 1),
        nn.BatchNorm2d(4),
    )
    model = nn.Sequential(*layers)
    model[0][1].running_mean.fill_(9.0)
    return model


BATCHES = [torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(count)) * 255 for count in (4, 2)]


@pytest.mark.parametrize("first", [nn.Sequential, Kept])
def test_norms_are_those_of_averaged_weights_also_in_layers_that_do_not_learn(first):
    expected = network()
    update_bn(BATCHES, expected)
    seen = [expected[0][0](batch).transpose(0, 1).flatten(1) for batch in BATCHES]
    by_hand = torch.stack([values.mean(1) for values in seen]).mean(0), torch.stack([v.var(1) for v in seen]).mean(0)
    model = network(first).train()
    weights = copy.deepcopy(list(model.parameters()))
    assert measure_norms(model, iter(BATCHES)) == 6
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[key], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close((model[0][1].running_mean, model[0][1].running_var), by_hand, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters()))
    assert not any(module.training for module in model.modules())
    assert [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm2d)] == [0.03, 0.1]


def test_no_images_to_measure_on():
    with pytest.raises(ValueError, match="no images"):
        measure_norms(nn.BatchNorm2d(2), [])
