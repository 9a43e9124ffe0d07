"""Make several processes and AMP of MMEngine work on a machine without an accelerator.

``init_dist`` calls ``torch.cuda.set_device`` first, the runner passes ``device_ids`` to the distributed wrapper, and
``AmpOptimWrapper`` asserts a GPU, although gloo and bfloat16 work on CPU. Nothing is changed where MMEngine has an
accelerator. Remove this file when MMEngine checks the device in these three places.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch

from yolox_pose.errors import UsageError


def fill() -> str | None:
    """Patch the three places and return a description; None if there is an accelerator."""
    from mmengine.device import get_device
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim import AmpOptimWrapper

    if get_device() != "cpu":
        return None
    for name in ("_init_dist_pytorch", "_init_dist_mpi", "_init_dist_slurm"):
        if hasattr(utils, name):
            setattr(utils, name, _with_gloo(getattr(utils, name)))
    MMDistributedDataParallel.__init__ = _without_device_ids(MMDistributedDataParallel.__init__)
    AmpOptimWrapper.__init__ = _with_bfloat16(AmpOptimWrapper.__init__)
    return "gloo for distributed runs, bfloat16 for AMP"


def _with_gloo(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def init_on_cpu(backend: str, *args: Any, **kwargs: Any) -> None:
        with mock.patch("torch.cuda.set_device"):
            init("gloo" if backend == "nccl" else backend, *args, **kwargs)

    return init_on_cpu


def _without_device_ids(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def init_on_cpu(self: Any, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if all(p.device.type == "cpu" for p in module.parameters()):
            kwargs.update(device_ids=None, output_device=None)
        init(self, module, *args, **kwargs)

    return init_on_cpu


def _with_bfloat16(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def init_on_cpu(self: Any, loss_scale: Any = "dynamic", dtype: Any = None, *args: Any, **kwargs: Any) -> None:
        if dtype in ("float16", torch.float16):
            raise UsageError("AMP on CPU computes in bfloat16: set dtype='bfloat16' (float16 needs a GPU)")
        module = "mmengine.optim.optimizer.amp_optimizer_wrapper"
        unscaled = functools.partial(torch.amp.GradScaler, "cpu", enabled=False)
        with mock.patch(f"{module}.is_cuda_available", return_value=True), mock.patch(f"{module}.GradScaler", unscaled):
            init(self, loss_scale, dtype, *args, **kwargs)

    return init_on_cpu
