"""Means of checkpoints and half precision: exact where they can be, refused where they would be wrong."""

import pytest
import torch

from yolox_pose.checkpoints.averaging import average_weights, halve, interpolate_weights, read_provenance
from yolox_pose.checkpoints.files import Checkpoint
from yolox_pose.checkpoints.layouts import NATIVE
from yolox_pose.errors import DataError


def checkpoint(name="a.pth", *, meta=None, **weights):
    return Checkpoint(name, weights, NATIVE, meta or {})


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
        (checkpoint("b.pth", w=torch.zeros(3)), "b.pth holds another model than a.pth"),
        (checkpoint("b.pth", v=torch.zeros(2)), "b.pth holds another model"),
        (checkpoint("b.pth", w=torch.zeros(2), meta={"classes": ["dog"]}), "differ in 'classes'"),
    ],
)
def test_other_models_have_no_mean(other, message):
    with pytest.raises(DataError, match=message):
        average_weights([checkpoint(w=torch.zeros(2)), other])


HEAD = "head.head_module."


def fine_tuned(**more):
    return {
        "backbone.conv.weight": torch.full((2, 2), 4.0), "backbone.bn.num_batches_tracked": torch.tensor(9),
        f"{HEAD}out_cls.0.weight": torch.full((1, 2, 1, 1), 4.0), f"{HEAD}out_kpt.0.weight": torch.full((34, 2, 1, 1), 4.0),
    } | more  # fmt: skip


def detector(**more):
    rows = torch.tensor([7.0, 8.0]).reshape(2, 1, 1, 1).repeat(1, 2, 1, 1)  # dog, person
    return {
        "backbone.conv.weight": torch.zeros(2, 2), "backbone.bn.num_batches_tracked": torch.tensor(1),
        f"{HEAD}out_cls.0.weight": rows,
    } | more  # fmt: skip


def pose(**preprocessing):
    return {"classes": ["person"], "preprocessing": preprocessing}


def test_weights_move_toward_those_of_a_detector_which_has_no_keypoints():
    own = Checkpoint("fine.pth", fine_tuned(), NATIVE, pose(mean=None, centered=True))
    meta = {"classes": ["dog", "person"], "preprocessing": {"mean": None, "centered": False}}
    moved = interpolate_weights(own, Checkpoint("detector.pth", detector(), NATIVE, meta), 0.25)
    assert torch.equal(moved["backbone.conv.weight"], torch.full((2, 2), 3.0))
    assert torch.equal(
        moved[f"{HEAD}out_cls.0.weight"], torch.full((1, 2, 1, 1), 5.0)
    )  # a quarter of the way from 4 to 8
    assert torch.equal(moved[f"{HEAD}out_kpt.0.weight"], torch.full((34, 2, 1, 1), 4.0))
    assert moved["backbone.bn.num_batches_tracked"] == 9
    assert moved["backbone.conv.weight"].dtype == torch.float32


def test_all_the_way_is_the_detector():
    meta = {"classes": ["dog", "person"]}
    own = Checkpoint("fine.pth", fine_tuned(), NATIVE, pose())
    moved = interpolate_weights(own, Checkpoint("detector.pth", detector(), NATIVE, meta), 1)
    assert not moved["backbone.conv.weight"].any() and (moved[f"{HEAD}out_cls.0.weight"] == 8).all()


@pytest.mark.parametrize(
    ("weights", "meta", "message"),
    [
        ({"backbone.conv.weight": torch.zeros(3, 3)}, {}, "detector.pth does not fit .* 3x3 in the file, 2x2"),
        (
            {},
            {"preprocessing": {"mean": [1, 2, 3]}},
            "detector.pth and fine.pth expect images that are normalized differently",
        ),
    ],
)
def test_there_is_no_way_to_another_network(weights, meta, message):
    own = Checkpoint("fine.pth", fine_tuned(), NATIVE, pose(mean=None))
    with pytest.raises(DataError, match=message):
        interpolate_weights(own, Checkpoint("detector.pth", detector(**weights), NATIVE, meta), 0.5)


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
        {
            "meta": {
                "epoch": 3,
                "seed": 1,
                "cfg": "data_root='x'",
                "notes": {"AP": "0.2"},
                "origin": {"files": [{"file": "epoch_2.pth", "epoch": 2}]},
            },
            "state_dict": {},
        },
        path,
    )
    history = read_provenance(path)
    assert history == {
        "file": "epoch_3.pth",
        "sha256": history["sha256"],
        "epoch": 3,
        "seed": 1,
        "notes": {"AP": "0.2"},
        "origin": {"files": [{"file": "epoch_2.pth", "epoch": 2}]},
    }
    assert len(history["sha256"]) == 64
