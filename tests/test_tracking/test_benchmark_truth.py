"""Inputs of the tracking benchmark: hand-drawn boxes of people in a film, cached detections, and the peer ByteTrack."""

import json
from argparse import Namespace
from pathlib import Path

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


@pytest.mark.parametrize(
    ("name", "size", "count"),
    [("street", (960, 540), 27), ("football", (1280, 720), 17), ("motorway", (1280, 720), 9)],
)
def test_boxes_of_short_films_lie_within_the_film(benchmark, name, size, count):
    frames = benchmark.read_truth(BENCHMARKS / "annotations" / f"{name}.json")
    boxes = np.concatenate([boxes for _, boxes in frames.values()])
    assert len(boxes) == count
    assert (boxes[:, :2] < boxes[:, 2:]).all() and (boxes >= 0).all() and (boxes <= [*size, *size]).all()


def test_annotations_belong_to_the_film_that_they_name(benchmark, tmp_path):
    files = [BENCHMARKS / "annotations" / f"{name}.json" for name in ("street", "football")]
    assert benchmark.find_truth(files, Path("films/posetrack_mpiinew.mp4")) == files[1]
    assert benchmark.find_truth(files, Path("films/other.mp4")) is None
    (tmp_path / "any.json").write_text('{"segments": []}')
    assert benchmark.find_truth([tmp_path / "any.json"], Path("other.mp4")) == tmp_path / "any.json"


def test_detections_come_from_the_cache(benchmark, tmp_path):
    counts = [2, 0, 1]
    arrays = {
        "boxes": np.arange(12.0).reshape(3, 4), "scores": np.array([0.9, 0.8, 0.7]),
        "keypoints": np.ones((3, 17, 2)), "keypoint_scores": np.ones((3, 17)),
    }  # fmt: skip
    np.savez(tmp_path / "film_w_0.1.npz", counts=counts, fps=25.0, size=(640, 480), **arrays)
    video = benchmark.detect(Namespace(cache=tmp_path), Path("film.mp4"), "config", "w.pth", 0.1)
    assert [len(frame.scores) for frame in video.frames] == counts and (video.fps, video.size) == (25.0, (640, 480))
    np.testing.assert_array_equal(video.frames[2].boxes, arrays["boxes"][2:])


def test_bytetrack_follows_two_people(benchmark):
    pytest.importorskip("trackers", reason="the peer of the benchmark is not installed")
    follow = benchmark.bytetrack(25.0)
    empty = np.zeros((2, 0, 2)), np.zeros((2, 0))
    ids = []
    for step in range(5):
        boxes = np.array([[0.0, 0, 40, 100], [200.0, 0, 240, 100]]) + step
        ids.append(follow(benchmark.Detections(boxes, np.array([0.9, 0.8]), *empty)).tolist())
    assert ids[-1] == ids[-2] and sorted(ids[-1]) == [1, 2]
