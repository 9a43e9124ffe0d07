"""The parts of the comparison with mmpose that decide what is compared with what."""

import argparse
import json

import numpy as np
import pytest
from mmengine.config import ConfigDict

from tests.benchmark_scripts import load_benchmark


@pytest.fixture(scope="module")
def quality():
    return load_benchmark("train_quality")


@pytest.mark.parametrize(("done", "last"), [(0, 8), (15, 8), (16, 7), (20, 3)])
def test_a_run_that_is_resumed_past_the_turn_takes_it_at_once(quality, done, last):
    config = ConfigDict(
        train_cfg={"max_epochs": 24}, custom_hooks=[{"new_train_pipeline": [], "num_last_epochs": 8}, {}]
    )
    quality.catch_up(config, done)
    assert config.custom_hooks[0].num_last_epochs == last
    assert done + 1 <= 24 - last  # the hook's condition is met in the next epoch or later


def test_runs_of_two_machines_are_not_compared(quality, tmp_path):
    args = argparse.Namespace(out=tmp_path, seeds=[0, 1])
    with pytest.raises(SystemExit, match="train first"):
        quality.read_machine(args)
    for name, device in (("ours-0", "one"), ("mmpose-0", "one"), ("ours-1", "one")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "machine.json").write_text(json.dumps({"device": device}))
    assert quality.read_machine(args) == {"device": "one"}
    (tmp_path / "ours-1" / "machine.json").write_text(json.dumps({"device": "another"}))
    with pytest.raises(SystemExit, match=r"ours-1.*differ"):
        quality.read_machine(args)


def curves(ours, mmpose):
    """Two points for each run: epochs 1 and 2."""
    return {
        f"{side}-{seed}": [
            {"epoch": epoch, "images": 10 * epoch, "seconds": 100.0 * epoch, "AP": ap}
            for epoch, ap in enumerate(values, 1)
        ]
        for side, runs in (("ours", ours), ("mmpose", mmpose))
        for seed, values in enumerate(runs)
    }


def options(seeds):
    """Of a report."""
    return argparse.Namespace(seeds=list(range(seeds)), bootstrap=5)


def test_no_ratio_where_the_peer_is_near_noise(quality):
    lines = quality.cases(curves([(0.05, 0.08)] * 2, [(0.01, 0.04)] * 2), options(2))
    assert [line["ratio"] for line in (lines[0], lines[2])] == [None, None]


def test_no_ratio_from_one_seed(quality):
    lines = quality.cases(curves([(0.05, 0.12)], [(0.01, 0.06)]), options(1))
    assert lines[0]["ratio"] is None


def test_ratios_are_those_of_the_means(quality, monkeypatch):
    monkeypatch.setattr(quality, "bootstrap_ratio", lambda args: [1.5, 2.5])
    lines = quality.cases(curves([(0.07, 0.12), (0.05, 0.12)], [(0.01, 0.05), (0.01, 0.07)]), options(2))
    assert lines[0]["ratio"] == 2 and lines[0]["interval"] == [1.5, 2.5]
    assert (
        lines[2]["ours"] == 150 and lines[2]["peer"] == 200
    )  # the first seed has 0.06 after 100 s, the second after 200


def test_the_bootstrap_counts_images_that_are_drawn_twice_twice(quality, tmp_path):
    keypoints = [[float(x) for k in range(17) for x in (10 + 5 * k, 20 + 3 * k, 2)] for _ in range(2)]
    content = {
        "images": [{"id": i} for i in (1, 2)],
        "categories": [{"id": 1, "name": "person", "keypoints": [str(k) for k in range(17)]}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": keypoints[i - 1], "num_keypoints": 17,
             "bbox": [10, 20, 90, 60], "area": 5400.0, "iscrowd": 0}
            for i in (1, 2)
        ],
    }  # fmt: skip
    found = tmp_path / "predictions.json"  # the person of image 1 alone is found
    found.write_text(json.dumps([{"image_id": 1, "category_id": 1, "keypoints": keypoints[0], "score": 0.9}]))
    draws = [np.array(draw) for draw in ([1, 1], [2, 2], [1, 2])]
    assert quality.resampled_ap(found, content, draws) == pytest.approx([1.0, 0.0, 0.5], abs=0.01)
