"""The Darknet-53 YOLOX: size, shapes, and its neck against the layers called one by one."""

import pytest
import torch
import torch.nn.functional as F

from tests.test_models.models_common import build_model
from yolox_pose.models import YOLOXDarknetNeck  # noqa: E402

MEGVII_PARAMETERS = 63_724_767
"""63.72 M in Megvii's README."""


@pytest.fixture(scope="module")
def model():
    return build_model("darknet53", name="yolox_{}_8xb8-300e_coco")


def test_number_of_parameters_is_megviis(model):
    assert sum(p.numel() for p in model.parameters()) == MEGVII_PARAMETERS


def test_layers_are_megviis(model):
    backbone = [len(getattr(model.backbone, f"conv_res_block{i}")) - 1 for i in range(1, 6)]
    assert backbone == [1, 2, 8, 8, 4]
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.03)}
    acts = [layer for layer in model.modules() if isinstance(layer, torch.nn.LeakyReLU)]
    assert len(acts) == len(norms) and {act.negative_slope for act in acts} == {0.1}
    assert not any(isinstance(layer, torch.nn.SiLU) for layer in model.modules())
    assert model.train().backbone.conv1.bn.training  # the peer freezes the statistics of its Darknet by default


def test_maps_have_the_width_of_the_head(model):
    with torch.no_grad():
        maps = model.eval().extract_feat(torch.zeros(2, 3, 64, 96))
        outputs = model.head(maps)
    assert [tuple(feature.shape) for feature in maps] == [(2, 256, 8, 12), (2, 256, 4, 6), (2, 256, 2, 3)]
    assert outputs.classes.shape == (2, 96 + 24 + 6, 80) and outputs.keypoints is None


def test_every_parameter_gets_a_gradient():
    neck = YOLOXDarknetNeck(in_channels=(8, 16, 32), out_channels=4)
    maps = [torch.randn(2, 8 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(3)]
    sum(feature.sum() for feature in neck(maps)).backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_the_neck_is_the_published_graph():
    """Megvii's forward pass written out: SPP, reduce, upsample, concatenate with the reduced map first."""
    neck = YOLOXDarknetNeck(in_channels=(8, 16, 32), out_channels=4).eval()
    fine, middle, coarse = (torch.randn(1, 8 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(3))
    with torch.no_grad():
        squeezed = neck.spp[2].conv1(neck.spp[1](neck.spp[0](coarse)))
        pooled = [F.max_pool2d(squeezed, kernel, 1, kernel // 2) for kernel in (5, 9, 13)]
        top = neck.spp[4](neck.spp[3](neck.spp[2].conv2(torch.cat([squeezed, *pooled], 1))))
        up = neck.reduce_layers[0](top).repeat_interleave(2, 2).repeat_interleave(2, 3)
        second = neck.top_down_blocks[0](torch.cat([up, middle], 1))
        up = neck.reduce_layers[1](second).repeat_interleave(2, 2).repeat_interleave(2, 3)
        third = neck.top_down_blocks[1](torch.cat([up, fine], 1))
        expected = [conv(level) for conv, level in zip(neck.out_convs, (third, second, top))]
        found = neck((fine, middle, coarse))
    assert all(torch.equal(a, b) for a, b in zip(found, expected))
    kernels = [[layer.conv.kernel_size[0] for layer in block] for block in neck.top_down_blocks]
    assert kernels == [[1, 3, 1, 3, 1]] * 2
