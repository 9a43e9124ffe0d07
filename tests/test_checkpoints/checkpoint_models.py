"""Models of the package for the tests of checkpoints: without storage, or with weights that find something."""

import contextlib
import io

import torch
from mmengine.registry import init_default_scope

from yolox_pose.cli.common import load_config
from yolox_pose.registry import MODELS

DETECTOR, POSE = "yolox_{}_8xb8-300e_coco", "yolox-pose_{}_8xb32-300e_coco"


def build(config, **head):
    """Model of a config's name; ``head`` changes settings of the head."""
    settings = load_config(config, {f"model.head.{key}": value for key, value in head.items()})
    init_default_scope("yolox_pose")
    with contextlib.redirect_stdout(io.StringIO()):
        return MODELS.build(settings.model)


def shapes(config, **head):
    """Names and shapes of a config's model, without storage."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in build(config, **head).state_dict().items()}


def randomize(model, seed=0):
    """Random weights and batch-norm statistics under which activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        noise = torch.rand(value.shape, generator=generator) if value.is_floating_point() else None
        if noise is None:
            continue
        if name.endswith("running_var") or (value.dim() == 1 and name.endswith("bn.weight")):
            value.copy_(0.75 + 0.5 * noise)
        elif value.dim() == 1:
            value.copy_(0.4 * noise - 0.2)
        else:
            value.copy_((2 * noise - 1) * (3.0 / value[0].numel()) ** 0.5)
    return model.eval()
