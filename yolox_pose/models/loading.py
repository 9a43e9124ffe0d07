"""From a config and a checkpoint to a model that is ready to predict."""

from __future__ import annotations

import copy
import logging
import os

import torch
from torch import nn

from yolox_pose.checkpoints.files import Checkpoint, read_checkpoint
from yolox_pose.checkpoints.matching import check_complete, match_weights
from yolox_pose.checkpoints.preprocessing import adopt_normalization, stored_preprocessing
from yolox_pose.config import load_config
from yolox_pose.config.stored import describe_difference, parse_settings
from yolox_pose.errors import UsageError
from yolox_pose.registry import MODELS, SCOPE
from yolox_pose.weights import find_model, find_weights, names_weights

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
        config: File, name of a config of this package, or :class:`mmengine.Config`. Without a checkpoint, what names
            weights (:func:`yolox_pose.weights.names_weights`) stands for both.
        checkpoint: Weights (:func:`yolox_pose.weights.resolve_checkpoint`), which are loaded as data: nothing in them runs.
            None leaves the weights random.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The model, with the attributes ``cfg`` and ``dataset_meta`` (that of the checkpoint, or an empty dict).

    Raises:
        UsageError: If config, checkpoint file or device are not there.
        DataError: If the checkpoint does not hold this model.
    """
    target = resolve_device(device)
    if checkpoint is None and names_weights(config):
        config, checkpoint = find_model(None, os.fspath(config))  # type: ignore[type-var]
    cfg = config if isinstance(config, Config) else load_config(os.fspath(config))
    if "model" not in cfg:
        raise UsageError(f"config {cfg.filename or ''} has no 'model'")
    if checkpoint is None:
        logger.warning("no checkpoint was given: the weights are random, and so is what is found")
    else:
        found = read_checkpoint(find_weights(checkpoint))
        cfg = copy.deepcopy(cfg)
        warn_of_other_config(cfg, found)
        adopt_normalization(cfg.model.setdefault("data_preprocessor", {}), stored_preprocessing(found.dataset_meta))
    init_default_scope(cfg.get("default_scope", SCOPE))
    model = MODELS.build(cfg.model)
    model.cfg, model.dataset_meta = cfg, {}
    if checkpoint is not None:
        load_weights(model, found)
        model.dataset_meta = found.dataset_meta
    return model.to(target).eval()


def warn_of_other_config(config: Config, checkpoint: Checkpoint) -> None:
    """Log a line if the model of a config differs from that of the config in a checkpoint. The former is used."""
    if not checkpoint.config:
        return
    try:
        stored = parse_settings(checkpoint.config)
    except (ValueError, SyntaxError, RecursionError):
        return
    difference = describe_difference(config.model.to_dict(), stored.get("model"))
    if stored.get("default_scope") == SCOPE and difference:
        logger.warning("the config in %s differs from the one that is used: %s", checkpoint.name, difference)


def load_weights(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load all weights of a model from a checkpoint of any layout; what the model does not have is told.

    Raises:
        DataError: If the checkpoint does not hold all weights of the model.
    """
    own = model.state_dict()
    fit = match_weights(checkpoint.weights, own, remap=False)
    check_complete(fit, own, checkpoint.weights, checkpoint.name)
    model.load_state_dict(fit.weights, strict=False)
    if fit.unused:
        logger.warning(
            "checkpoint %s: %d tensors are not used, such as '%s'", checkpoint.name, len(fit.unused), fit.unused[0]
        )
