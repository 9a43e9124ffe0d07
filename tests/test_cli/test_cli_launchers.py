"""The shell launchers: several processes, several machines (here: several agents on one), Slurm's command line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crowds import data_options, make_crowd

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/quickstart/yolox-pose_quickstart_160.py"
SMALL = ["train_dataloader.batch_size=4", "val_dataloader.batch_size=4", "train_dataloader.dataset.input_size=96,96",
         "val_dataloader.dataset.input_size=96,96", "param_scheduler.0.end=3", "train_cfg.max_epochs=1",
         "train_cfg.val_interval=1", "log_level=INFO"]  # fmt: skip


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return make_crowd(tmp_path_factory.mktemp("crowd") / "data", val=5)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(script, *arguments, **variables):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, **variables}
    command = ["bash", str(ROOT / "tools" / script), *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def output(process):
    text, _ = process.communicate(timeout=600)
    assert process.returncode == 0, text[-3000:]
    return text


@pytest.mark.slow
def test_two_machines_train_and_two_processes_evaluate(crowd, tmp_path):
    options = ["--device", "cpu", "--cfg-options", *data_options(crowd), *SMALL]
    machines = {"NNODES": "2", "MASTER_ADDR": "127.0.0.1", "PORT": free_port()}
    work = tmp_path / "work"
    agents = [
        start("dist_train.sh", CONFIG, 1, "--work-dir", work, *options, **machines, NODE_RANK=rank) for rank in "01"
    ]
    log = "".join(output(agent) for agent in agents)
    assert "coco/AP:" in log
    checkpoint = work / "epoch_1.pth"
    evaluated = start(
        "dist_test.sh", CONFIG, checkpoint, 2, "--out", tmp_path / "out", "--work-dir", work, *options, PORT=free_port()
    )
    assert "coco/AP" in output(evaluated)
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0 <= figures["coco/AP"] <= 1


def test_slurm_gets_its_tasks_and_the_options(tmp_path):
    recorder = tmp_path / "srun"
    recorder.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)
    found = start(
        "slurm_train.sh", "gpu", "pose", CONFIG, "--work-dir", "my work", "--amp",
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", GPUS="16", GPUS_PER_NODE="8", SRUN_ARGS="--qos high",
    )  # fmt: skip
    words = output(found).splitlines()
    pairs = dict(zip(words, words[1:]))
    assert (pairs["--partition"], pairs["--job-name"]) == ("gpu", "pose")
    assert (pairs["--ntasks"], pairs["--ntasks-per-node"], pairs["--gres"]) == ("16", "8", "gpu:8")
    assert pairs["--qos"] == "high"
    tail = words[words.index(sys.executable) :]
    assert tail[1] == "-u" and Path(tail[2]) == ROOT / "tools" / "train.py"
    assert tail[3:] == [CONFIG, "--launcher", "slurm", "--work-dir", "my work", "--amp"]


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_a_wrong_call_is_told_the_usage(script):
    process = start(script, "only-one")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "usage:" in text and script in text
