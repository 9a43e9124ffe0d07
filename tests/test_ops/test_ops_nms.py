import pytest
import torch

from yolox_pose.ops import batched_nms, pairwise_iou
from yolox_pose.ops.nms import greedy_survivors


def greedy(boxes, scores, threshold, groups):
    """The textbook loop."""
    iou = pairwise_iou(boxes, boxes)
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i].item(), i)):
        if scores[i] > -torch.inf and all(iou[i, j] <= threshold or groups[i] != groups[j] for j in kept):
            kept.append(i)
    return sorted(kept)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.3, 0.65])
def test_equal_to_the_loop_for_crowded_batches(seed, threshold):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(3, 80, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + 10 + torch.rand(3, 80, 2, generator=generator) * 40], -1)
    scores = (torch.rand(3, 80, generator=generator) * 20).round() / 20  # with ties
    scores[:, 70:] = -torch.inf
    groups = torch.randint(0, 2, (3, 80), generator=generator)
    kept = batched_nms(boxes, scores, threshold, groups)
    for b in range(3):
        assert kept[b].nonzero()[:, 0].tolist() == greedy(boxes[b], scores[b], threshold, groups[b])


def test_a_chain_keeps_its_ends():
    # each box overlaps only its neighbours: the second goes, so the third stays
    boxes = torch.tensor([[0.0, 0, 10, 10], [4.0, 0, 14, 10], [8.0, 0, 18, 10]])
    assert batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.3).tolist() == [True, False, True]


def test_a_box_at_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0, 4, 2], [0.0, 0, 2, 2]])  # IoU 1/2
    assert batched_nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [True, True]
    assert batched_nms(boxes, torch.tensor([0.9, 0.8]), 0.49).tolist() == [True, False]


def test_no_boxes():
    assert batched_nms(torch.zeros(2, 0, 4), torch.zeros(2, 0), 0.5).shape == (2, 0)


def test_a_long_chain_needs_a_round_for_each_box():
    """Every box overlaps only the next one, so that every second box stays."""
    left = torch.arange(41.0)[:, None] * torch.tensor([4.0, 0.0])
    boxes = torch.cat([left, left + 10], -1)
    kept = batched_nms(boxes, torch.linspace(0.9, 0.1, 41), 0.3)
    assert kept.tolist() == [i % 2 == 0 for i in range(41)]


def test_a_relation_that_never_settles_ends(monkeypatch):
    """A candidate that suppresses itself would go on and off for ever."""
    monkeypatch.setattr(torch.Tensor, "triu", lambda self, diagonal=0: self)
    assert greedy_survivors(torch.ones(3, 3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)).shape == (3,)
