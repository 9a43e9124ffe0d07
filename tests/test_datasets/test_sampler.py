import pytest

from yolox_pose.datasets import sampler as module
from yolox_pose.datasets.sampler import EpochSampler, SampleKey


def keys(monkeypatch, number, rank=0, world=1, epoch=0, **options):
    monkeypatch.setattr(module, "get_dist_info", lambda: (rank, world))
    sampler = EpochSampler(range(number), **{"seed": 3, **options})
    sampler.set_epoch(epoch)
    drawn = list(sampler)
    assert len(drawn) == len(sampler)
    assert all(isinstance(key, SampleKey) and key.epoch == epoch and type(key.index) is int for key in drawn)
    return [key.index for key in drawn]


def test_order_depends_on_seed_and_epoch_alone(monkeypatch):
    first = keys(monkeypatch, 50, epoch=4)
    assert sorted(first) == list(range(50)) and first != list(range(50))
    assert keys(monkeypatch, 50, epoch=4) == first
    assert keys(monkeypatch, 50, epoch=5) != first
    assert keys(monkeypatch, 50, epoch=4, seed=9) != first


def test_without_shuffle_in_order(monkeypatch):
    assert keys(monkeypatch, 7, shuffle=False) == list(range(7))


@pytest.mark.parametrize("number", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_validation_counts_every_image_once(monkeypatch, number, world):
    parts = [keys(monkeypatch, number, rank, world, shuffle=False, round_up=False) for rank in range(world)]
    assert sorted(sum(parts, [])) == list(range(number))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("number", [1, 2, 7, 8])
@pytest.mark.parametrize("world", [2, 3, 8])
def test_training_gives_every_process_the_same_number(monkeypatch, number, world):
    parts = [keys(monkeypatch, number, rank, world) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1 and set(sum(parts, [])) == set(range(number))


def test_processes_together_follow_the_order_of_one(monkeypatch):
    whole = keys(monkeypatch, 12)
    parts = [keys(monkeypatch, 12, rank, 2) for rank in range(2)]
    assert [index for pair in zip(*parts) for index in pair] == whole


def test_seed_is_drawn_if_none(monkeypatch):
    assert sorted(keys(monkeypatch, 5, seed=None)) == list(range(5))
