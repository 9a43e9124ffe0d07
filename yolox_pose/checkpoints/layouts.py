"""Recognize the layouts of published YOLOX weights by their keys, and rename keys in both directions.

The parameters of all layouts correspond one to one, under different names. A layout is a list of pairs of name prefixes (here,
there). Megvii's layouts also have different names inside the blocks. All functions work on names, not on tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from yolox_pose.errors import DataError

HEAD = "head.head_module."
KEYPOINT_LAYERS = ("conv_pose", "out_kpt", "out_kpt_vis")
"""Layers of the head that only a model with keypoints has."""

CONSTANTS = re.compile(
    r"(^data_preprocessor\.|^(bbox_)?head\.(loss_oks|loss_pose|assigner_oks_calculator|assigner\.oks_calculator)\.sigmas$"
    r"|^ema_|^sigmas$)"
)
"""Keys that are not weights of the network: OKS constants, image statistics, and MMDetection 2's second copy of the weights
(``ema_``), which holds the weights without averaging when the file is written."""


class Layout(NamedTuple):
    """Naming scheme of weights.

    Attributes:
        name: Name on command lines.
        title: Name in messages.
        prefixes: Pairs of (prefix here, prefix there), whole parts of dotted names; other names stay as they are.
        inner: Whether blocks have Megvii's names inside.
        keypoints: Whether the layout has a keypoint branch.
        key: Key of the weights in a file.
    """

    name: str
    title: str
    prefixes: tuple[tuple[str, str], ...] = ()
    inner: bool = False
    keypoints: bool = True
    key: str = "state_dict"


_MMDET_BRANCHES = (
    (f"{HEAD}conv_cls", "cls_convs"),
    (f"{HEAD}conv_reg", "reg_convs"),
    (f"{HEAD}out_cls", "conv_cls"),
    (f"{HEAD}out_bbox", "conv_reg"),
    (f"{HEAD}out_obj", "conv_obj"),
)
_MMYOLO_BRANCHES = (
    *_MMDET_BRANCHES,
    (f"{HEAD}conv_pose", "pose_convs"),
    (f"{HEAD}out_kpt", "conv_offsets"),
    (f"{HEAD}out_kpt_vis", "conv_vis"),
)
_MMYOLO_NECK = (
    ("neck.reduce_layers.0", "neck.reduce_layers.2"),
    ("neck.top_down_blocks.0", "neck.top_down_layers.0.0"),
    ("neck.reduce_layers.1", "neck.top_down_layers.0.1"),
    ("neck.top_down_blocks.1", "neck.top_down_layers.1"),
    ("neck.downsamples", "neck.downsample_layers"),
    ("neck.bottom_up_blocks", "neck.bottom_up_layers"),
    ("neck.out_convs", "neck.out_layers"),
)
_MEGVII_HEAD = (
    ("neck.out_convs", "head.stems"),
    (f"{HEAD}conv_cls", "head.cls_convs"),
    (f"{HEAD}conv_reg", "head.reg_convs"),
    (f"{HEAD}out_cls", "head.cls_preds"),
    (f"{HEAD}out_bbox", "head.reg_preds"),
    (f"{HEAD}out_obj", "head.obj_preds"),
)
_MEGVII_BODY = (
    ("backbone.stem", "backbone.backbone.stem"),
    *((f"backbone.stage{i}", f"backbone.backbone.dark{i + 1}") for i in range(1, 5)),
    ("neck.reduce_layers.0", "backbone.lateral_conv0"),
    ("neck.top_down_blocks.0", "backbone.C3_p4"),
    ("neck.reduce_layers.1", "backbone.reduce_conv1"),
    ("neck.top_down_blocks.1", "backbone.C3_p3"),
    ("neck.downsamples.0", "backbone.bu_conv2"),
    ("neck.bottom_up_blocks.0", "backbone.C3_n3"),
    ("neck.downsamples.1", "backbone.bu_conv1"),
    ("neck.bottom_up_blocks.1", "backbone.C3_n4"),
)
DARKNET_BLOCKS = (1, 2, 8, 8, 4)
"""Residual blocks of the five stages of Darknet-53."""
_DARKNET_BODY = (
    ("backbone.conv1", "backbone.backbone.stem.0"),
    ("backbone.conv_res_block1.conv", "backbone.backbone.stem.1"),
    ("backbone.conv_res_block1.res0", "backbone.backbone.stem.2"),
    *((f"backbone.conv_res_block{d}.conv", f"backbone.backbone.dark{d}.0") for d in range(2, 6)),
    *(
        (f"backbone.conv_res_block{d}.res{i}", f"backbone.backbone.dark{d}.{i + 1}")
        for d in range(2, 6)
        for i in range(DARKNET_BLOCKS[d - 1])
    ),
    *((f"neck.spp.{i}", f"backbone.backbone.dark5.{i + 5}") for i in range(5)),
    *((f"neck.reduce_layers.{i}", f"backbone.out{i + 1}_cbl") for i in range(2)),
    *((f"neck.top_down_blocks.{i}", f"backbone.out{i + 1}") for i in range(2)),
)


def _under(prefix: str, branches: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((here, prefix + there) for here, there in branches)


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("yolox-pose", "this package"),
        Layout("mmpose", "MMPose's built-in YOLOX-Pose"),
        Layout("mmdet", "MMDetection YOLOX", _under("bbox_head.multi_level_", _MMDET_BRANCHES), keypoints=False),
        Layout(
            "mmyolo",
            "MMYOLO YOLOX or YOLOX-Pose (also MMPose's project of that name)",
            (*_MMYOLO_NECK, *_under("bbox_head.head_module.multi_level_", _MMYOLO_BRANCHES)),
        ),
        Layout("megvii", "Megvii YOLOX", (*_MEGVII_BODY, *_MEGVII_HEAD), inner=True, keypoints=False, key="model"),
        Layout(
            "megvii-darknet53",
            "Megvii YOLOX with Darknet-53",
            (*_DARKNET_BODY, *_MEGVII_HEAD),
            inner=True,
            keypoints=False,
            key="model",
        ),
    )
}
"""Layouts that are read and written, by name."""

NATIVE = LAYOUTS["yolox-pose"]
"""The layout of this package."""
RTMO_BACKBONE = Layout("rtmo", "RTMO, the backbone", keypoints=False)
"""RTMO's backbone is YOLOX's under our names. It is not among :data:`LAYOUTS`: nothing else of it can be read or written."""

_CSP = re.compile(
    r"^((?:backbone\.stage[123]\.1|backbone\.stage4\.2|neck\.(?:top_down|bottom_up)_blocks\.[01])\.)(.*)$"
)
"""Names of tensors inside CSP blocks: the block, and the rest of the name."""
_RESIDUAL = re.compile(r"^(backbone\.conv_res_block\d\.res\d\.)(.*)$")
_INSIDE_CSP = (("main_conv", "conv1"), ("short_conv", "conv2"), ("final_conv", "conv3"), ("blocks", "m"))
_INSIDE_RESIDUAL = (("conv1", "layer1"), ("conv2", "layer2"))
_DEPTHWISE = ((".depthwise_conv.", ".dconv."), (".pointwise_conv.", ".pconv."))


def find_layout(keys: Iterable[str], *, backbone_only: bool = False) -> Layout:
    """Recognize the layout of weights by their keys.

    Args:
        keys: Names of the tensors, without a leading ``module.``.
        backbone_only: Whether only the backbone is used. RTMO's has the names and the network of this package.

    Raises:
        DataError: If the layout is unknown, or known and not supported; the message gives the reason.
    """
    keys = list(keys)

    # Identify each layout by prefixes that no other layout has
    def any_starts(prefix: str) -> bool:
        return any(key.startswith(prefix) for key in keys)

    if any_starts("head.kpts_preds.") or any_starts("head.kpts_convs."):
        raise DataError(
            "these are weights of TI's edgeai-yolox, whose keypoint branch differs: two convolutions instead of "
            "four, x, y and confidence interleaved in one output, decoded as (2 * offset - 0.5 + grid) * stride"
        )
    if any_starts("head.dcc.") or any_starts("neck.fpn_blocks."):
        if backbone_only:
            return RTMO_BACKBONE
        raise DataError(
            "these are weights of RTMO, whose neck and head are not YOLOX's; its backbone is: 'yolox-pose train CONFIG "
            "--load-from W --only backbone' starts a training from it"
        )
    if any_starts("backbone.backbone."):
        return LAYOUTS["megvii-darknet53" if any_starts("backbone.out1_cbl.") else "megvii"]
    if any_starts("bbox_head.head_module.multi_level_") or any_starts("neck.top_down_layers."):
        return LAYOUTS["mmyolo"]
    if any_starts("bbox_head.multi_level_"):
        return LAYOUTS["mmdet"]
    if "head.loss_oks.sigmas" in keys:
        return LAYOUTS["mmpose"]
    if any_starts(HEAD) or any_starts("backbone.stage1.") or any_starts("backbone.conv_res_block1."):
        return NATIVE
    shown = ", ".join(f"'{key}'" for key in keys[:3])
    raise DataError(f"the names of its {len(keys)} tensors, such as {shown}, match no known YOLOX layout")


def import_name(key: str, layout: Layout) -> str | None:
    """Return this package's name of a layout's tensor; None for a constant (:data:`CONSTANTS`)."""
    if CONSTANTS.search(key):
        return None
    key = _replace_prefix(key, [(there, here) for here, there in layout.prefixes])
    if not layout.inner:
        return key
    for here, there in _DEPTHWISE:
        key = key.replace(there, here)
    return _rename_inside(key, lambda pair: (pair[1], pair[0]))


def export_name(key: str, layout: Layout) -> str | None:
    """Return a layout's name of this package's tensor; None if it has none (the keypoint branch in a detector's layout)."""
    if not layout.keypoints and key.startswith(tuple(f"{HEAD}{name}." for name in KEYPOINT_LAYERS)):
        return None
    if layout.inner:
        key = _rename_inside(key, lambda pair: pair)
        for here, there in _DEPTHWISE:
            key = key.replace(here, there)
    return _replace_prefix(key, layout.prefixes)


def _replace_prefix(key: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Replace the longest prefix that the key starts with."""
    matching = [(old, new) for old, new in pairs if key.startswith(old + ".")]
    if not matching:
        return key
    old, new = max(matching, key=lambda pair: len(pair[0]))
    return new + key[len(old) :]


def _rename_inside(key: str, direction: Callable[[tuple[str, str]], tuple[str, str]]) -> str:
    """Rename the first part of a name inside a block; blocks have this package's names."""
    for blocks, names in ((_CSP, _INSIDE_CSP), (_RESIDUAL, _INSIDE_RESIDUAL)):
        match = blocks.match(key)
        if match:
            return match[1] + _replace_prefix(match[2], [direction(pair) for pair in names])
    return key
