"""Two processes over gloo train like one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("pose_ddp_worker.py")
BATCHES = "[[1, 6, 3, 0], [0, 5, 0, 2], [0, 0, 0, 0], [4, 1, 2]]"
"""People of each image. Images go to the processes in turns: uneven numbers, a process without anybody, nobody at all, and
a last batch of which one process has fewer images."""


def launch(folder, processes, micro_batch="null"):
    arguments = [str(WORKER), str(folder), BATCHES, micro_batch]
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *(torchrun if processes > 1 else []), *arguments]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"{processes}-{rank}.pt") for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one_with_the_whole_batch(tmp_path):
    (whole,), shared, in_parts = launch(tmp_path, 1), launch(tmp_path, 2), launch(tmp_path, 2, micro_batch="1")
    for found in (*shared, *in_parts):
        for mine, expected in zip(found, whole, strict=True):
            assert torch.allclose(mine, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    assert all(gradient.abs().sum() > 0 for gradient in whole)
