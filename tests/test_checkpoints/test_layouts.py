"""Names of every layout against names that are built from the origin's own structure."""

import pytest

from tests.test_checkpoints.checkpoint_models import DETECTOR, POSE, shapes
from tests.test_checkpoints.layout_names import megvii, megvii_darknet53, mmyolo
from yolox_pose.checkpoints import LAYOUTS, export_name, find_layout, import_name  # noqa: E402
from yolox_pose.errors import DataError  # noqa: E402

SIZES = ("nano", "tiny", "s", "m", "l", "x")
ORIGINS = [
    *(pytest.param("megvii", megvii, (size,), DETECTOR.format(size), id=f"megvii-{size}") for size in SIZES),
    *(pytest.param("mmyolo", mmyolo, (size, False), DETECTOR.format(size), id=f"mmyolo-{size}") for size in SIZES[1:]),
    *(pytest.param("mmyolo", mmyolo, (size, True), POSE.format(size), id=f"mmyolo-pose-{size}") for size in SIZES[1:]),
    pytest.param("megvii-darknet53", megvii_darknet53, (), DETECTOR.format("darknet53"), id="megvii-darknet53"),
]


@pytest.mark.parametrize(("name", "names_of", "arguments", "config"), ORIGINS)
def test_every_tensor_has_one_name_on_either_side(name, names_of, arguments, config):
    theirs = names_of(*arguments)
    layout = find_layout(theirs)
    assert layout.name == name
    ours = [import_name(key, layout) for key in theirs]
    assert sorted(ours) == sorted(shapes(config))
    assert [export_name(key, layout) for key in ours] == theirs


@pytest.mark.parametrize("size", SIZES)
def test_mmdet_has_our_names_of_the_body(size):
    layout = LAYOUTS["mmdet"]
    ours = list(shapes(DETECTOR.format(size)))
    theirs = [export_name(key, layout) for key in ours]
    assert find_layout(theirs) is layout and len(set(theirs)) == len(ours)
    assert [import_name(key, layout) for key in theirs] == ours
    assert [key for key in ours if not key.startswith("head.")] == [k for k in theirs if not k.startswith("bbox_head.")]


@pytest.mark.parametrize(
    ("layout", "there", "ours"),
    [
        ("mmdet", "bbox_head.multi_level_conv_reg.2.bias", "head.head_module.out_bbox.2.bias"),
        ("mmdet", "bbox_head.multi_level_reg_convs.0.1.bn.bias", "head.head_module.conv_reg.0.1.bn.bias"),
        ("mmyolo", "neck.reduce_layers.2.conv.weight", "neck.reduce_layers.0.conv.weight"),
        ("mmyolo", "neck.top_down_layers.0.1.bn.bias", "neck.reduce_layers.1.bn.bias"),
        ("mmyolo", "neck.top_down_layers.1.blocks.1.conv1.bn.bias", "neck.top_down_blocks.1.blocks.1.conv1.bn.bias"),
        ("mmyolo", "bbox_head.head_module.multi_level_conv_vis.1.bias", "head.head_module.out_kpt_vis.1.bias"),
        ("mmyolo", "bbox_head.head_module.multi_level_conv_offsets.1.bias", "head.head_module.out_kpt.1.bias"),
        ("megvii", "backbone.backbone.dark5.1.conv1.conv.weight", "backbone.stage4.1.conv1.conv.weight"),
        ("megvii", "backbone.backbone.dark5.2.conv1.conv.weight", "backbone.stage4.2.main_conv.conv.weight"),
        ("megvii", "backbone.C3_n4.m.3.conv1.conv.weight", "neck.bottom_up_blocks.1.blocks.3.conv1.conv.weight"),
        ("megvii", "backbone.bu_conv1.pconv.bn.bias", "neck.downsamples.1.pointwise_conv.bn.bias"),
        ("megvii-darknet53", "backbone.backbone.dark3.8.layer2.bn.bias", "backbone.conv_res_block3.res7.conv2.bn.bias"),
        ("megvii-darknet53", "backbone.backbone.dark5.7.conv2.bn.bias", "neck.spp.2.conv2.bn.bias"),
    ],
)
def test_single_names(layout, there, ours):
    assert import_name(there, LAYOUTS[layout]) == ours
    assert export_name(ours, LAYOUTS[layout]) == there


@pytest.mark.parametrize(
    "key",
    [
        "head.loss_oks.sigmas",
        "bbox_head.loss_pose.sigmas",
        "bbox_head.assigner_oks_calculator.sigmas",
        "data_preprocessor.mean",
        "ema_backbone_stem_conv_conv_weight",
    ],
)
def test_constants_are_no_weights(key):
    assert all(import_name(key, layout) is None for layout in LAYOUTS.values())


def test_a_detectors_layout_has_no_keypoint_branch():
    for key in ("head.head_module.conv_pose.0.1.conv.weight", "head.head_module.out_kpt.0.bias",
                "head.head_module.out_kpt_vis.2.weight"):  # fmt: skip
        assert [export_name(key, LAYOUTS[name]) for name in ("mmdet", "megvii")] == [None, None]
        assert import_name(export_name(key, LAYOUTS["mmyolo"]), LAYOUTS["mmyolo"]) == key


def test_own_and_mmposes_files_are_told_apart_by_mmposes_constant():
    own = list(shapes(POSE.format("tiny")))
    assert find_layout(own).name == "yolox-pose"
    assert find_layout([*own, "head.loss_oks.sigmas"]).name == "mmpose"
    assert find_layout([key for key in own if key.startswith("backbone.")]).name == "yolox-pose"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["backbone.backbone.stem.conv.conv.weight", "head.kpts_preds.0.weight"], "edgeai-yolox.*two convolutions"),
        (
            ["layer1.0.conv1.weight", "fc.bias"],
            "its 2 tensors, such as 'layer1.0.conv1.weight', 'fc.bias', match no known YOLOX layout",
        ),
    ],
)
def test_other_networks_are_refused(keys, message):
    with pytest.raises(DataError, match=message):
        find_layout(keys)
