"""One of the processes that test_pose_ddp.py starts: writes its gradients for a share of each batch to a folder."""

import json
import os
import sys
from pathlib import Path

import torch

from yolox_pose import compat

compat.install()

from mmengine.dist import get_rank, get_world_size, init_dist  # noqa: E402
from mmengine.model import MMDistributedDataParallel  # noqa: E402

from tests.test_models.models_common import build_model, make_batch  # noqa: E402
from tests.worker_exit import leave_and_exit  # noqa: E402

torch.set_num_threads(1)
folder, batches = Path(sys.argv[1]), json.loads(sys.argv[2])
if "RANK" in os.environ:
    init_dist("pytorch", backend="nccl")
model = build_model("nano", estimator={"micro_batch": json.loads(sys.argv[3])}).eval()
wrapped = (
    MMDistributedDataParallel(model, device_ids=[int(os.environ["LOCAL_RANK"])]) if "RANK" in os.environ else model
)
share = slice(get_rank(), None, get_world_size())
gradients = []
for counts in batches:
    batch = {key: values[share] for key, values in make_batch(counts, labelled=0.4).items()}
    model.zero_grad()
    made = model.data_preprocessor(batch)
    sum(wrapped(**made, mode="loss").values()).backward()
    gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
torch.save(gradients, folder / f"{get_world_size()}-{get_rank()}.pt")
leave_and_exit()
