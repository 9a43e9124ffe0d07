"""One of the processes that test_compat_mmengine_cpu.py starts: writes its gradient after one step to a folder."""

import os
import sys
from pathlib import Path

import torch

from yolox_pose import compat

compat.install()

from mmengine.dist import get_rank, get_world_size, init_dist  # noqa: E402
from mmengine.model import MMDistributedDataParallel  # noqa: E402

from tests.worker_exit import leave_and_exit  # noqa: E402

torch.manual_seed(0)
init_dist("pytorch", backend="nccl")
model = MMDistributedDataParallel(torch.nn.Linear(3, 1, bias=False), device_ids=[int(os.environ["LOCAL_RANK"])])
batch = torch.arange(12.0).reshape(4, 3).chunk(get_world_size())[get_rank()]
model(batch).square().mean().backward()
torch.save(
    {"backend": torch.distributed.get_backend(), "grad": model.module.weight.grad}, Path(sys.argv[1]) / str(get_rank())
)
leave_and_exit()
