"""MMEngine's own checkpoints load and resume; a file that would run code is refused in one line."""

import datetime
import os

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch.utils.data import DataLoader

from yolox_pose.compat import torch_load
from yolox_pose.errors import DataError


class Calls:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 1)

    def forward(self, x, mode):
        return {"loss": self.line(x).square().mean()}


def runner(work_dir, epochs, name, **kwargs):
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        experiment_name=name,
        train_dataloader=DataLoader([{"x": torch.ones(2)}] * 4, batch_size=2),
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 1e-2}},
        param_scheduler=[{"type": "CosineAnnealingLR", "T_max": 4}],
        custom_hooks=[{"type": "EMAHook"}],
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        log_level="ERROR",
        **kwargs,
    )


def test_a_checkpoint_of_mmengine_resumes(tmp_path):
    first = runner(tmp_path, 2, "first")
    first.message_hub.update_info("numpy_number", np.float32(3))
    first.message_hub.update_info("numpy_array", np.array(["nose", "eye"]))
    first.train()

    checkpoint = torch.load(tmp_path / "epoch_2.pth", weights_only=True)
    losses = checkpoint["message_hub"]["log_scalars"]["train/loss"]
    assert isinstance(losses, HistoryBuffer)
    assert len(losses.data[0]) == 4
    assert losses.statistics("mean") == losses.mean()

    second = runner(tmp_path, 3, "second", resume=True)
    second.train()
    assert second.epoch == 3
    assert second.message_hub.get_info("numpy_array").tolist() == ["nose", "eye"]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("content", "names"),
    [
        (Calls(os.system, "echo harm"), "system"),
        (Calls(eval, "1 + 1"), "eval"),
        (Calls(getattr, HistoryBuffer, "update"), "builtins.getattr"),
        (datetime.datetime(2026, 1, 1), "datetime.datetime"),
    ],
    ids=["system", "eval", "getattr", "class"],
)
def test_a_foreign_pickle_is_refused_in_one_line(tmp_path, content, names, legacy):
    path = tmp_path / "foreign.pth"
    torch.save({"state_dict": {}, "meta": content}, path, _use_new_zipfile_serialization=not legacy)
    for load in (torch_load.load, CheckpointLoader.load_checkpoint):
        with pytest.raises(DataError) as error:
            load(str(path))
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(str(path))
        assert names in message
        assert torch_load.TRUST_VARIABLE in message


def test_a_trusted_file_loads_by_flag_or_variable(tmp_path, monkeypatch):
    path = str(tmp_path / "legacy.pth")
    torch.save({"when": datetime.date(2026, 1, 1)}, path)
    assert torch_load.load(path, trusted=True) == {"when": datetime.date(2026, 1, 1)}
    monkeypatch.setenv(torch_load.TRUST_VARIABLE, "1")
    assert CheckpointLoader.load_checkpoint(path) == {"when": datetime.date(2026, 1, 1)}
    with pytest.raises(DataError):
        torch_load.load(path, trusted=False)


@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04" + b"0" * 100], ids=["empty", "text", "cut"])
def test_what_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.pth: not loaded, it is (not a PyTorch checkpoint|damaged)"):
        torch_load.load(path)


def test_the_environment_is_as_before(tmp_path, monkeypatch):
    path = tmp_path / "plain.pth"
    torch.save({"a": torch.ones(1)}, path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    before = dict(os.environ)
    assert torch_load.load(path)["a"].item() == 1
    assert dict(os.environ) == before
