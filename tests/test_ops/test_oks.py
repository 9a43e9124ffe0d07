import math

import pytest
import torch

from yolox_pose.ops import decode_keypoints, encode_keypoints, keypoint_oks, pairwise_oks
from yolox_pose.structures.skeleton import COCO_PERSON

SIGMAS = torch.tensor(COCO_PERSON.sigmas)


def reference_oks(pred, target, labelled, area, sigmas):
    """COCO's definition, one keypoint after the other, in Python floats."""
    values = [
        math.exp(-((px - tx) ** 2 + (py - ty) ** 2) / (2 * area * (2 * sigma) ** 2))
        for (px, py), (tx, ty), label, sigma in zip(pred, target, labelled, sigmas)
        if label
    ]
    return sum(values) / len(values) if values else 0.0


def random_poses(seed, pairs):
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(*pairs, 17, 2, generator=generator) * 200
    pred = target + torch.randn(*pairs, 17, 2, generator=generator) * 6
    labelled = torch.rand(*pairs, 17, generator=generator) > 0.4
    areas = torch.rand(*pairs, generator=generator) * 5000 + 200
    return pred, target, labelled, areas


def test_one_keypoint_by_hand():
    # d = 3, area = 9, sigma = 0.5: exp(-9 / (2 * 9 * 1)) = exp(-1/2)
    value = keypoint_oks(
        torch.tensor([[[3.0, 0.0]]]), torch.zeros(1, 1, 2), torch.ones(1, 1), torch.tensor([9.0]), torch.tensor([0.5])
    )
    assert value.item() == pytest.approx(math.exp(-0.5))


def test_equal_to_the_brute_force_reference():
    pred, target, labelled, areas = random_poses(0, (12,))
    values = keypoint_oks(pred, target, labelled, areas, SIGMAS)
    for i in range(12):
        args = (pred[i].tolist(), target[i].tolist(), labelled[i].tolist(), areas[i].item(), COCO_PERSON.sigmas)
        assert values[i].item() == pytest.approx(reference_oks(*args), abs=1e-5)


def test_pairwise_equals_one_by_one():
    pred, *_ = random_poses(1, (2, 5))
    _, target, labelled, areas = random_poses(2, (2, 3))
    pairs = pairwise_oks(pred, target, labelled, areas, SIGMAS)
    assert pairs.shape == (2, 5, 3)
    for b in range(2):
        for m in range(5):
            for g in range(3):
                one = keypoint_oks(pred[b, m], target[b, g], labelled[b, g], areas[b, g], SIGMAS)
                assert pairs[b, m, g].item() == pytest.approx(one.item(), abs=1e-6)


def test_nothing_labelled_is_zero_and_has_a_finite_gradient():
    pred = torch.randn(2, 17, 2, requires_grad=True)
    oks = keypoint_oks(pred, torch.zeros(2, 17, 2), torch.zeros(2, 17), torch.zeros(2), SIGMAS)
    oks.sum().backward()
    assert oks.tolist() == [0.0, 0.0]
    assert torch.isfinite(pred.grad).all()


def test_gradient_is_right():
    pred, target, labelled, areas = (t.double() if t.is_floating_point() else t for t in random_poses(3, (2,)))
    pred = (target + (pred - target) / 3).requires_grad_()
    keypoint_oks(pred, target, labelled, areas, SIGMAS).sum().backward()
    step = 0.05
    moved = pred.detach().clone()
    moved[0, 5, 0] += step
    values = [keypoint_oks(p, target, labelled, areas, SIGMAS)[0].item() for p in (moved, pred.detach())]
    assert pred.grad[0, 5, 0].item() == pytest.approx((values[0] - values[1]) / step, abs=2e-3)


def test_keypoint_coding_by_hand_and_round_trip():
    priors = torch.tensor([[16.0, 24.0, 8.0]])
    decoded = decode_keypoints(torch.tensor([[1.0, -1.0, 0.5, 0.25]]), priors)
    assert decoded.tolist() == [[[24.0, 16.0], [20.0, 26.0]]]
    assert torch.equal(encode_keypoints(decoded, priors), torch.tensor([[1.0, -1.0, 0.5, 0.25]]))
