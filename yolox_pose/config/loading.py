"""Read configs, apply the options of the command line, and check the result."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.config.files import find_config
from yolox_pose.config.options import apply_options, parse_options
from yolox_pose.config.stored import read_stored_config
from yolox_pose.errors import UsageError, YOLOXPoseError
from yolox_pose.weights import WEIGHT_SUFFIXES

if TYPE_CHECKING:
    from mmengine.config import Config

logger = logging.getLogger(__name__)

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
WORKER_SETTINGS = {"persistent_workers": False, "prefetch_factor": None}
"""Settings of a data loader that torch refuses without workers, and the values that it accepts."""


def load_config(path: str | Path, options: Sequence[str] | Mapping[str, Any] = (), seed: int | None = None) -> Config:
    """Read a config and apply the options of the command line.

    Args:
        path: Whatever :func:`find_config` finds. A checkpoint gives the config in it.
        options: ``KEY=VALUE`` strings, or a mapping of dotted keys.
        seed: Seed that replaces the config's.

    Raises:
        UsageError: If the file does not exist or is not a config, or an option does not fit it.
    """
    # mmdet 3.3.0 uses a decorator that torch deprecates
    warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp\.autocast", category=FutureWarning)
    from yolox_pose import registry  # noqa: F401  (fills the gaps of the stack first)

    file = find_config(path)
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    try:
        config = _stored_config(file) if file.suffix in WEIGHT_SUFFIXES else Config.fromfile(str(file))
    except YOLOXPoseError:
        raise
    except Exception as error:
        raise UsageError(f"config {file} cannot be read: {type(error).__name__}: {first_line(error)}") from error
    init_default_scope(config.get("default_scope", "yolox_pose"))
    apply_options(config, options if isinstance(options, Mapping) else parse_options(options))
    if seed is not None:
        config.randomness = {**config.get("randomness", {}), "seed": seed}
    check_loaders(config)
    return config


def _stored_config(checkpoint: Path) -> Config:
    """Return the config in a checkpoint. Its file name is the one that MMEngine gives its copy in a work dir."""
    from mmengine.config import Config

    settings = read_stored_config(checkpoint)
    return Config(settings, cfg_text=f"# The config in {checkpoint}", filename=str(checkpoint.with_suffix(".py")))


def check_loaders(config: Config) -> None:
    """Check batch sizes and numbers of workers.

    A loader without workers cannot keep them between epochs: ``persistent_workers`` is switched off for ``num_workers=0``.

    Raises:
        UsageError: If a number is not whole, or too small.
    """
    for name in LOADERS:
        loader = config.get(name)
        if not isinstance(loader, MutableMapping):
            continue
        for key, lowest in (("batch_size", 1), ("num_workers", 0)):
            value = loader.get(key, lowest)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise UsageError(f"{name}.{key} must be a whole number of at least {lowest}, not {value!r}")
        if loader.get("num_workers", 0) == 0:
            for key, value in WORKER_SETTINGS.items():
                if loader.get(key, value) != value:
                    loader[key] = value
                    logger.warning("%s.%s is switched off, because num_workers is 0", name, key)


def use_data(config: Config, root: str | Path, splits: Sequence[str]) -> None:
    """Change the data folder of some splits: ``data_root``, and annotation files of their evaluators below it.

    Args:
        config: Config to change in place. Files outside the config's own folder stay as they are.
        root: The new folder.
        splits: Any of ``train``, ``val`` and ``test``.

    Raises:
        UsageError: If the folder does not exist, or a split has no ``data_root``.
    """
    if not Path(root).is_dir():
        raise UsageError(f"--data: {root} is not a folder")
    for split in splits:
        if (loader := config.get(f"{split}_dataloader")) is None:
            continue
        if not (old := loader.dataset.get("data_root")):
            raise UsageError(
                f"--data: {split}_dataloader.dataset has no data_root; change its files with --cfg-options"
            )
        loader.dataset.data_root = str(root)
        evaluators = config.get(f"{split}_evaluator") or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            for key in ("ann_file", "keypoint_ann_file"):
                if evaluator.get(key) and Path(evaluator[key]).is_relative_to(old):
                    evaluator[key] = str(Path(root) / Path(evaluator[key]).relative_to(old))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0]
