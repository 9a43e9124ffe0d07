"""Build a model from a config and load its weights for prediction."""

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
    """Return the device; ``auto`` means a GPU if there is one.

    Raises:
        UsageError: If the device is unknown or does not exist.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError:
        raise UsageError(f"unknown device '{device}'; use auto, cpu, cuda, cuda:0 or mps") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device '{device}': PyTorch {torch.__version__} finds no CUDA GPU; use cpu")
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device '{device}': there are only {torch.cuda.device_count()} GPUs")
    if target.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("device 'mps': PyTorch finds no Apple GPU; use cpu")
    return target


def load_model(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> nn.Module:
    """Build a model, load its weights and switch it to evaluation.

    Args:
        config: File, name of a config of this package, or :class:`mmengine.Config`. Without a checkpoint, a name or
            file of weights (:func:`yolox_pose.weights.names_weights`) gives both.
        checkpoint: Weights (:func:`yolox_pose.weights.resolve_checkpoint`), which are loaded as data: no code in them runs.
            None leaves the weights random.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Returns:
        The model, with the attributes ``cfg`` and ``dataset_meta`` (that of the checkpoint, or an empty dict).

    Raises:
        UsageError: If config, checkpoint or device do not exist.
        DataError: If the checkpoint does not hold this model.
    """
    target = resolve_device(device)
    if checkpoint is None and names_weights(config):
        config, checkpoint = find_model(None, os.fspath(config))
    cfg = config if isinstance(config, Config) else load_config(os.fspath(config))
    if "model" not in cfg:
        raise UsageError(f"config {cfg.filename or ''} has no 'model'")
    if checkpoint is None:
        logger.warning("no checkpoint: the weights are random, and so are the detections")
    else:
        weights = read_checkpoint(find_weights(checkpoint))
        cfg = copy.deepcopy(cfg)
        warn_of_other_config(cfg, weights)
        adopt_normalization(cfg.model.setdefault("data_preprocessor", {}), stored_preprocessing(weights.dataset_meta))
    init_default_scope(cfg.get("default_scope", SCOPE))
    model = MODELS.build(cfg.model)
    model.cfg, model.dataset_meta = cfg, {}
    if checkpoint is not None:
        load_weights(model, weights)
        model.dataset_meta = weights.dataset_meta
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
    """Load all weights of a model from a checkpoint of any layout; log a warning about unused tensors.

    Raises:
        DataError: If the checkpoint does not hold all weights of the model.
    """
    model_state = model.state_dict()
    match = match_weights(checkpoint.weights, model_state, remap=False)
    check_complete(match, model_state, checkpoint.weights, checkpoint.name)
    model.load_state_dict(match.weights, strict=False)
    if match.unused:
        logger.warning(
            "checkpoint %s: %d tensors are not used, such as '%s'", checkpoint.name, len(match.unused), match.unused[0]
        )
