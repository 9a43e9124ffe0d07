"""Track ids and smoothed keypoints for the results of videos."""

from dataclasses import replace

import numpy as np

from yolox_pose.inference.results import PoseResult
from yolox_pose.inference.sequence import SequenceTracker, track_results
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.tracking import SmootherSettings, TrackerSettings


def result(x, frame=None, name="a.mp4", scores=(0.9, 0.8), noise=0.0):
    """Return a result with two persons beside each other."""
    boxes = np.array([[x, 0, x + 40, 100], [x + 200, 0, x + 240, 100]], np.float32)[: len(scores)]
    keypoints = np.repeat(boxes[:, None, :2], 17, axis=1) + np.float32(noise)
    return PoseResult(
        keypoints, np.full((len(scores), 17), 0.9, np.float32), boxes, np.array(scores, np.float32),
        np.zeros(len(scores), np.int64), COCO_PERSON, frame=frame, name=name,
        time=None if frame is None else frame / 10, fps=None if frame is None else 10.0,
    )  # fmt: skip


def test_ids_are_stable_and_begin_anew_with_every_video():
    frames = [result(2 * i, i) for i in range(4)] + [result(300, i, "b.mp4") for i in range(3, 5)]
    ids = [r.track_ids.tolist() for r in track_results(frames)]
    assert ids == [[1, 2]] * 6
    moved = [result(0, 0), result(900, 1)]
    assert [r.track_ids.tolist() for r in track_results(moved)] == [[1, 2], [3, 4]]


def test_low_score_detections_count_only_on_a_track():
    scores = [(0.9, 0.2), (0.9, 0.2), (0.2, 0.2), (0.05, 0.2)]
    frames = [result(0, i, scores=pair) for i, pair in enumerate(scores)]
    tracked = list(track_results(frames, TrackerSettings(high_score=0.5)))
    assert [r.track_ids.tolist() for r in tracked] == [[1], [1], [1], []]
    assert [r.low_score.tolist() for r in tracked] == [[False], [False], [True], []]
    assert tracked[2].scores.tolist() == np.array([0.2], np.float32).tolist()
    assert tracked[3].keypoints.shape == (0, 17, 2)


def test_low_score_detections_wait_until_their_track_is_confirmed():
    """A person between two thresholds is followed from the first high score on, and written from the second one on."""
    frames = [result(0, i, scores=(score,)) for i, score in enumerate((0.9, 0.2, 0.9, 0.2))]
    tracked = list(track_results(frames, TrackerSettings(high_score=0.5)))
    assert [r.track_ids.tolist() for r in tracked] == [[1], [], [1], [1]]
    assert [r.low_score.tolist() for r in tracked] == [[False], [], [False], [True]]


def test_a_video_that_is_read_again_starts_a_sequence():
    again = [result(0, 0), result(0, 1), result(900, 1), result(0, 0)]
    assert [r.track_ids.tolist() for r in track_results(again)] == [[1, 2]] * 4


def test_images_are_one_sequence():
    frames = [result(i, name=f"{i}.jpg") for i in range(3)]
    assert [r.track_ids.tolist() for r in track_results(frames)] == [[1, 2]] * 3


def test_who_fills_the_picture_is_followed_once():
    """The tracker recognizes close-ups by the size of the image: the second box shows half of the first person."""
    whole, half = [0.0, 0, 200, 200], [0.0, 0, 110, 200]
    boxes = np.array([whole, half], np.float32)
    no_scores = np.zeros((2, 17), np.float32)  # poses are not compared
    frames = [replace(result(0, i), boxes=boxes, keypoint_scores=no_scores) for i in range(3)]
    assert [len(r) for r in track_results(frames)] == [2, 2, 2]
    assert [r.boxes.tolist() for r in track_results([replace(r, size=(320, 200)) for r in frames])] == [[whole]] * 3


def test_smoothing():
    rng = np.random.default_rng(0)
    frames = [result(0, i, noise=rng.normal(0, 1)) for i in range(60)]
    raw = np.array([r.keypoints[0, 0] for r in frames])
    smooth = np.array([r.keypoints[0, 0] for r in track_results(frames, smoothing=SmootherSettings())])
    assert np.diff(smooth, axis=0).std() < 0.7 * np.diff(raw, axis=0).std()
    assert frames[0].track_ids is None, "the results that were given stay as they are"


def test_one_result_at_a_time():
    frames = [result(2 * i, i, noise=i) for i in range(4)] + [result(300, i, "b.mp4") for i in range(2)]
    tracker = SequenceTracker(smoothing=SmootherSettings())
    for mine, other in zip(map(tracker.update, frames), track_results(frames, smoothing=SmootherSettings())):
        assert mine.track_ids.tolist() == other.track_ids.tolist() == [1, 2]
        np.testing.assert_array_equal(mine.keypoints, other.keypoints)


def test_ids_continue_in_the_next_video_without_restart():
    """A film in two files: the second starts at frame 0 and time 0 again."""
    parts = [result(2 * i, i) for i in range(4)] + [result(8 + 2 * i, i, "b.mp4") for i in range(3)]
    tracker = SequenceTracker(restart=False)
    assert [tracker.update(r).track_ids.tolist() for r in parts] == [[1, 2]] * 7
    assert tracker.update(result(900, 5, "b.mp4")).track_ids.tolist() == [3, 4], "another person gets a new id"
    assert tracker.update(result(900)).track_ids.tolist() == [3, 4], "an image after the video"
    tracker.reset()
    assert tracker.update(result(900, 6, "b.mp4")).track_ids.tolist() == [1, 2]
