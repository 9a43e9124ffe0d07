"""A very small pose model as config and checkpoint files, for tests of whole commands."""

from pathlib import Path

CONFIG = """
default_scope = 'yolox_pose'
norm = dict(type='BN', momentum=0.03, eps=0.001)
model = dict(
    type='yolox_pose.YOLOXPoseEstimator',
    data_preprocessor=dict(type='yolox_pose.YOLOXPoseDataPreprocessor'),
    backbone=dict(
        type='mmdet.CSPDarknet', deepen_factor=0.33, widen_factor=0.125, out_indices=(2, 3, 4), norm_cfg=norm,
        act_cfg=dict(type='SiLU', inplace=True)),
    neck=dict(
        type='mmdet.YOLOXPAFPN', in_channels=[32, 64, 128], out_channels=32, num_csp_blocks=1, norm_cfg=norm,
        act_cfg=dict(type='SiLU', inplace=True)),
    head=dict(
        type='yolox_pose.YOLOXPoseDecoupledHead', num_classes={num_classes}, skeleton={skeleton},
        keypoint_classes={keypoint_classes},
        head_module=dict(widen_factor=0.125)),
    test_cfg=dict(score_thr=0.01, nms_pre=300, nms_thr=0.65, max_per_img=20))
test_dataloader = dict(dataset=dict(
    type='yolox_pose.CocoPoseDataset',
    pipeline=[
        dict(type='yolox_pose.LoadBGRImage'),
        dict(type='yolox_pose.LetterboxResize', input_size={size}, centered={centered}),
        dict(type='yolox_pose.PackYOLOXPoseInputs')]))
"""


def write_config(
    folder: Path,
    *,
    skeleton="coco",
    num_classes=1,
    keypoint_classes=None,
    size=(128, 96),
    centered=True,
    name="tiny.py",
) -> Path:
    """Write the config of a tiny model; ``skeleton=None`` is plain detection."""
    path = Path(folder) / name
    settings = {"skeleton": skeleton, "keypoint_classes": keypoint_classes, "size": size, "centered": centered}
    path.write_text(CONFIG.format(num_classes=num_classes, **{key: repr(value) for key, value in settings.items()}))
    return path


def write_checkpoint(config: Path, path: Path, dataset_meta: dict | None = None, *, spread: float = 0.02) -> Path:
    """Write random weights that find something: scores around 0.5, the nearer the smaller ``spread``."""
    import torch

    from yolox_pose.registry import MODELS  # isort: skip
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    torch.manual_seed(0)
    init_default_scope("yolox_pose")
    model = MODELS.build(Config.fromfile(config).model)
    _calibrate(model)
    for name, layers in model.head.head_module.named_children():
        if name.startswith("out_"):
            for layer in layers:  # an untrained network's features are large on images unlike the clouds
                layer.weight.data *= spread
                layer.bias.data.zero_()
    torch.save({"meta": {"dataset_meta": dataset_meta or {}}, "state_dict": model.state_dict()}, path)
    return path


def _calibrate(model) -> None:
    """Give batch norm the statistics of cloudy images, so that activations neither vanish nor explode."""
    import torch
    from torch.nn.functional import interpolate

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    clouds = sum(interpolate(torch.rand(4, 3, 3 * n, 4 * n) * 85, size=(96, 128)) for n in (1, 4, 16))
    with torch.no_grad():
        model.train().head.head_module(model.extract_feat(clouds))
    for norm in norms:
        norm.momentum = 0.03
    model.eval()
