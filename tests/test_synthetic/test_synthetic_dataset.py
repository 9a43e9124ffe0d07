"""Synthetic crowds: their annotations against geometry worked out a second time, here in plain Python."""

import hashlib
import math
from dataclasses import fields

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from yolox_pose.errors import UsageError
from yolox_pose.synthetic import dataset
from yolox_pose.synthetic.annotation import keypoint_visibility, person_masks, rle_from_mask
from yolox_pose.synthetic.body import Limb, Look, Pose
from yolox_pose.synthetic.dataset import synthesize_crowd
from yolox_pose.synthetic.figure import PARTS_PER_PERSON, Part, build_figure, paint_figure
from yolox_pose.synthetic.options import CrowdOptions
from yolox_pose.synthetic.paint import BACKGROUND, Canvas, Capsule, Ellipse, Material, Slab
from yolox_pose.synthetic.rendering import PROP, picture_rng, render_crowd, render_scene
from yolox_pose.synthetic.scene import Actor, Prop

NOSE, L_EYE, R_EYE, L_EAR, R_EAR, L_SHOULDER, R_SHOULDER = range(7)
PLAIN = Look((120, 160, 210), (20, 20, 20), Material((200, 0, 0)), Material((0, 0, 200)), (0, 0, 0))
SMALL = CrowdOptions(size=(96, 96))
STANDING = {"arms": (Limb(0, 0.2, 0.1),) * 2, "legs": (Limb(0, 0.05, 0.0),) * 2}


def reference_distance(shape, x, y):
    """Signed distance of a point to a shape in double precision, from the shape's definition."""
    if isinstance(shape, Ellipse):
        c, s = math.cos(shape.angle), math.sin(shape.angle)
        px, py = x - shape.center[0], y - shape.center[1]
        return math.hypot((c * px + s * py) / shape.rx, (c * py - s * px) / shape.ry) - 1
    a, b = np.array(shape.a), np.array(shape.b)
    axis, point = b - a, np.array([x, y]) - a
    length = max(np.linalg.norm(axis), 1e-3)
    along = point @ axis / length
    t = min(max(along / length, 0), 1)
    if isinstance(shape, Capsule):
        return np.linalg.norm(point - t * axis) - (shape.ra + t * (shape.rb - shape.ra))
    across = abs(point[0] * -axis[1] + point[1] * axis[0]) / length
    width = shape.wa + t * (shape.wb - shape.wa)
    corner = min(shape.corner, shape.wa, shape.wb, length / 2)
    qx, qy = across - (width - corner), abs(along - length / 2) - (length / 2 - corner)
    return math.hypot(max(qx, 0), max(qy, 0)) + min(max(qx, qy), 0) - corner


def topmost(scene, x, y):
    """(person, part) that a viewer sees at a point: the last shape painted over it; None if that is too close to tell."""
    found, person = (None, None), -1
    for thing in scene.things:
        if isinstance(thing, Prop):
            pieces = [(shape, (None, "prop")) for shape, _ in thing.shapes]
        else:
            person += 1
            pieces = [(piece.shape, (person, piece.part)) for piece in thing.figure.pieces]
        for shape, name in pieces:
            distance = reference_distance(shape, x, y)
            if abs(distance) < 1e-3:
                return None
            found = name if distance < 0 else found
    return found


@pytest.mark.parametrize("index", range(6))
def test_visibility_equals_brute_force_over_the_shapes(index):
    scene, painting = render_scene(picture_rng(3, "test", index), CrowdOptions(size=(160, 128), occlusion=0.8))
    checked = 0
    for person, actor in enumerate(scene.actors):
        points, visible = keypoint_visibility(actor, person, painting.canvas.owner)
        for k, (x, y) in enumerate(np.round(actor.figure.keypoints, 2)):
            if not (0 <= x < 160 and 0 <= y < 128):
                assert visible[k] == 0 and not points[k].any()
                continue
            seen = topmost(scene, math.floor(x) + 0.5, math.floor(y) + 0.5)
            if seen is None:
                continue
            expected = seen[0] == person and seen[1] in actor.figure.surfaces[k]
            assert visible[k] == (2 if expected else 1), (person, k)
            np.testing.assert_allclose(points[k], (x, y))
            checked += 1
    assert checked > 15


def test_owner_map_equals_people_painted_alone_and_stacked():
    scene, painting = render_scene(picture_rng(5, "test", 0), CrowdOptions(occlusion=0.8, person_free=0))
    stacked, person = np.full((192, 192), BACKGROUND), 0
    for thing in scene.things:
        alone = Canvas(np.zeros((3, 192, 192)))
        if isinstance(thing, Prop):
            for shape, color in thing.shapes:
                alone.fill(shape, color, PROP)
        else:
            paint_figure(alone, thing.figure, person, 0.0)
            person += 1
        stacked = np.where(alone.owner != BACKGROUND, alone.owner, stacked)
    np.testing.assert_array_equal(painting.canvas.owner, stacked)


def test_people_who_are_nearly_hidden_are_left_out():
    options = CrowdOptions(occlusion=1.0, people=(5, 8), person_free=0, least_shown=0.3)
    for index in range(4):
        scene, painting = render_scene(picture_rng(0, "test", index), options)
        labelled = np.array([actor.role != "crowd" for actor in scene.actors])
        assert (painting.seen >= 0.3 * painting.whole)[labelled].all()
        assert 5 <= labelled.sum() <= 8


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A small data set with everything in it."""
    out = tmp_path_factory.mktemp("dataset") / "crowd"
    made = synthesize_crowd(
        out,
        CrowdOptions(size=(160, 128), crowd_regions=0.3, unlabelled=0.1, person_free=0.15),
        train=24,
        val=6,
        seed=7,
        progress=False,
    )
    assert not made.kept
    return out, made


def test_boxes_areas_and_counts_follow_from_the_masks(crowd):
    coco = COCO(crowd[0] / "annotations" / "train.json")
    assert len(coco.imgs) == 24
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        assert annotation["area"] == mask.sum() > 0
        assert annotation["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        keypoints = np.array(annotation["keypoints"]).reshape(17, 3)
        assert annotation["num_keypoints"] == (keypoints[:, 2] > 0).sum()
        for x, y, code in keypoints:
            assert code != 2 or mask[int(y), int(x)]
            assert code > 0 or (x, y) == (0, 0)


def test_masks_of_an_image_do_not_overlap(crowd):
    coco = COCO(crowd[0] / "annotations" / "train.json")
    for image_id in coco.imgs:
        masks = [coco.annToMask(a) for a in coco.imgToAnns[image_id]]
        assert not masks or np.sum(masks, axis=0).max() == 1


def test_data_set_holds_what_was_promised(crowd):
    figures = crowd[1].statistics["train"]
    assert figures["share_of_people_with_occluded_joints"] >= 0.3
    assert figures["images_without_people"] > 0 and figures["crowd_regions"] > 0
    assert figures["people_without_keypoints"] > 0
    coco = COCO(crowd[0] / "annotations" / "train.json")
    counts = [sum(not a["iscrowd"] for a in coco.imgToAnns[i]) for i in coco.imgs]
    assert {n for n in counts if n} <= set(range(2, 9))
    for name, image in (("train", coco.imgs[1]), ("val", {"file_name": "000005.jpg"})):
        img = cv2.imread(str(crowd[0] / name / image["file_name"]))
        assert img.shape == (128, 160, 3) and img.std() > 5


def test_people_hide_each_other_by_default():
    hidden = people = 0
    for index in range(30):
        scene, painting = render_scene(picture_rng(1, "test", index), CrowdOptions(size=(128, 128)))
        owner = painting.canvas.owner
        for person, actor in enumerate(scene.actors):
            points, visible = keypoint_visibility(actor, person, owner)
            x, y = points[visible == 1].astype(int).T
            hidden += bool((owner[y, x] // PARTS_PER_PERSON != person).any())
            people += 1
    assert hidden >= 0.25 * people, "too few people with joints behind somebody or something else"


def test_the_records_of_the_package_read_it_without_a_problem(crowd):
    from yolox_pose.coco.loading import find_problems, load_records
    from yolox_pose.coco.records import ReadOptions

    for split in ("train", "val"):
        ann_file = crowd[0] / "annotations" / f"{split}.json"
        assert find_problems(ann_file, ReadOptions(image_root=crowd[0] / split), decode_images=True) == []
    records = load_records(crowd[0] / "annotations" / "train.json")
    assert len(records) == 24 and (records.crowds.lengths() > 0).any()


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_gives_same_bytes_with_any_number_of_workers(tmp_path):
    made = {}
    for name, kwargs in {"a": {}, "b": {"workers": 2}, "c": {"seed": 1}}.items():
        synthesize_crowd(tmp_path / name, SMALL, train=4, val=2, progress=False, **kwargs)
        made[name] = tree(tmp_path / name)
    assert made["a"] == made["b"]
    assert made["a"]["train/000000.jpg"] != made["c"]["train/000000.jpg"]


def test_a_picture_depends_on_seed_split_and_index_alone(tmp_path):
    synthesize_crowd(tmp_path / "few", SMALL, train=2, val=1, progress=False)
    synthesize_crowd(tmp_path / "more", SMALL, train=3, val=2, progress=False)
    few, more = tree(tmp_path / "few"), tree(tmp_path / "more")
    assert all(few[name] == more[name] for name in few if name.endswith(".jpg"))
    assert more["train/000000.jpg"] != more["val/000000.jpg"]
    img, annotations = render_crowd(picture_rng(0, "train", 1), SMALL)
    again, same = render_crowd(picture_rng(0, "train", 1), SMALL)
    np.testing.assert_array_equal(img, again)
    assert annotations == same


def test_equal_output_is_kept_and_other_things_are_never_touched(tmp_path):
    arguments = {"options": SMALL, "train": 2, "val": 1, "progress": False}
    out = tmp_path / "crowd"
    made = synthesize_crowd(out, **arguments)
    before = tree(out)
    kept = synthesize_crowd(out, **arguments)
    assert kept.kept and kept.statistics == made.statistics and tree(out) == before
    with pytest.raises(UsageError, match="other seed"):
        synthesize_crowd(out, **arguments, seed=9)
    (out / "train" / "000001.jpg").unlink()
    with pytest.raises(UsageError, match="incomplete: 1 of 2 train pictures"):
        synthesize_crowd(out, **arguments)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        synthesize_crowd(foreign, **arguments)
    assert tree(foreign).keys() == {"notes.txt"}
    (tmp_path / "empty").mkdir()
    assert not synthesize_crowd(tmp_path / "empty", **arguments).kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crowd", "empty", "foreign"], "scratch folders are gone"


def test_an_interrupted_run_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "crowd_statistics", interrupt)
    with pytest.raises(KeyboardInterrupt):
        synthesize_crowd(tmp_path / "crowd", SMALL, train=1, val=0, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 0, "val": 0}, "0 training and 0 validation"),
        ({"train": -1}, "-1 training"),
        ({"people": (3, 2)}, "the smaller one first"),
        ({"size": (8, 8)}, "at least 32"),
        ({"occlusion": 2.0}, "occlusion must be between 0 and 1"),
        ({"heights": (0.0, 0.5)}, "heights"),
        ({"seed": -1}, "seed"),
        ({"clutter": -1.0}, "clutter"),
        ({"frames": -1}, "sequences of -1 pictures"),
        ({"frames": 2, "fps": 0}, "2 pictures at 0 per second"),
        ({"size": (48, 48), "people": (12, 12), "least_shown": 1.0, "person_free": 0.0}, "no room for 12 people"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    pictures = {field.name for field in fields(CrowdOptions)}
    crowd = {name: value for name, value in options.items() if name in pictures}
    others = {name: value for name, value in options.items() if name not in pictures}
    with pytest.raises(UsageError, match=message):
        synthesize_crowd(tmp_path / "crowd", CrowdOptions(**crowd), progress=False, **others)
    assert not (tmp_path / "crowd").exists()


def figure_and_codes(yaw, **pose):
    figure = build_figure(Pose(**{**STANDING, **pose}, yaw=yaw), PLAIN, height=150, foot=(100, 190))
    canvas = Canvas(np.zeros((3, 200, 200)))
    paint_figure(canvas, figure, 0, 0.0)
    actor = Actor(0.5, figure)
    return figure, keypoint_visibility(actor, 0, canvas.owner)[1]


def test_a_person_facing_the_viewer_shows_everything_with_its_left_on_the_right():
    figure, codes = figure_and_codes(0.0)
    assert (codes == 2).all()
    for left in (L_EYE, L_EAR, L_SHOULDER, 7, 9, 11, 13, 15):
        assert figure.keypoints[left, 0] > figure.keypoints[left + 1, 0]
    assert (
        figure.keypoints[NOSE, 1] < figure.keypoints[L_SHOULDER, 1] < figure.keypoints[11, 1] < figure.keypoints[15, 1]
    )


def test_a_person_facing_away_hides_its_face_and_swaps_its_sides():
    figure, codes = figure_and_codes(math.pi)
    assert codes[[NOSE, L_EYE, R_EYE]].tolist() == [1, 1, 1]
    assert codes[[L_SHOULDER, R_SHOULDER, 11, 12]].tolist() == [2, 2, 2, 2]
    assert figure.keypoints[L_SHOULDER, 0] < figure.keypoints[R_SHOULDER, 0]


def test_a_person_seen_from_its_left_hides_its_right():
    arms = (Limb(1.4, 0.1, 0.0),) * 2  # stretched forwards, away from the hips
    figure, codes = figure_and_codes(
        -math.pi / 2, arms=arms
    )  # faces the picture's left, so its left side is near the viewer
    assert codes[[NOSE, L_EAR, L_SHOULDER, 11]].tolist() == [2, 2, 2, 2]
    assert codes[[R_EYE, R_EAR, R_SHOULDER, 12]].tolist() == [1, 1, 1, 1]
    assert figure.keypoints[NOSE, 0] < figure.keypoints[L_EAR, 0]


@pytest.mark.parametrize(
    "shape", [Capsule((4.2, 3.1), (14.7, 12.3), 2.5, 1.2), Slab((9, 3), (11, 16), 5, 3, 2), Ellipse((10, 9), 6, 3, 0.4)]
)
def test_shapes_have_their_distances_and_own_the_pixels_inside(shape):
    canvas = Canvas(np.zeros((3, 20, 20)))
    canvas.fill(shape, (255, 255, 255), 5)
    for y in range(20):
        for x in range(20):
            distance = reference_distance(shape, x + 0.5, y + 0.5)
            if abs(distance) > 1e-3:
                assert (canvas.owner[y, x] == 5) == (distance < 0)
    inside = canvas.owner == 5
    assert (canvas.planes[0][inside] >= 127).all() and (canvas.planes[0][~inside] <= 128).all()


def test_masks_leave_out_the_stool():
    owner = np.full((4, 6), BACKGROUND)
    owner[1, 1:3], owner[2, 1:3] = int(Part.TORSO), int(Part.SEAT)
    masks = person_masks(owner, 1)
    assert masks.sum() == 2 and masks[0, 1, 1:3].all()


@pytest.mark.parametrize("mask", [np.zeros((3, 4)), np.ones((3, 4)), np.eye(4), np.eye(4)[::-1]])
def test_run_lengths_decode_to_the_mask(mask):
    from pycocotools import mask as mask_utils

    rle = rle_from_mask(mask.astype(bool))
    np.testing.assert_array_equal(mask_utils.decode(mask_utils.frPyObjects(rle, *rle["size"])), mask)
