"""Synthetic people who move: exact where and when, the same from a seed, readable by the package."""

import itertools
import json

import cv2
import numpy as np
import pytest

from yolox_pose.coco.loading import load_records
from yolox_pose.coco.records import ReadOptions
from yolox_pose.evaluation.streaming import find_sequences
from yolox_pose.synthetic.body import Limb, Pose
from yolox_pose.synthetic.dataset import synthesize_crowd
from yolox_pose.synthetic.motion import random_mover, swaying_pose, walking_pose
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.rendering import picture_rng, render_sequence

OPTIONS = CrowdOptions(size=(160, 120), people=(3, 3))


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks") / "data"
    synthesize_crowd(folder, OPTIONS, train=0, val=2, frames=6, fps=5, seed=4, progress=False, workers=2)
    return folder, json.loads((folder / "annotations" / "val.json").read_text())


def test_hips_of_a_walker_move_at_its_speed():
    rng = np.random.default_rng(0)
    movers = [random_mover(rng, (200, 150), (0.5, 0.8), 0.5) for _ in range(20)]
    walking = [mover for mover in movers if mover.speed]
    assert 0 < len(walking) < 20
    for mover in movers:
        hips = [mover.at(t).figure.keypoints[11:13].mean(0) for t in (0.0, 0.25, 0.5)]
        assert np.diff(np.array(hips)[:, 0]) == pytest.approx([mover.speed * 0.25] * 2, abs=1e-6)


def test_limbs_are_periodic_and_move():
    pose = Pose(arms=(Limb(0, 0.2, 0.1),) * 2, legs=(Limb(0, 0.05, 0.0),) * 2)
    for posed in (walking_pose, swaying_pose):
        assert posed(pose, 0.3).arms[0].swing == pytest.approx(posed(pose, 0.3 + 2 * np.pi).arms[0].swing)
        assert posed(pose, 0.3).arms[0].swing != posed(pose, 1.3).arms[0].swing
    walking = walking_pose(pose, 1.0)
    assert walking.legs[0].swing > walking.legs[1].swing and walking.arms[0].swing < walking.arms[1].swing


def test_the_background_is_still_and_only_people_change():
    frames = list(itertools.islice(render_sequence(picture_rng(1, "val", 0), OPTIONS, 3, 5.0), 3))
    (first, before), (second, after) = frames[:2]
    changed = np.abs(first.astype(int) - second).max(-1) > 12
    assert changed.any()
    near = np.zeros(changed.shape, np.uint8)
    for annotation in (*before, *after):
        x, y, w, h = annotation["bbox"]
        near[max(y - 4, 0) : y + h + 12, max(x - 12, 0) : x + w + 12] = 1  # shadows lie around the feet
    assert not (changed & (near == 0)).any()


def test_tracks_keep_their_person(walks):
    _, data = walks
    by_track = {}
    frames = {image["id"]: (image["video_id"], image["frame_id"]) for image in data["images"]}
    for annotation in data["annotations"]:
        video, frame = frames[annotation["image_id"]]
        by_track.setdefault((video, annotation["track_id"]), {})[frame] = np.array(annotation["bbox"])
    assert len(by_track) == 6
    for boxes in by_track.values():
        for frame in set(boxes) & {frame - 1 for frame in boxes}:
            assert (
                abs(boxes[frame][0] - boxes[frame + 1][0]) < 45
            )  # at most one body height (96) a second, and a stride


def test_files_are_sequences_that_the_package_reads(walks):
    folder, data = walks
    assert [image["file_name"] for image in data["images"][:2]] == ["000000/000000.jpg", "000000/000001.jpg"]
    sequences = find_sequences(data["images"], fps=5)
    assert [len(sequence.image_ids) for sequence in sequences] == [6, 6]
    assert sequences[0].times == pytest.approx(np.arange(6) / 5)
    records = load_records(folder / "annotations" / "val.json", ReadOptions(image_root=folder / "val"))
    assert len(records) == 12
    assert cv2.imread(str(folder / "val" / data["images"][7]["file_name"])).shape == (120, 160, 3)


def test_seed_decides_and_equal_output_is_kept(walks, tmp_path):
    folder, _ = walks
    arguments = dict(options=OPTIONS, train=0, fps=5, seed=4, progress=False)
    assert synthesize_crowd(folder, val=2, frames=6, **arguments).kept
    synthesize_crowd(tmp_path / "again", val=1, frames=6, **arguments)
    for name in ("000000/000000.jpg", "000000/000005.jpg"):
        assert (tmp_path / "again" / "val" / name).read_bytes() == (folder / "val" / name).read_bytes()


def test_barely_seen_people_have_no_labelled_keypoint():
    options = CrowdOptions(size=(160, 120), people=(8, 8), least_shown=0.95)
    frames = list(render_sequence(picture_rng(2, "val", 0), options, 1, 5.0))
    counts = [annotation["num_keypoints"] for annotation in frames[0][1]]
    assert 0 in counts and max(counts) > 0
