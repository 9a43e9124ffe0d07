"""What the commands that read a config share: options, loading, devices, launchers."""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME, find_weights

if TYPE_CHECKING:
    from mmengine.config import Config

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` and ``--seed``."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change settings of the config, e.g. train_dataloader.batch_size=8 optim_wrapper.optimizer.lr=0.001; "
        "lists as key=a,b or key='[a,b]'",
    )
    parser.add_argument("--seed", type=int, help="seed of everything that draws numbers (default: that of the config)")


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``."""
    parser.add_argument(
        "--data", metavar="DIR", help="folder of the data, in place of the config's; files inside as the config says"
    )


def use_data(config: Config, root: str | Path, splits: Sequence[str]) -> None:
    """Take the data of some splits from another folder: their ``data_root``, and annotation files of their evaluators below it.

    Args:
        config: Changed in place. Files that lie elsewhere than below the old folder stay.
        root: The folder.
        splits: Of ``train``, ``val`` and ``test``.

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


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--launcher`` and what torchrun may pass."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to run (default: auto)"
    )
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="how the processes of a distributed run were started: pytorch (torchrun), slurm, mpi (default: none)",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` strings into nested settings the way MMEngine does.

    Raises:
        UsageError: If one has no ``=`` or no key.
    """
    from mmengine.config import DictAction

    bad = [option for option in options if not option.partition("=")[0] or "=" not in option]
    if bad:
        raise UsageError(f"--cfg-options: {bad[0]!r} is not of the form KEY=VALUE")
    pairs = [option.split("=", 1) for option in options]
    # MMEngine drops spaces, which paths may have; in lists they mean nothing
    with_spaces = {key: value for key, value in pairs if " " in value and value[0] not in "[(\"'"}
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--options", nargs="*", action=DictAction)
    others = [f"{key}={value}" for key, value in pairs if key not in with_spaces]
    return {**(parser.parse_args(["--options", *others]).options or {}), **with_spaces}


def load_config(path: str | Path, options: Sequence[str] | Mapping[str, Any] = (), seed: int | None = None) -> Config:
    """Read a config and apply what the command line changes.

    Args:
        path: A file, or the name of a config of this package.
        options: ``KEY=VALUE`` strings, or a mapping of dotted keys.
        seed: Overrides the config's seed.

    Raises:
        UsageError: If the file does not exist, cannot be read as a config or an option does not fit it.
    """
    warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp\.autocast", category=FutureWarning)  # of mmdet 3.3.0
    from yolox_pose import registry  # noqa: F401  (fills the gaps of the stack first)
    from yolox_pose.cli.paths import find_config

    file = find_config(path)
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    try:
        config = Config.fromfile(str(file))
    except Exception as error:
        raise UsageError(f"config {file} cannot be read: {type(error).__name__}: {first_line(error)}") from error
    try:
        config.merge_from_dict(dict(options) if isinstance(options, Mapping) else parse_options(options))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(f"--cfg-options do not fit {file}: {first_line(error)}") from error
    if seed is not None:
        config.randomness = {**config.get("randomness", {}), "seed": seed}
    init_default_scope(config.get("default_scope", "yolox_pose"))
    return config


def first_line(error: BaseException) -> str:
    """First line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0]


def check_device(device: str) -> str:
    """``'cpu'`` or ``'cuda'`` for a ``--device`` option; hides the GPUs from torch where the CPU was asked for.

    Has to be called before CUDA is used for the first time.

    Raises:
        UsageError: If CUDA was asked for where there is none.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UsageError(
            "--device cuda: torch sees no CUDA device here; use --device cpu or install a CUDA build of torch"
        )
    return "cuda" if available else "cpu"


def check_file(path: str | Path, what: str) -> Path:
    """The path of a file that has to exist.

    Raises:
        UsageError: If it does not.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(
            f"{what} {str(path)!r} does not exist" if not file.exists() else f"{what} {path} is not a file"
        )
    return file


def choose_model(config: str | None, checkpoint: str | None) -> tuple[str, Path]:
    """Config and weights that a command was given; the bundled ones, which it says, where it was given neither.

    Raises:
        UsageError: If one is missing, or the weights are not there.
    """
    if (config is None) != (checkpoint is None):
        raise UsageError("--checkpoint W goes with --config C; without both the bundled model is taken")
    if config is not None and checkpoint is not None:
        return config, find_weights(checkpoint)
    weights = find_weights(BUNDLED_NAME)
    print(f"model: {weights.stem}, which comes with the package (another one: --config C --checkpoint W)")
    return BUNDLED.config, weights


def setup_launcher(config: Config, launcher: str, local_rank: int, device: str) -> None:
    """Prepare a config for the way its processes were started.

    Processes on CPU talk through gloo, on GPUs through what the config says (NCCL).
    """
    config.launcher = launcher
    if launcher == "none":
        return
    os.environ.setdefault("LOCAL_RANK", str(local_rank))
    if device == "cpu":
        config.env_cfg.dist_cfg = {**config.env_cfg.get("dist_cfg", {}), "backend": "gloo"}


def leave_processes() -> None:
    """End the communication with the other processes, if there are any: gloo's threads must not outlive the interpreter."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
