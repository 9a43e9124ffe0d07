import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yolox_pose.ops import aligned_iou, decode_boxes, encode_boxes, grid_priors, pairwise_iou
from yolox_pose.ops.boxes import LOG_EPS


def test_priors_of_two_levels_by_hand():
    priors = grid_priors([(1, 2), (1, 1)], [8, 16])
    assert priors.dtype == torch.float32
    assert priors.tolist() == [[0, 0, 8], [8, 0, 8], [0, 0, 16]]


def test_decode_by_hand():
    priors = torch.tensor([[16.0, 8.0, 8.0]])
    box = decode_boxes(torch.tensor([[0.5, 1.0, 0.0, torch.log(torch.tensor(2.0))]]), priors)
    # centre (16 + 4, 8 + 8), size (8, 16)
    assert box.tolist() == [[16.0, 8.0, 24.0, 24.0]]


@given(st.lists(st.floats(1, 600), min_size=4, max_size=4), st.sampled_from([8, 16, 32]))
def test_encode_is_the_inverse_of_decode(numbers, stride):
    x, y, w, h = numbers
    boxes = torch.tensor([[x, y, x + w, y + h]])
    priors = torch.tensor([[40.0, 80.0, float(stride)]])
    assert torch.allclose(decode_boxes(encode_boxes(boxes, priors), priors), boxes, atol=1e-2)


def test_a_box_without_extent_is_encoded_as_a_finite_number():
    encoded = encode_boxes(torch.tensor([[16.0, 8.0, 16.0, 8.0]]), torch.tensor([[16.0, 8.0, 8.0]]))
    assert encoded[0, :2].tolist() == [0, 0]
    assert encoded[0, 2:].tolist() == pytest.approx([math.log(LOG_EPS)] * 2)


def test_half_precision_outputs_are_decoded_in_float32():
    priors = grid_priors([(128, 128)], [8])
    encoded = torch.zeros(len(priors), 4, dtype=torch.float16)
    boxes = decode_boxes(encoded, priors)
    assert boxes.dtype == torch.float32
    # in fp16 the spacing above 512 is 0.5 px and 1016 - 4 + 0.25 would be lost
    encoded[:, 0] = 0.03125
    assert torch.equal(decode_boxes(encoded, priors)[:, 0], priors[:, 0] + 0.25 - 4)


def test_iou_by_hand():
    a = torch.tensor([[0.0, 0.0, 2.0, 2.0], [10.0, 10.0, 10.0, 10.0]])
    b = torch.tensor([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    assert pairwise_iou(a, b).tolist() == [[pytest.approx(1 / 7), 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert aligned_iou(a, b[:2]).tolist() == [pytest.approx(1 / 7), 0.0]


def test_aligned_is_the_diagonal_of_pairwise():
    corners = torch.rand(2, 20, 2, 2).sort(dim=2).values.flatten(2)
    assert torch.allclose(pairwise_iou(*corners).diagonal(), aligned_iou(*corners))


def test_empty_inputs_have_a_backward_pass():
    boxes = torch.zeros(0, 4, requires_grad=True)
    aligned_iou(boxes, torch.zeros(0, 4)).sum().backward()
    assert boxes.grad is not None
    assert pairwise_iou(boxes, torch.zeros(3, 4)).shape == (0, 3)
