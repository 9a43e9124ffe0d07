"""The losses that keep a detector: values by hand, gradients that lead back to it."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from yolox_pose.ops import DistillationWeights, HeadOutputs, decode_boxes, distillation_losses, grid_priors
from yolox_pose.ops.distillation import MIN_TEACHER_SCORE, log_scores

PRIORS = grid_priors([(4, 4), (2, 2)], [8, 16])
N = len(PRIORS)
ONES = DistillationWeights(1.0, 1.0)


def outputs(seed=0, classes=1, batch=2):
    generator = torch.Generator().manual_seed(seed)
    rand = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return HeadOutputs(rand(batch, N, classes), rand(batch, N), 0.3 * rand(batch, N, 4))


def test_a_model_that_is_the_detector_loses_nothing():
    losses = distillation_losses(outputs(), outputs(), PRIORS)
    assert losses.keys() == {"loss_distill_score", "loss_distill_box"}
    for value in losses.values():
        torch.testing.assert_close(value, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_values_by_hand():
    """One prior that the detector gives 0.5 * 0.8, a second below the limit; the model says 0.5 * 0.5 of both."""
    priors = torch.tensor([[0.0, 0.0, 8.0], [8.0, 0.0, 8.0]])
    logit = lambda p: math.log(p / (1 - p))  # noqa: E731
    wanted = HeadOutputs(
        torch.tensor([[[logit(0.5)], [logit(0.1)]]]), torch.tensor([[logit(0.8), logit(0.1)]]), torch.zeros(1, 2, 4)
    )
    wider = torch.tensor([[[0.0, 0.0, math.log(2), 0.0], [0.0, 0.0, math.log(9), 0.0]]])
    got = HeadOutputs(torch.zeros(1, 2, 1), torch.zeros(1, 2), wider)
    kl = lambda t, p: t * math.log(t / p) + (1 - t) * math.log((1 - t) / (1 - p))  # noqa: E731
    losses = distillation_losses(got, wanted, priors, ONES)
    assert 0.01 < MIN_TEACHER_SCORE < 0.4
    torch.testing.assert_close(
        losses["loss_distill_score"].item(), (kl(0.4, 0.25) + kl(0.01, 0.25)) / 1, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(losses["loss_distill_box"].item(), 0.4 * (1 - 0.5**2), atol=1e-5, rtol=0)
    halved = distillation_losses(got, wanted, priors, DistillationWeights(2.0, 3.0), reduce=lambda total: 2 * total)
    torch.testing.assert_close(halved["loss_distill_box"].item(), 3 * (1 - 0.5**2) / 2, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80))
def test_scores_are_exact_near_0_and_1(a, b):
    found = HeadOutputs(torch.tensor([[[a]]]), torch.tensor([[b]]), torch.zeros(1, 1, 4))
    yes, no = (value.item() for value in log_scores(found))
    score = 1 / (1 + math.exp(-a)) / (1 + math.exp(-b))
    rest = (math.exp(-a) + math.exp(-b) + math.exp(-a - b)) * score
    assert math.isclose(yes, math.log(score), rel_tol=1e-5, abs_tol=1e-5)
    assert math.isclose(no, math.log(rest), rel_tol=1e-5, abs_tol=1e-4)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_the_divergence_is_never_negative_and_sums_over_classes(seed, classes):
    got, wanted = outputs(seed, classes), outputs(seed + 1, classes)
    both = distillation_losses(got, wanted, PRIORS, ONES, reduce=torch.ones_like)
    assert both["loss_distill_score"] >= 0 and both["loss_distill_box"] >= 0
    alone = [
        distillation_losses(
            *(one._replace(classes=one.classes[..., [c]]) for one in (got, wanted)), PRIORS, ONES, torch.ones_like
        )
        for c in range(classes)
    ]
    torch.testing.assert_close(
        both["loss_distill_score"], sum(one["loss_distill_score"] for one in alone), rtol=1e-4, atol=1e-4
    )


def test_gradients_lead_back_to_the_detector():
    wanted = outputs(1)
    wanted = wanted._replace(objectness=wanted.objectness + 2)
    near = outputs(0)._replace(boxes=wanted.boxes + 0.3 * outputs(0).boxes)  # boxes apart have no gradient
    got = HeadOutputs(*(t.clone().requires_grad_() for t in near[:3]))
    optimizer = torch.optim.Adam(got[:3], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        sum(distillation_losses(got, wanted, PRIORS, ONES).values()).backward()
        optimizer.step()
    score = [log_scores(one)[0].exp() for one in (got, wanted)]
    assert (score[0] - score[1]).abs().max() < 0.02
    seen = score[1][..., 0] > 2 * MIN_TEACHER_SCORE
    boxes = [decode_boxes(one.boxes, PRIORS)[seen] for one in (got, wanted)]
    assert (boxes[0] - boxes[1]).abs().max() < 1.0


def test_nothing_seen_is_no_division_by_zero():
    dark = outputs()._replace(objectness=torch.full((2, N), -200.0))
    got = outputs(1)._replace(objectness=torch.full((2, N), -200.0, requires_grad=True))
    losses = distillation_losses(got, dark, PRIORS)
    sum(losses.values()).backward()
    assert all(torch.isfinite(value) for value in losses.values()) and torch.isfinite(got.objectness.grad).all()
