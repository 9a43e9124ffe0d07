import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolox_pose.datasets import augment
from yolox_pose.datasets.augment import Instances, clip_instances, warp_instances
from yolox_pose.geometry.affine import affine_matrix, determinant, scaling, warp_points
from yolox_pose.geometry.boxes import box_areas
from yolox_pose.structures.skeleton import COCO_PERSON

FLIP = COCO_PERSON.flip_indices


def people(seed, number=5, size=(200, 160)):
    """Random instances inside an image, keypoints inside their boxes."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (number, 2, 2)), axis=1) * size
    boxes = corners.reshape(number, 4)
    keypoints = boxes[:, None, :2] + rng.random((number, 17, 2)) * (boxes[:, None, 2:] - boxes[:, None, :2])
    return Instances(
        boxes.astype(np.float32), rng.integers(0, 3, number), keypoints.astype(np.float32),
        rng.integers(0, 3, (number, 17)).astype(np.uint8), rng.uniform(10, 5000, number).astype(np.float32), np.arange(number),
    )  # fmt: skip


seeds = st.integers(0, 2**32 - 1)
matrices = st.builds(
    lambda scale, rotation, sx, sy, dx, dy: affine_matrix((100, 80), scale=scale, rotation=rotation, shear=(sx, sy), shift=(dx, dy)),
    st.floats(0.3, 2), st.floats(-180, 180), st.floats(-10, 10), st.floats(-10, 10), st.floats(-50, 50), st.floats(-50, 50),
)  # fmt: skip


@given(seeds, matrices)
def test_warped_boxes_hold_their_keypoints_and_areas_scale_by_the_determinant(seed, matrix):
    before = people(seed)
    after = warp_instances(before, matrix)
    assert (after.keypoints >= after.boxes[:, None, :2] - 0.01).all()
    assert (after.keypoints <= after.boxes[:, None, 2:] + 0.01).all()
    np.testing.assert_allclose(after.areas, before.areas * determinant(matrix), rtol=1e-5)
    np.testing.assert_allclose(after.keypoints, warp_points(before.keypoints, matrix), atol=1e-3)
    assert after.visible is before.visible


@given(seeds, matrices)
def test_a_warp_and_its_inverse_bring_keypoints_back(seed, matrix):
    before = people(seed)
    back = warp_instances(warp_instances(before, matrix), np.linalg.inv(matrix))
    np.testing.assert_allclose(back.keypoints, before.keypoints, atol=0.01)
    np.testing.assert_allclose(back.areas, before.areas, rtol=1e-4)


@given(seeds, st.floats(0.2, 4), st.floats(0.2, 4))
def test_upright_warps_scale_boxes_exactly(seed, sx, sy):
    before = people(seed)
    after = warp_instances(before, scaling(sx, sy))
    np.testing.assert_allclose(after.boxes, before.boxes * np.float32([sx, sy, sx, sy]), rtol=1e-5)
    np.testing.assert_allclose(box_areas(after.boxes) / after.areas, box_areas(before.boxes) / before.areas, rtol=1e-2)


@given(seeds, st.floats(0, 150), st.floats(0, 120), st.floats(1, 150), st.floats(1, 120))
def test_clipping(seed, x, y, width, height):
    before, region = people(seed), (x, y, x + width, y + height)
    after = clip_instances(before, region)
    old = before.select(after.ann_ids)
    assert (after.boxes[:, :2] >= np.float32(region[:2])).all() and (after.boxes[:, 2:] <= np.float32(region[2:])).all()
    assert (after.boxes[:, 2:] > after.boxes[:, :2]).all()
    np.testing.assert_allclose(after.areas / old.areas, box_areas(after.boxes) / box_areas(old.boxes), rtol=1e-4)
    points = after.keypoints[after.visible > 0]
    assert (points >= np.array(region[:2]) - 0.01).all() and (points <= np.array(region[2:]) + 0.01).all()
    inside = ((old.keypoints > region[:2]) & (old.keypoints < region[2:])).all(axis=2)
    np.testing.assert_array_equal(after.visible[inside], old.visible[inside])
    gone = np.setdiff1d(before.ann_ids, after.ann_ids)
    left = np.clip(before.boxes[gone], np.float32([x, y, x, y]), np.float32(region)[[2, 3, 2, 3]])
    assert (box_areas(left) == 0).all()


@given(seeds)
def test_clipping_twice_is_clipping_once(seed):
    once = clip_instances(people(seed), (30, 20, 120, 100))
    twice = clip_instances(once, (30, 20, 120, 100))
    for first, second in zip(once, twice):
        np.testing.assert_array_equal(first, second)


@given(seeds, st.integers(1, 3000))
def test_mirroring_twice_changes_nothing(seed, width):
    before = people(seed)
    once = augment.mirror_instances(before, width, FLIP)
    np.testing.assert_allclose(
        once.boxes[:, [2, 1, 0, 3]],
        np.float32([width, 0, width, 0]) + before.boxes * np.float32([-1, 1, -1, 1]),
        atol=1e-3,
    )
    twice = augment.mirror_instances(once, width, FLIP)
    np.testing.assert_allclose(twice.keypoints, before.keypoints, atol=1e-3)
    np.testing.assert_array_equal(twice.visible, before.visible)
    np.testing.assert_array_equal(once.visible[:, 5], before.visible[:, 6])


def test_half_a_person_has_half_the_area():
    person = people(0, 1)._replace(boxes=np.float32([[10, 20, 30, 60]]), areas=np.float32([400]))
    clipped = clip_instances(person, (20, 0, 100, 100))
    assert clipped.boxes.tolist() == [[20, 20, 30, 60]] and clipped.areas.tolist() == [200]
    assert clip_instances(person, (30, 0, 100, 100)).boxes.shape == (0, 4)


def test_keypoint_on_the_border_stays():
    person = people(0, 1)
    person.keypoints[0, :3], person.visible[0, :3] = [[0, 0], [200, 160], [200.1, 160]], 2
    assert clip_instances(person._replace(boxes=np.float32([[0, 0, 200, 160]])), (0, 0, 200, 160)).visible[
        0, :3
    ].tolist() == [2, 2, 0]


def test_no_instances():
    none = people(0, 0)
    for result in (
        warp_instances(none, np.eye(3)),
        clip_instances(none, (0, 0, 5, 5)),
        augment.mirror_instances(none, 9, FLIP),
        augment.concat_instances([none, none]),
    ):
        assert (
            result.boxes.shape == (0, 4) and result.keypoints.shape == (0, 17, 2) and result.areas.dtype == np.float32
        )
    both = augment.concat_instances([none, people(1, 3)])
    assert (
        [len(values) for values in both] == [3] * 6 and both.visible.dtype == np.uint8 and both.labels.dtype == np.int64
    )


def test_large_enough_is_strict():
    boxes = np.float32([[0, 0, 1, 5], [0, 0, 1.5, 1.5], [0, 0, 5, 0.5]])
    assert augment.large_enough(boxes, 1.0).tolist() == [False, True, False]


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(1, 900)), min_size=4, max_size=4),
    st.floats(0.5, 1.5),
    st.floats(0.5, 1.5),
)
def test_mosaic_images_meet_in_the_centre_inside_the_canvas(sources, cx, cy):
    size, center = (320, 256), (int(cx * 320), int(cy * 256))
    places = augment.mosaic_placements(sources, size, center)
    touching = [(2, 3), (0, 3), (2, 1), (0, 1)]
    for source, place, (a, b) in zip(sources, places, touching):
        assert (place.region[a], place.region[b]) == pytest.approx(center, abs=1e-6)
        x1, y1, x2, y2 = place.region
        assert x1 >= 0 and y1 >= 0 and x2 <= 640 and y2 <= 512
        corners = warp_points([[0, 0], source], place.matrix)
        shown = corners[1] - corners[0]
        assert shown.max() <= 320 + 1e-6 and (np.isclose(shown, size)).any()
        assert place.matrix[0, 0] == place.matrix[1, 1]
    assert places[0].region[2] <= places[1].region[0] + 1e-6 and places[0].region[3] <= places[2].region[1] + 1e-6


@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)), st.floats(0.8, 1.6), st.booleans(), st.floats(0, 0.999), st.floats(0, 0.999)
)  # fmt: skip
def test_mixup_window_lies_inside_the_scaled_canvas(source, jitter, mirror, u, v):
    size = (320, 256)
    place = augment.mixup_placement(source, size, size, jitter=jitter, mirror=mirror, crop=(u, v))
    corners = warp_points([[0, 0], source], place.matrix)
    low, high = corners.min(axis=0), corners.max(axis=0)
    np.testing.assert_allclose(corners, np.round(corners), atol=1e-9)
    np.testing.assert_allclose(
        high - low, np.maximum(np.array(source) * augment.fit_scale(source, size) * jitter, 1), atol=0.5
    )
    room = np.maximum(np.array(size) * jitter - size, 0)
    assert (low >= -room - 1).all() and (high <= np.array(size) * max(jitter, 1) + 1).all()
    x1, y1, x2, y2 = place.region
    assert 0 <= x1 <= x2 <= 320 and 0 <= y1 <= y2 <= 256
    np.testing.assert_allclose([x1, y1, x2, y2], np.clip(np.round([*low, *high]), 0, [*size, *size]))


def test_hsv_tables_equal_the_plain_arithmetic():
    import cv2

    img = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    for gains in ((5, 30, -30), (-5, -30, 30), (0, 0, 17)):
        hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV).astype(int) + gains
        hsv = np.stack([hsv[..., 0] % 180, hsv[..., 1].clip(0, 255), hsv[..., 2].clip(0, 255)], axis=2)
        expected = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
        np.testing.assert_array_equal(augment.shift_hsv(img, gains), expected)
    assert augment.shift_hsv(img, (0, 0, 0)) is img
