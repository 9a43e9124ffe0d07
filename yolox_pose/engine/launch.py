"""Choose the device of a run, and join the processes of a distributed run."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from yolox_pose.errors import UsageError

if TYPE_CHECKING:
    from mmengine.config import Config

SYNC_BN = ("torch", "mmcv")
"""Implementations of batch norm over processes that MMEngine knows; mmcv's needs its compiled operators."""


def select_device(device: str) -> str:
    """Return ``'cpu'`` or ``'cuda'`` for a ``--device`` option, and hide the GPUs from torch for ``cpu``.

    Call this before CUDA is used for the first time.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: If ``cuda`` is requested and torch finds no CUDA device.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UsageError(
            "--device cuda: torch finds no CUDA device here; use --device cpu or install a CUDA build of torch"
        )
    return "cuda" if available else "cpu"


def setup_launcher(config: Config, launcher: str, local_rank: int, device: str) -> None:
    """Prepare a config for the launcher that started its processes.

    Processes on CPU communicate through gloo, processes on GPUs through the backend of the config (NCCL).

    Args:
        config: Config to change in place.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        local_rank: Rank on this machine, where the launcher sets no ``LOCAL_RANK``.
        device: ``'cpu'`` or ``'cuda'``.
    """
    config.launcher = launcher
    if launcher == "none":
        return
    os.environ.setdefault("LOCAL_RANK", str(local_rank))
    if device == "cpu":
        config.env_cfg.dist_cfg = {**config.env_cfg.get("dist_cfg", {}), "backend": "gloo"}


def check_sync_bn(config: Config, launcher: str, device: str) -> None:
    """Refuse ``sync_bn`` where torch does not support it or MMEngine would skip it silently.

    Raises:
        UsageError: If there is no GPU, only one process, or no implementation of this name.
    """
    kind = config.get("sync_bn")
    if kind is None:
        return
    if kind not in SYNC_BN:
        raise UsageError(f"sync_bn: there is no {kind!r}; choose from {', '.join(SYNC_BN)}")
    if device == "cpu":
        raise UsageError(f"sync_bn={kind} needs GPUs; leave it out on CPU: each process normalizes its own images")
    if launcher == "none":
        raise UsageError(f"sync_bn={kind} needs several processes, and this is one: add --launcher pytorch or slurm")


def leave_processes() -> None:
    """End the communication with the other processes, if any: gloo's threads must not outlive the interpreter.

    Models wrapped by DDP hold the process group. Those that the caller has let go are collected first, so that the group
    ends here and not while the interpreter exits.
    """
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        gc.collect()
        distributed.destroy_process_group()
