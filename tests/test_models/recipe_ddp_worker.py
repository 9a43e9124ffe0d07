"""One of the processes that test_recipes_ddp.py starts: two training steps of each config named on the command line."""

import contextlib
import io
import sys
from pathlib import Path

import torch

from yolox_pose import compat

compat.install()

from mmengine.config import Config  # noqa: E402
from mmengine.dist import get_rank, init_dist  # noqa: E402
from mmengine.runner import Runner  # noqa: E402

from tests.worker_exit import leave_and_exit  # noqa: E402
from yolox_pose.config import load_config  # noqa: E402

SIDE = 64


def small_run(name: str, data: Path, work_dir: Path) -> Config:
    """Return the config ``name`` (``NAME+frozen``: with a frozen detector), one epoch of two steps on tiny images."""
    config = load_config(name.removesuffix("+frozen"))
    config.model.freeze_detector = name.endswith("+frozen")
    dataset = config.train_dataloader.dataset
    dataset.update(data_root=str(data), ann_file="annotations/train.json", classes=("person",), input_size=(SIDE, SIDE))
    dataset.data_prefix = {"img": "train"}
    if dataset.get("keypoint_file"):
        dataset.keypoint_file = dataset.ann_file
    config.model.data_preprocessor.random_size = None
    config.train_dataloader.update(batch_size=1, num_workers=0, persistent_workers=False)
    config.train_cfg.update(max_epochs=1, dynamic_intervals=None)
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    config.test_dataloader = config.test_evaluator = config.test_cfg = None
    config.default_hooks.checkpoint = None
    config.default_hooks.pop("curves")
    config.param_scheduler = []
    config.update(work_dir=str(work_dir / name), experiment_name=name, launcher="pytorch", log_level="ERROR")
    return config


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, work_dir, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    init_dist("pytorch", backend="gloo")
    for name in names:
        print(f"rank {get_rank()}: {name}", file=sys.stderr)
        with contextlib.redirect_stdout(io.StringIO()):
            runner = Runner.from_cfg(small_run(name, data, work_dir))
            runner.train()
        assert runner.iter == 2, runner.iter
        weights = torch.cat([p.detach().flatten() for p in runner.model.parameters()])
        torch.save(weights, work_dir / f"{name}-{get_rank()}.pt")
    leave_and_exit()
