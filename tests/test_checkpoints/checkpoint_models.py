"""Models of the package for the tests of checkpoints: without storage, or with weights that find something."""

import contextlib
import io

import numpy as np
import torch
from mmengine.registry import init_default_scope

from yolox_pose.config import load_config
from yolox_pose.geometry.images import read_image
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.registry import MODELS

DETECTOR, POSE = "yolox_{}_8xb8-300e_coco", "yolox-pose_{}_8xb32-300e_coco"


OUTPUT_SPREAD = 0.1
"""Of the outputs' random weights: trained networks do not amplify what float32 rounds either."""


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


def randomize(model, run, seed=0):
    """Random weights, and random batch-norm statistics around those of ``run(model)``, so that activations stay alive.

    The outputs of classes and objectness get biases with which most priors pass a score threshold.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.data.uniform_(0.7, 1.3, generator=generator)
        norm.bias.data.uniform_(-0.3, 0.3, generator=generator)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            spread = 1.0 if module.bias is None else OUTPUT_SPREAD
            module.weight.data.normal_(0, spread * module.weight[0].numel() ** -0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.uniform_(-0.5, 0.5, generator=generator)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        run(model.train())
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        norm.running_mean += norm.running_var.sqrt() * (torch.rand(norm.num_features, generator=generator) - 0.5) * 0.2
        norm.running_var *= torch.rand(norm.num_features, generator=generator) * 0.4 + 0.9
    return model.eval()


def pixels(folder, size=(160, 160), centered=False):
    """(3, 3, H, W) float32 batch of three real images: wide, tall, nearly square."""
    pictures = [read_image(path) for path in sorted(folder.iterdir())]
    ratio = {i: picture.shape[1] / picture.shape[0] for i, picture in enumerate(pictures)}
    chosen = [max(ratio, key=ratio.get), min(ratio, key=ratio.get), min(ratio, key=lambda i: abs(ratio[i] - 1))]
    canvases = [
        letterbox_image(pictures[i], fit_letterbox(pictures[i].shape[1::-1], size, centered)).transpose(2, 0, 1)
        for i in chosen
    ]
    return torch.from_numpy(np.stack(canvases)).float()
