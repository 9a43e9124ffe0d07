import copy

import pytest
import torch
from torch import nn

from yolox_pose.engine.optim import MuonAdamW, YOLOXPoseOptimConstructor
from yolox_pose.engine.optim.muon import orthogonalize
from yolox_pose.models.head_module import YOLOXHeadModule

MUON = "yolox_pose.MuonAdamW"


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8), (2, 6, 6)], ids=["wide", "tall", "square"])
def test_orthogonalize_keeps_the_directions_and_evens_their_lengths(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.mT @ orthogonalize(matrices) @ right.mT
    lengths = inside.diagonal(dim1=-2, dim2=-1)
    assert lengths.min() > 0.6 and lengths.max() < 1.25
    assert torch.allclose(inside, torch.diag_embed(lengths), atol=1e-4)


def test_orthogonalize_of_zeros_is_zero():
    assert not orthogonalize(torch.zeros(1, 4, 3)).any()


def make(seed=0, **options):
    torch.manual_seed(seed)
    weights = [nn.Parameter(torch.randn(size)) for size in [(4, 6), (8, 3, 3, 3), (5,)]]
    groups = [{"params": weights[:2], "matrix": True}, {"params": weights[2:], "lr": 0.02}]
    return weights, MuonAdamW(groups, lr=0.01, weight_decay=0.1, **options)


def run(weights, optimizer, steps, start=0):
    for step in range(start, start + steps):
        generator = torch.Generator().manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("fused", [True, False])
def test_the_rest_is_adamw(fused):
    weights, optimizer = make(fused=fused)
    other = nn.Parameter(weights[2].detach().clone())
    adamw = torch.optim.AdamW([other], lr=0.02, weight_decay=0.1, fused=fused)
    for _ in range(3):
        run(weights, optimizer, 1)
        other.grad = weights[2].grad.clone()
        adamw.step()
    assert torch.equal(weights[2], other)


def test_matrices_take_steps_of_torch_muon():
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    weights, optimizer = make()
    start = weights[0].detach().clone()
    other = nn.Parameter(start.clone())
    muon = torch.optim.Muon([other], lr=0.1, weight_decay=0.01)  # the rate is 10 x 0.01, the decay 0.01 x 0.1 a step
    for step in range(4):
        run(weights, optimizer, 1, start=step)
        other.grad = weights[0].grad.clone()
        muon.step()
    change = (weights[0] - start).norm()
    assert (weights[0] - other).norm() < 0.05 * change  # torch's iterations are in bfloat16


def test_first_step_of_a_convolution():
    weights, optimizer = make()
    before = weights[1].detach().clone()
    run(weights, optimizer, 1)
    update = orthogonalize((weights[1].grad * (0.05 + 0.95 * 0.05)).reshape(1, 8, 27))
    expected = before * (1 - 0.01 * 0.1) - 0.01 * 10 * update.reshape(8, 3, 3, 3)
    assert torch.allclose(weights[1], expected, atol=1e-6)


def test_tall_matrices_take_longer_steps():
    weight = nn.Parameter(torch.zeros(8, 2))
    optimizer = MuonAdamW([{"params": [weight], "matrix": True}], lr=0.01, weight_decay=0)
    weight.grad = torch.eye(8, 2)
    optimizer.step()
    assert torch.allclose(weight.norm(dim=0), torch.full((2,), 0.1 * 2), rtol=0.35)


def test_memory_layout_does_not_matter():
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weights, optimizer = make()
        weights[1].data = weights[1].data.to(memory_format=layout)
        run(weights, optimizer, 3)
        results.append(weights[1].detach().contiguous())
    assert torch.equal(*results)


def test_a_step_that_found_inf_changes_nothing():
    weights, optimizer = make(fused=True)
    run(weights, optimizer, 2)
    saved = [w.detach().clone() for w in weights]
    momentum = [optimizer.state[w]["momentum_buffer"].clone() for w in weights[:2]]
    weights[0].grad[0, 0] = float("nan")
    weights[1].grad[0] = float("inf")
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(weights, saved))
    assert all(torch.equal(optimizer.state[w]["momentum_buffer"], m) for w, m in zip(weights, momentum))
    optimizer.found_inf = torch.tensor(0.0)
    run(weights, optimizer, 1)
    assert all(torch.isfinite(w).all() and not torch.equal(w, s) for w, s in zip(weights, saved))


def test_going_on_from_a_state_dict_is_exact():
    weights, optimizer = make()
    run(weights, optimizer, 2)
    state, values = copy.deepcopy(optimizer.state_dict()), [w.detach().clone() for w in weights]
    run(weights, optimizer, 2, start=2)
    others, other = make(seed=1)
    for target, value in zip(others, values):
        target.data.copy_(value)
    other.load_state_dict(state)
    run(others, other, 2, start=2)
    assert all(torch.equal(*pair) for pair in zip(weights, others))


def test_what_is_a_matrix_of_the_head():
    head = YOLOXHeadModule(1, 17, widen_factor=0.125, use_depthwise=True, pose_depthwise=False, num_levels=1)
    config = {"type": "OptimWrapper", "optimizer": {"type": MUON, "lr": 0.01}}
    optimizer = YOLOXPoseOptimConstructor(config, {"pose_lr_mult": 5})(head).optimizer
    names = {id(parameter): name for name, parameter in head.named_parameters()}
    found = {names[id(p)]: group["lr"] for group in optimizer.param_groups if group["matrix"] for p in group["params"]}
    pointwise = {f"conv_{part}.0.0.{i}.pointwise_conv.conv.weight": 0.01 for part in ("cls", "reg") for i in (0, 1)}
    pose = {f"conv_pose.0.0.{i}.conv.weight": 0.05 for i in range(4)}
    assert found == {name.replace(".0.0.", ".0.", 1): rate for name, rate in (pointwise | pose).items()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)


def test_skipped_steps_are_counted_once():
    head = YOLOXHeadModule(1, 2, widen_factor=0.125, num_levels=1)
    wrapper = YOLOXPoseOptimConstructor({"type": "OptimWrapper", "optimizer": {"type": MUON, "lr": 0.01}})(head)
    before = [p.detach().clone() for p in head.parameters()]
    for parameter in head.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    wrapper.optimizer.step()
    assert wrapper.optimizer.skip.skipped == 1
    assert all(torch.equal(p, b) for p, b in zip(head.parameters(), before))
