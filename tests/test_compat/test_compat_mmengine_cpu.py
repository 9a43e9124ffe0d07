"""MMEngine on CPU: processes over gloo, and AMP in bfloat16."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper

from yolox_pose.errors import UsageError

pytestmark = pytest.mark.skipif(get_device() != "cpu", reason="MMEngine has an accelerator here: nothing is filled")


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(repo_root, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(repo_root)}
    result = subprocess.run(
        [*command, str(Path(__file__).with_name("ddp_worker.py")), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False)
    model(torch.arange(12.0).reshape(4, 3)).square().mean().backward()
    for rank in "01":
        found = torch.load(tmp_path / rank)
        assert found["backend"] == "gloo"
        torch.testing.assert_close(found["grad"], model.weight.grad)


def amp_wrapper(**kwargs):
    model = torch.nn.Linear(4, 1)
    return model, AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"dtype": "bfloat16"}, {"loss_scale": 512.0}, {"clip_grad": {"max_norm": 1.0}}])
def test_amp_steps_in_bfloat16(kwargs):
    model, wrapper = amp_wrapper(**kwargs)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_amp_state_goes_back_and_forth():
    _, wrapper = amp_wrapper()
    state = wrapper.state_dict()
    _, other = amp_wrapper()
    other.load_state_dict(state)


def test_amp_in_float16_says_that_it_needs_a_gpu():
    with pytest.raises(UsageError, match="bfloat16"):
        amp_wrapper(dtype="float16")
