"""Means of checkpoints and half precision: exact where they can be, refused where they would be wrong."""

import pytest
import torch

from yolox_pose.checkpoints.files import Checkpoint
from yolox_pose.checkpoints.layouts import OWN
from yolox_pose.checkpoints.merging import average_weights, halve, read_provenance
from yolox_pose.errors import DataError


def checkpoint(name="a.pth", *, meta=None, **weights):
    return Checkpoint(name, weights, OWN, meta or {})


def test_mean_of_floats_and_the_counter_of_the_first():
    ones = [
        checkpoint(w=torch.full((2, 3), value), norm=torch.tensor([value]), count=torch.tensor(int(value)))
        for value in (1.0, 2.0, 6.0)
    ]
    mean = average_weights(ones)
    assert torch.equal(mean["w"], torch.full((2, 3), 3.0)) and mean["w"].dtype == torch.float32
    assert torch.equal(mean["norm"], torch.tensor([3.0])) and mean["count"] == 1


def test_the_mean_of_one_is_itself():
    w = torch.randn(4, 5)
    assert torch.equal(average_weights([checkpoint(w=w)])["w"], w)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (checkpoint("b.pth", w=torch.zeros(3)), "b.pth is of another model than a.pth"),
        (checkpoint("b.pth", v=torch.zeros(2)), "b.pth is of another model"),
        (checkpoint("b.pth", w=torch.zeros(2), meta={"classes": ["dog"]}), "differ in 'classes'"),
    ],
)
def test_other_models_have_no_mean(other, message):
    with pytest.raises(DataError, match=message):
        average_weights([checkpoint(w=torch.zeros(2)), other])


def test_matrices_become_float16_and_vectors_stay():
    weights = {"conv": torch.randn(8, 4, 3, 3), "var": torch.tensor([1e-9, 1e6]), "count": torch.tensor(7)}
    half = halve(weights)
    assert half["conv"].dtype == torch.float16 and torch.equal(half["conv"], weights["conv"].half())
    assert half["var"] is weights["var"] and half["count"] is weights["count"]
    layer = torch.nn.Conv2d(4, 8, 3, bias=False)
    layer.load_state_dict({"weight": half["conv"]})
    assert layer.weight.dtype == torch.float32 and torch.equal(layer.weight, half["conv"].float())


@pytest.mark.parametrize("value", [7e4, -1e9, float("nan"), float("inf")])
def test_what_float16_cannot_hold_is_refused(value):
    with pytest.raises(DataError, match="'conv' holds .* more than float16 can hold"):
        halve({"conv": torch.tensor([[value]])}, "a.pth")


def test_history_is_plain_and_without_the_config(tmp_path):
    path = tmp_path / "epoch_3.pth"
    torch.save(
        {"meta": {"epoch": 3, "seed": 1, "cfg": "data_root='x'", "notes": {"AP": "0.2"}}, "state_dict": {}}, path
    )
    history = read_provenance(path)
    assert history == {
        "file": "epoch_3.pth",
        "sha256": history["sha256"],
        "epoch": 3,
        "seed": 1,
        "notes": {"AP": "0.2"},
    }
    assert len(history["sha256"]) == 64
