"""What is shown at each frame, with and without a forecast, worked out by hand."""

import numpy as np
import pytest

from yolox_pose.engine.streaming import stream_results
from yolox_pose.evaluation.streaming import FrameSequence, run_detector
from yolox_pose.inference.results import PoseResult
from yolox_pose.tracking import Tracker


def sequence(frames, fps=10.0):
    ids = np.arange(frames) + 100
    return FrameSequence("1", ids, np.arange(frames) / fps, np.ones(frames, bool))


def walker(frames, speed=6.0):
    """Somebody who walks ``speed`` pixels a frame, and somebody unsure who stands."""
    results = []
    for frame in range(frames):
        keypoints = np.array([[[20.0, 30], [30, 60]], [[220, 30], [230, 60]]], np.float32)
        keypoints[0, :, 0] += speed * frame
        boxes = np.array([[10.0, 20, 40, 80], [210, 20, 240, 80]], np.float32)
        boxes[0, [0, 2]] += speed * frame
        scores = np.float32([0.9, 0.05])
        results.append(PoseResult(keypoints, np.ones((2, 2), np.float32), boxes, scores, np.zeros(2, np.int64)))
    return results


def test_without_latency_each_frame_shows_its_own_result():
    found = walker(4)
    frames = sequence(4)
    assert stream_results(frames, run_detector(frames.times, np.zeros(4)), found) == found


def test_with_latency_it_shows_the_last_finished_one():
    found = walker(7)
    frames = sequence(7)
    shown = stream_results(frames, run_detector(frames.times, np.full(7, 0.15)), found)
    index = {id(result): i for i, result in enumerate(found)}
    assert [None if r is None else index[id(r)] for r in shown] == [None, None, 0, 1, 1, 3, 4]


def test_a_forecast_catches_up_with_steady_motion():
    found = walker(40)
    frames = sequence(40)
    runs = run_detector(frames.times, np.full(40, 0.15))
    plain = stream_results(frames, runs, found)
    moved = stream_results(frames, runs, found, Tracker(sigmas=np.array([0.1, 0.1])))

    def errors(shown):
        return np.array([abs(s.boxes[0, 0] - f.boxes[0, 0]) for s, f in zip(shown[20:], found[20:])])

    assert errors(plain).min() >= 12  # two frames and more behind
    assert errors(moved).max() < 1
    last, truth = moved[-1], found[-1]
    assert last.keypoints[0] == pytest.approx(truth.keypoints[0], abs=1)
    assert last.boxes[0, 2] - last.boxes[0, 0] == pytest.approx(30, abs=1e-3)
    assert last.boxes[1].tolist() == found[0].boxes[1].tolist()  # too unsure for a track: stays where it was
    assert len(last) == 2 and last.scores.tolist() == truth.scores.tolist()


def test_a_forecast_of_nobody():
    nobody = [
        PoseResult(np.zeros((0, 2, 2)), np.zeros((0, 2)), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    ] * 3
    frames = sequence(3)
    shown = stream_results(frames, run_detector(frames.times, np.full(3, 0.1)), nobody, Tracker())
    assert shown[0] is None and [len(result) for result in shown[1:]] == [0, 0]
