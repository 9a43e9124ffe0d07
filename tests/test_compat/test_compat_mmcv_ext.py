"""The operators of ``mmcv._ext`` against textbook loops."""

import numpy as np
import pytest
import torch

from yolox_pose.compat import mmcv_ext


def random_boxes(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 2, generator=generator) * 100
    return torch.cat([corners, corners + 1 + torch.rand(n, 2, generator=generator) * 60], 1), torch.rand(
        n, generator=generator
    )


def iou(a, b, offset):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def textbook_nms(boxes, scores, threshold, offset):
    keep = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(iou(boxes[j], boxes[i], offset) <= threshold for j in keep):
            keep.append(i)
    return keep


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("n", [0, 1, 40, 700])
def test_nms_is_the_textbook_loop(n, offset):
    boxes, scores = random_boxes(n)
    scores = (scores * 20).round() / 20  # ties keep their order
    expected = textbook_nms(boxes.double().tolist(), scores.tolist(), 0.5, offset)
    assert mmcv_ext.nms(boxes, scores, 0.5, offset).tolist() == expected


def test_nms_keeps_a_box_that_only_a_suppressed_box_overlaps():
    chain = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    assert mmcv_ext.nms(chain, torch.tensor([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_mmcv_uses_it():
    from mmcv.ops import batched_nms, nms

    boxes, scores = random_boxes(50)
    dets, keep = nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(dets, np.ndarray)
    assert keep.tolist() == mmcv_ext.nms(boxes, scores, 0.5).tolist()
    labels = torch.arange(50) % 2
    _, keep = batched_nms(boxes, scores, labels, {"type": "nms", "iou_threshold": 0.5})
    per_class = [
        i
        for c in (0, 1)
        for i in torch.where(labels == c)[0][nms(boxes[labels == c], scores[labels == c], 0.5)[1]].tolist()
    ]
    assert sorted(keep.tolist()) == sorted(per_class)


def test_soft_nms_decays_by_hand():
    from mmcv.ops import soft_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
    scores = torch.tensor([0.9, 0.8, 0.1])
    dets, keep = soft_nms(boxes, scores, iou_threshold=0.3, min_score=0.01, method="linear")
    assert keep.tolist() == [0, 1, 2]
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.9, 0.8 * 0.5, 0.1]))
    dets, _ = soft_nms(boxes, scores, sigma=0.5, min_score=0.01, method="gaussian")
    torch.testing.assert_close(dets[:, 4], torch.tensor([0.9, 0.8 * float(np.exp(-0.5)), 0.1]))
    dets, keep = soft_nms(boxes, scores, iou_threshold=0.3, min_score=0.01, method="naive")
    assert keep.tolist() == [0, 2]


def test_another_operator_says_its_name_and_how_to_get_it():
    from mmcv.ops import RoIAlign

    with pytest.raises(NotImplementedError, match="'roi_align_forward'.*mmcv-lite.*built from source"):
        RoIAlign(2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))
