"""Tracks of synthetic people whose ids are known: crossing, leaving, hidden for a second, with low scores, of several classes."""

import json
from pathlib import Path

import numpy as np
import pytest

from yolox_pose.structures.constants import DEFAULT_FPS
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.tracking import KeypointSmoother, Tracker, TrackerSettings

FPS = 25
SIZE = np.array([60.0, 150.0])
SIGMAS = np.array(COCO_PERSON.sigmas)
BODY = np.random.default_rng(7).uniform(-0.45, 0.45, (2, 17, 2))  # two poses, in shares of the box


def boxes_at(centers):
    """Return boxes (n, 4) of one size around centers (n, 2)."""
    centers = np.asarray(centers, dtype=float).reshape(-1, 2)
    return np.concatenate([centers - SIZE / 2, centers + SIZE / 2], axis=1)


def run(tracker, paths, hidden=None, noise=1.5, poses=False, seed=0):
    """Track centers (frames, people, 2) in shuffled order, and return the ids (frames, people), 0 where hidden.

    A NaN center is a person who is not there; ``hidden`` is a (frames, people) mask.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros(paths.shape[:2], dtype=int)
    for frame, centers in enumerate(paths):
        there = np.isfinite(centers[:, 0]) & (True if hidden is None else ~hidden[frame])
        people = rng.permutation(np.flatnonzero(there))
        boxes = boxes_at(centers[people]) + rng.normal(0, noise, (len(people), 4))
        options = {}
        if poses:
            options["keypoints"] = (
                centers[people][:, None] + BODY[people] * SIZE + rng.normal(0, noise, (len(people), 17, 2))
            )
            options["keypoint_scores"] = np.full((len(people), 17), 0.9)
        found[frame, people] = tracker.update(boxes, np.full(len(people), 0.8), **options)
    return found


def line(start, end, frames):
    return np.linspace(start, end, frames)


def ids_of(found):
    """Return the set of ids of each person."""
    return [set(column[column != 0].tolist()) for column in found.T]


def swapped_frames(found):
    """Return the number of frames in which a detected person has another id than at first."""
    return int(((found != found[0]) & (found > 0)).any(axis=1).sum())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("poses", [False, True])
def test_people_who_cross_keep_their_ids(seed, poses):
    paths = np.stack([line((50, 200), (450, 215), 75), line((450, 210), (50, 200), 75)], axis=1)
    found = run(Tracker(fps=FPS, sigmas=SIGMAS), paths, poses=poses, seed=seed)
    assert found[-1].tolist() == found[0].tolist()
    assert swapped_frames(found) <= (0 if poses else 1), "boxes alone say nothing in the frame where they coincide"


@pytest.mark.parametrize("seed", range(5))
def test_of_two_people_who_cross_the_one_behind_is_hidden(seed):
    paths = np.stack([line((50, 200), (450, 200), 100), line((450, 200), (50, 200), 100)], axis=1)
    hidden = np.zeros((100, 2), dtype=bool)
    hidden[:, 1] = np.abs(paths[:, 0] - paths[:, 1])[:, 0] < 30
    assert 5 < hidden.sum() < 20
    found = run(Tracker(fps=FPS), paths, hidden, seed=seed)
    assert found[-1].tolist() == found[0].tolist() and swapped_frames(found) <= 1


@pytest.mark.parametrize("speed", [0, 60, 150])  # pixels per second; a size is 95 pixels
@pytest.mark.parametrize("seed", range(3))
def test_a_second_behind_a_wall_is_bridged(speed, seed):
    paths = line((100, 200), (100 + 4 * speed, 200), 4 * FPS)[:, None]
    hidden = np.zeros((4 * FPS, 1), dtype=bool)
    hidden[40 : 40 + FPS] = True
    assert ids_of(run(Tracker(fps=FPS), paths, hidden, seed=seed)) == [{1}]


def test_who_stops_behind_the_wall_is_found_again():
    paths = np.concatenate([line((100, 200), (180, 200), 2 * FPS), np.tile([180.0, 200.0], (2 * FPS, 1))])[:, None]
    hidden = np.zeros((4 * FPS, 1), dtype=bool)
    hidden[2 * FPS : 3 * FPS] = True
    assert ids_of(run(Tracker(fps=FPS), paths, hidden)) == [{1}]


def test_who_leaves_for_long_comes_back_as_someone_else():
    paths = np.tile([100.0, 200.0], (4 * FPS, 1))[:, None]
    paths[FPS : 3 * FPS] = np.nan
    assert ids_of(run(Tracker(fps=FPS), paths)) == [{1, 2}]


def test_a_track_is_kept_for_the_whole_memory():
    tracker = Tracker(TrackerSettings(memory=1.0))
    box, score = boxes_at([100, 100]), np.array([0.8])
    ids = [tracker.update(box, score, time=time).tolist() for time in (0.0, 1.0)]
    tracker.update(box[:0], score[:0], time=1.5)
    assert ids == [[1], [1]] and tracker.update(box, score, time=2.0).tolist() == [1]


def test_a_detection_of_the_high_score_starts_a_track():
    settings = TrackerSettings()
    for score, expected in ((settings.high_score, 1), (np.nextafter(settings.high_score, 0), -1)):
        assert Tracker(settings).update(boxes_at([100, 100]), np.array([score])).tolist() == [expected]


def test_who_enters_gets_an_id_of_their_own_and_who_leaves_frees_none():
    paths = np.stack(
        [line((100, 200), (120, 200), 60), line((400, 200), (420, 200), 60), line((250, 90), (250, 95), 60)], 1
    )
    paths[:20, 1] = paths[30:, 0] = paths[:45, 2] = np.nan
    assert ids_of(run(Tracker(fps=FPS), paths)) == [{1}, {2}, {3}]


@pytest.mark.parametrize("fps", [5, 12.5, 50])
def test_other_frame_rates(fps):
    frames = int(4 * fps)
    paths = np.stack([line((50, 200), (350, 200), frames), line((350, 330), (50, 330), frames)], axis=1)
    hidden = np.zeros((frames, 2), dtype=bool)
    hidden[frames // 2 : frames // 2 + int(fps), 0] = True
    assert ids_of(run(Tracker(fps=fps), paths, hidden)) in ([{1}, {2}], [{2}, {1}])


def test_poses_part_people_whose_boxes_are_one():
    """Two people in one place swap the order of their detections: only their poses tell them apart."""
    paths = np.tile([[200.0, 200.0]], (40, 2, 1))
    assert ids_of(run(Tracker(fps=FPS, sigmas=SIGMAS), paths, poses=True)) in ([{1}, {2}], [{2}, {1}])


def test_low_score_detections_continue_a_track_but_start_none():
    tracker = Tracker(TrackerSettings(high_score=0.5))
    box = boxes_at([100, 100])
    scores = [0.3, 0.9, 0.3, 0.2, 0.05]
    assert [tracker.update(box, np.array([score]))[0] for score in scores] == [-1, 1, 1, 1, -1]


def test_a_false_alarm_of_one_frame_is_forgotten_at_once():
    tracker = Tracker()
    assert tracker.update(boxes_at([100, 100]), np.array([0.9])).tolist() == [1]
    tracker.update(np.zeros((0, 4)), np.zeros(0))
    assert tracker.update(boxes_at([100, 100]), np.array([0.9])).tolist() == [2]


def test_classes_do_not_mix():
    tracker = Tracker()
    boxes = boxes_at([[100, 100], [100, 100]])
    assert tracker.update(boxes, np.array([0.9, 0.8]), labels=np.array([0, 2])).tolist() == [1, 2]
    assert tracker.update(boxes, np.array([0.9, 0.8]), labels=np.array([2, 0])).tolist() == [2, 1]
    assert tracker.update(boxes[:1], np.array([0.9]), labels=np.array([1])).tolist() == [3]


def test_frames_without_people_may_leave_out_the_keypoints():
    tracker = Tracker(sigmas=SIGMAS)
    nobody = np.zeros((0, 4)), np.zeros(0)
    person = {"keypoints": np.ones((1, 17, 2)), "keypoint_scores": np.ones((1, 17))}
    tracker.update(*nobody)
    assert tracker.update(boxes_at([100, 100]), np.array([0.9]), **person).tolist() == [1]
    assert tracker.update(*nobody).shape == (0,)


def test_who_is_beyond_the_edge_is_known_by_the_pose():
    """A box that was clipped to nothing overlaps nobody; the pose is still the same."""
    tracker = Tracker(fps=FPS, sigmas=SIGMAS)
    pose = {"keypoints": np.array([0.0, 60]) + BODY[:1] * SIZE, "keypoint_scores": np.full((1, 17), 0.9)}
    for _ in range(4):
        assert tracker.update(np.array([[0.0, 30, 0, 45]]), np.array([0.9]), **pose).tolist() == [1]


def test_forecast_is_where_the_person_will_be():
    tracker = Tracker(fps=FPS)
    paths = line((100, 200), (300, 150), 2 * FPS)
    for center in paths:
        tracker.update(boxes_at(center), np.array([0.9]), keypoints=center + BODY[:1] * SIZE)
    velocity = (paths[1] - paths[0]) * FPS
    forecast = tracker.forecast(0.2)
    assert forecast.ids.tolist() == [1] and forecast.scores.tolist() == [0.9]
    np.testing.assert_allclose(forecast.boxes, boxes_at(paths[-1] + 0.2 * velocity), atol=2)
    np.testing.assert_allclose(forecast.keypoints, paths[-1] + 0.2 * velocity + BODY[:1] * SIZE, atol=2)
    tracker.update(np.zeros((0, 4)), np.zeros(0))
    assert len(tracker.forecast(0.2).ids) == 0, "a person who was not in the last frame is not forecast"


def test_reset_begins_anew():
    tracker = Tracker()
    tracker.update(boxes_at([[100, 100], [300, 100]]), np.array([0.9, 0.9]))
    tracker.reset()
    assert tracker.update(boxes_at([300, 100]), np.array([0.9])).tolist() == [1]


def test_frame_rates_default_to_the_shared_constant():
    assert Tracker().fps == KeypointSmoother().fps == DEFAULT_FPS


def test_times_must_rise():
    tracker = Tracker()
    tracker.update(boxes_at([100, 100]), np.array([0.9]), time=2.0)
    with pytest.raises(ValueError, match="in order"):
        tracker.update(boxes_at([100, 100]), np.array([0.9]), time=2.0)
    with pytest.raises(ValueError, match="fps"):
        Tracker(fps=0)
    with pytest.raises(ValueError, match="before the first frame"):
        Tracker().forecast(1)


PICTURE = (300, 200)
LEFT, RIGHT = [0.0, 10, 160, 200], [150.0, 10, 300, 200]  # two people who fill the picture
HALF, BOTH = [0.0, 10, 80, 200], [0.0, 10, 250, 200]


def close_up(tracker, frames, **options):
    """Track frames of (box, score) pairs, and return the ids of each frame."""
    return [
        tracker.update(np.array([box for box, _ in found]), np.array([score for _, score in found]), **options).tolist()
        for found in frames
    ]


def test_of_a_person_who_fills_the_picture_one_box_is_taken():
    """The id of a person stays, whether the whole, the half or the box with the neighbor scores highest."""
    frames = [[(LEFT, 0.8), (RIGHT, 0.8)]] * 10
    frames += [[(LEFT, 0.5), (RIGHT, 0.8), (HALF, 0.7), (BOTH, 0.8)], [(LEFT, 0.4), (RIGHT, 0.7), (BOTH, 0.9)]] * 10
    ids = close_up(Tracker(fps=FPS), frames, size=PICTURE)
    assert [found[:2] for found in ids] == [[1, 2]] * 30
    assert {i for found in ids for i in found[2:]} == {-1}
    anywhere = close_up(Tracker(fps=FPS), frames)
    assert len({i for found in anywhere for i in found}) > 2, "without the size of the picture nobody is close"


def test_if_only_halves_are_found_at_times_the_id_stays():
    frames = [[(LEFT, 0.8)], [(HALF, 0.6)], [(HALF, 0.6), (LEFT, 0.3)], [(LEFT, 0.8), (HALF, 0.5)]]
    assert close_up(Tracker(fps=FPS), frames * 5, size=PICTURE) == [[1], [1], [-1, 1], [1, -1]] * 5


def test_small_people_may_overlap_in_the_same_picture():
    boxes = np.array([[10.0, 10, 40, 90], [20.0, 10, 50, 90]])  # IoU 0.5
    assert Tracker(fps=FPS).update(boxes, np.array([0.9, 0.8]), size=PICTURE).tolist() == [1, 2]


@pytest.mark.parametrize(("score", "ids"), [(0.9, [1, 2]), (0.4, [1, -1])])
def test_two_who_hug_are_two_if_their_poses_say_so(score, ids):
    boxes = np.array([[50.0, 0, 200, 200], [90.0, 0, 240, 200]])  # IoU 0.58
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    keypoints = centers[:, None] + BODY * sides[:, None]
    pose = {"keypoints": keypoints, "keypoint_scores": np.full((2, 17), score)}
    tracker = Tracker(fps=FPS, sigmas=SIGMAS)
    for _ in range(3):
        assert tracker.update(boxes, np.array([0.9, 0.8]), size=PICTURE, **pose).tolist() == ids


def test_a_class_does_not_take_the_box_of_another():
    boxes = np.array([LEFT, LEFT])
    tracker = Tracker(fps=FPS)
    for _ in range(2):
        ids = tracker.update(boxes, np.array([0.9, 0.8]), labels=np.array([0, 2]), size=PICTURE)
        assert ids.tolist() == [1, 2]


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_that_walks_about(seed):
    """Twenty people on random courses, each hidden now and then for up to half a second: few ids change."""
    rng = np.random.default_rng(seed)
    starts, ends = rng.uniform((0, 0), (1500, 800), (2, 20, 2))
    paths = np.linspace(starts, ends, 6 * FPS)
    hidden = np.zeros(paths.shape[:2], dtype=bool)
    for person in range(20):
        begin = rng.integers(10, 100)
        hidden[begin : begin + rng.integers(2, 13), person] = True
    found = run(Tracker(fps=FPS, sigmas=SIGMAS), paths, hidden, noise=3)
    assert sum(len(ids) - 1 for ids in ids_of(found)) <= 2


RECORDED = json.loads(Path(__file__).with_name("recorded_detections.json").read_text())


def track_recorded(name, *, poses=True):
    """Track recorded detections of the model in the package, and return the ids of each frame, best score first."""
    film = RECORDED[name]
    tracker = Tracker(fps=film["fps"], sigmas=SIGMAS)
    ids = []
    for frame in film["frames"]:
        detections = {key: np.array(values, dtype=float) for key, values in frame.items()}
        if not poses:
            del detections["keypoints"], detections["keypoint_scores"]
        ids.append(tracker.update(**detections, size=tuple(film["size"])).tolist())
    return ids


@pytest.mark.parametrize("poses", [True, False])
def test_a_weak_box_beside_a_person_does_not_take_the_track(poses):
    """At 5 fps the person's box (score .80) and a duplicate (score .41) are about as near to the predicted box."""
    assert [ids[0] for ids in track_recorded("street", poses=poses)] == [1, 1, 1]


def test_a_duplicate_starts_no_second_track():
    """Two boxes of one runner and two of another pass NMS at IoU 0.65 and 0.35. A third player lies on the ground."""
    first, second = track_recorded("football")
    assert first == [1, 2, -1, -1, 3, -1, -1, -1]
    assert second == [1, 2, -1, 3, -1, -1]


def test_one_of_two_boxes_that_fit_equally_well_wins_by_its_score():
    tracker = Tracker()
    box = np.array([[100.0, 100, 160, 250]])
    for _ in range(2):
        tracker.update(box, np.array([0.9]))
    beside = np.concatenate([box - [12, 0, 12, 0], box + [11, 0, 11, 0]])
    assert tracker.update(beside, np.array([0.9, 0.3])).tolist() == [1, 2]


def test_who_leaves_the_picture_keeps_the_id_to_the_last_limb():
    """A person walks out on the left; the box shrinks to a leg and then to a foot."""
    tracker = Tracker(fps=FPS)
    boxes = [[x, 100.0, x + 60, 250] for x in range(100, -30, -6)]
    boxes += [[-32.0, 160, 28, 250], [-38, 170, 22, 250], [-44, 215, 16, 250], [-49, 225, 11, 250]]
    for x1, y1, x2, y2 in boxes:
        box = np.array([[max(x1, 0.0), y1, x2, y2]])
        assert tracker.update(box, np.array([0.8]), size=(480, 360)).tolist() == [1]


def test_a_limb_at_the_edge_is_smaller_than_its_person():
    """A large box at the edge does not continue the track of a small person who is gone."""
    tracker = Tracker(fps=FPS)
    for _ in range(3):
        tracker.update(np.array([[50.0, 100, 70, 150]]), np.array([0.8]), size=(480, 360))
    for _ in range(12):
        tracker.update(np.zeros((0, 4)), np.zeros(0), size=(480, 360))
    assert tracker.update(np.array([[0.0, 90, 100, 200]]), np.array([0.8]), size=(480, 360)).tolist() == [2]


def test_tracks_are_confirmed_by_their_second_high_score():
    tracker = Tracker()
    assert tracker.is_confirmed(np.array([1])).tolist() == [False]
    confirmed = []
    for score in (0.8, 0.2, 0.8, 0.2):
        ids = tracker.update(boxes_at([100, 100]), np.array([score]))
        confirmed.append(tracker.is_confirmed(np.append(ids, -1)).tolist())
    assert confirmed == [[False, False], [False, False], [True, False], [True, False]]


def test_who_gets_hidden_does_not_swap_ids_with_the_person_in_front():
    """High and low scores are matched in one assignment: the person in front does not take the track of the one behind."""
    front = [
        [45, 69, 139, 357], [75, 72, 151, 346], [85, 72, 171, 355], [93, 71, 187, 358], [99, 89, 196, 343],
        [102, 78, 221, 364], [105, 89, 238, 360], [105, 78, 258, 355],
    ]  # fmt: skip
    behind = [
        [84, 75, 173, 310], [96, 55, 170, 303], [106, 59, 168, 310], [113, 66, 178, 296], [118, 59, 184, 302],
        [118, 57, 186, 307], [129, 59, 188, 307], [125, 65, 187, 284],
    ]  # fmt: skip
    tracker = Tracker(fps=FPS)
    for step, pair in enumerate(zip(front, behind)):
        scores = np.array([0.8, 0.2 if 2 <= step <= 5 else 0.8])
        assert tracker.update(np.array(pair, float), scores, size=(480, 360)).tolist() == [1, 2]
