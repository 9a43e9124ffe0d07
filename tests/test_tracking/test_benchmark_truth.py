"""Hand-drawn boxes of people in a film, as the tracking benchmark reads them."""

import json

import numpy as np
import pytest

from tests.benchmark_scripts import BENCHMARKS, load_benchmark


@pytest.fixture(scope="module")
def benchmark():
    return load_benchmark("tracking")


def test_boxes_are_interpolated_within_segments_alone(benchmark, tmp_path):
    still = {"0": [0, 0, 4, 4], "2": [0, 0, 4, 4]}
    moving = {"0": [0, 0, 10, 10], "2": [20, 4, 30, 14]}
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"segments": [{"a": still, "b": moving}, {"a": {"9": [1, 1, 2, 2]}}]}))
    frames = benchmark.read_truth(file)
    assert sorted(frames) == [0, 1, 2, 9]
    numbers, boxes = frames[1]
    np.testing.assert_array_equal(numbers, [0, 1])
    np.testing.assert_allclose(boxes, [[0, 0, 4, 4], [10, 2, 20, 12]])


def test_the_arm_wrestlers_boxes_are_boxes_within_the_film(benchmark):
    frames = benchmark.read_truth(BENCHMARKS / "annotations" / "arm_wrestling.json")
    assert len(frames) == 241 and not set(frames) & set(range(229, 268))
    boxes = np.stack([boxes for _, boxes in frames.values()])
    assert boxes.shape == (241, 2, 4)
    assert (boxes[..., :2] < boxes[..., 2:]).all() and (boxes >= 0).all() and (boxes <= [340, 256, 340, 256]).all()
