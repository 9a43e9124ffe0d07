"""From a config and a checkpoint to a model that is ready to predict."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from yolox_pose.cli.common import load_config
from yolox_pose.compat.torch_load import load
from yolox_pose.errors import DataError, UsageError
from yolox_pose.registry import MODELS, SCOPE

from mmengine.config import Config  # isort: skip  (after the registry, which fills gaps of the stack)
from mmengine.registry import init_default_scope  # isort: skip

logger = logging.getLogger(__name__)


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Choose the device; ``auto`` takes a GPU where there is one.

    Raises:
        UsageError: If the device is unknown or not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise UsageError(f"unknown device '{device}'; use auto, cpu, cuda, cuda:0 or mps") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device '{device}' was asked for, but PyTorch {torch.__version__} finds no CUDA GPU; use cpu")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}' was asked for, but there are only {torch.cuda.device_count()} GPUs")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps' was asked for, but PyTorch finds no Apple GPU; use cpu")
    return found


def load_model(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> nn.Module:
    """Build a model, load its weights and switch it to evaluation.

    Args:
        config: File, name of a config of this package, or :class:`mmengine.Config`.
        checkpoint: File of weights; it is loaded as data, nothing in it runs. None leaves the weights random.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The model, with the attributes ``cfg`` and ``dataset_meta`` (that of the checkpoint, or an empty dict).

    Raises:
        UsageError: If config, checkpoint file or device are not there.
        DataError: If the checkpoint does not hold this model.
    """
    target = resolve_device(device)
    cfg = config if isinstance(config, Config) else load_config(os.fspath(config))
    if "model" not in cfg:
        raise UsageError(f"config {cfg.filename or ''} has no 'model'")
    if checkpoint is not None and not Path(checkpoint).is_file():
        raise UsageError(f"checkpoint {os.fspath(checkpoint)} does not exist")
    init_default_scope(cfg.get("default_scope", SCOPE))
    model = MODELS.build(cfg.model)
    model.cfg, model.dataset_meta = cfg, {}
    if checkpoint is None:
        logger.warning("no checkpoint was given: the weights are random, and so is what is found")
    else:
        model.dataset_meta = load_weights(model, checkpoint)
    return model.to(target).eval()


def load_weights(model: nn.Module, checkpoint: str | os.PathLike[str]) -> dict[str, Any]:
    """Load the weights of a checkpoint, all of them.

    Returns:
        ``dataset_meta`` of the checkpoint, an empty dict if it has none.

    Raises:
        DataError: If the file is no checkpoint or does not hold all weights of the model.
    """
    name = os.fspath(checkpoint)
    content = load(name)
    weights = content.get("state_dict", content.get("model", content)) if isinstance(content, Mapping) else None
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f"checkpoint {name} holds no weights (a 'state_dict' of tensors)")
    _load_all(model, dict(weights), name)
    meta = content.get("meta")
    found = meta.get("dataset_meta") if isinstance(meta, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _load_all(model: nn.Module, weights: dict[str, torch.Tensor], name: str) -> None:
    """Load weights into a model; parameters that are missing or of another shape are an error, extra ones a warning."""
    own = model.state_dict()
    wrong = [key for key in weights if key in own and weights[key].shape != own[key].shape]
    fitting = {key: value for key, value in weights.items() if key not in wrong}
    outcome = model.load_state_dict(fitting, strict=False)
    missing = [key for key in outcome.missing_keys if key not in wrong]
    if missing or wrong:
        parts = [f"{len(missing)} are missing (such as '{missing[0]}')"] if missing else []
        parts += [f"{len(wrong)} have another shape (such as '{wrong[0]}')"] if wrong else []
        raise DataError(
            f"checkpoint {name} does not fit the model of the config: of its {len(own)} tensors {' and '.join(parts)}"
        )
    if outcome.unexpected_keys:
        keys = outcome.unexpected_keys
        logger.warning("checkpoint %s: %d tensors are not used, such as '%s'", name, len(keys), keys[0])
