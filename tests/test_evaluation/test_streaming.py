"""Which prediction is current at which frame: small cases worked out by hand."""

import numpy as np
import pytest

from yolox_pose.errors import DataError, UsageError
from yolox_pose.evaluation.streaming import age_of_predictions, current_runs, find_sequences, run_detector


def simulate(latencies, fps=10.0, frames=None):
    latencies = np.broadcast_to(latencies, frames or len(np.atleast_1d(latencies))).astype(float)
    times = np.arange(len(latencies)) / fps
    runs = run_detector(times, latencies)
    return times, runs, current_runs(times, runs)


def frames_shown(runs, current):
    """Frame that is shown at each frame, -1 for none."""
    return [int(runs.frames[c]) if c >= 0 else -1 for c in current]


def test_a_detector_that_needs_no_time_is_offline():
    _, runs, current = simulate(0.0, frames=5)
    assert runs.frames.tolist() == [0, 1, 2, 3, 4]
    assert frames_shown(runs, current) == [0, 1, 2, 3, 4]


def test_exactly_one_frame_of_latency_is_one_frame_late_throughout():
    # 1/10 s at 10 frames a second: floating-point sums of 0.1 must not make it two
    _, runs, current = simulate(0.1, frames=60)
    assert runs.frames.tolist() == list(range(60))
    assert frames_shown(runs, current) == list(range(-1, 59))


def test_a_detector_that_is_a_little_too_slow_skips_frames():
    # 0.15 s at 10 a second: starts 0.00 (frame 0), 0.15 (1), 0.30 (3), 0.45 (4), 0.60 (6); ready 0.15, 0.30, 0.45, 0.60
    times, runs, current = simulate(0.15, frames=7)
    assert runs.frames.tolist() == [0, 1, 3, 4, 6]
    assert runs.started == pytest.approx([0, 0.15, 0.3, 0.45, 0.6])
    assert frames_shown(runs, current) == [-1, -1, 0, 1, 1, 3, 4]
    assert age_of_predictions(times, runs)[2:] == pytest.approx([0.2, 0.2, 0.3, 0.2, 0.2])
    assert np.isnan(age_of_predictions(times, runs)[:2]).all()


def test_a_fast_detector_waits_for_the_next_frame():
    # 0.04 s at 10 a second: every frame is worked on, but shown one frame later
    _, runs, current = simulate(0.04, frames=4)
    assert runs.started == pytest.approx([0, 0.1, 0.2, 0.3])
    assert frames_shown(runs, current) == [-1, 0, 1, 2]


def test_latencies_of_each_frame():
    # frame 0 takes 0.25 s (1 and 2 arrive meanwhile), frame 2 then 0.1 s, frame 3 0.5 s
    _, runs, current = simulate([0.25, 9, 0.1, 0.5, 9, 9])
    assert runs.frames.tolist() == [0, 2, 3, 5]
    assert runs.finished == pytest.approx([0.25, 0.35, 0.85, 9.85])
    assert frames_shown(runs, current) == [-1, -1, -1, 0, 2, 2]


def test_slower_than_the_sequence():
    _, runs, current = simulate(5.0, frames=4)
    assert runs.frames.tolist() == [0, 3] and frames_shown(runs, current) == [-1] * 4


def test_frames_with_gaps():
    times = np.array([0.0, 0.1, 0.5])
    runs = run_detector(times, np.full(3, 0.2))
    assert runs.frames.tolist() == [0, 1, 2]
    assert current_runs(times, runs).tolist() == [-1, -1, 1]


def test_nothing_to_run():
    runs = run_detector(np.zeros(0), np.zeros(0))
    assert len(runs.frames) == 0 and current_runs(np.zeros(0), runs).tolist() == []


def test_sequences_of_a_file():
    images = [
        {"id": 5, "video_id": 1, "frame_id": 2},
        {"id": 9, "video_id": 1, "frame_id": 0},
        {"id": 7, "video_id": 2, "frame_id": 30, "is_labeled": False},
        {"id": 8, "video_id": 2, "frame_id": 34, "is_labeled": True},
    ]
    first, second = find_sequences(images, fps=2)
    assert first.name == "1" and first.image_ids.tolist() == [9, 5] and first.times.tolist() == [0, 1.0]
    assert second.times.tolist() == [0, 2.0] and second.scored.tolist() == [False, True]
    (ordered,) = find_sequences([{"id": i, "vid_id": "0001"} for i in (30, 10, 20)], fps=10)
    assert ordered.image_ids.tolist() == [10, 20, 30] and ordered.times == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("images", "fps", "error", "message"),
    [
        ([{"id": 3}], 10, DataError, "val.json: image 3 has no video_id and no vid_id"),
        ([{"id": i, "video_id": 1, "frame_id": 4} for i in (1, 2)], 10, DataError, "sequence 1 has the frame 4 twice"),
        ([], 0, UsageError, "frames per second must be above 0, not 0"),
    ],
)
def test_what_is_no_sequence_is_refused(images, fps, error, message):
    with pytest.raises(error, match=message):
        find_sequences(images, fps, "val.json")


def test_posetrack_samples(shared_data):
    from yolox_pose.utils.json_files import read_json

    path = shared_data / "mmpose_samples" / "posetrack18" / "annotations" / "test_posetrack18_val.json"
    sequences = find_sequences(read_json(path, "annotations")["images"], fps=25)
    assert [(s.name, len(s.image_ids)) for s in sequences] == [("012834", 1), ("009473", 1), ("003418", 1)]
