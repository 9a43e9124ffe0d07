"""What the commands that read a config share: options, loading, devices, launchers."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME, find_weights

if TYPE_CHECKING:
    from mmengine.config import Config

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


def add_cfg_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--cfg-options``, which may be given several times."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change settings of the config, e.g. train_dataloader.batch_size=8 optim_wrapper.optimizer.lr=0.001; "
        "lists as key=a,b or key='[a,b]'; may be given several times",
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` and ``--seed``."""
    add_cfg_options(parser)
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``."""
    parser.add_argument(
        "--data", metavar="DIR", help="folder of the data, in place of the config's; files inside as the config says"
    )


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
