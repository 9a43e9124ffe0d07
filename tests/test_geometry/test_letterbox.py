"""Letterbox and its inverse, on every size that an image may have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolox_pose.geometry.letterbox import Letterbox, fit_letterbox, letterbox_image
from yolox_pose.structures.constants import PAD_VALUE
from yolox_pose.structures.detections import Detections

SIDES = st.integers(1, 20_000)
CANVAS_SIDES = st.integers(32, 1536)
UNIT = st.floats(-0.5, 1.5)


@settings(deadline=None)
@given(SIDES, SIDES, CANVAS_SIDES, CANVAS_SIDES, st.booleans(), UNIT, UNIT)
def test_inverse_is_exact_for_any_size(w, h, width, height, centered, u, v):
    letterbox = fit_letterbox((w, h), (width, height), centered)
    point = np.array([u * w, v * h])
    np.testing.assert_allclose(letterbox.inverse(letterbox.forward(point)), point, atol=1e-6)


@settings(deadline=None)
@given(SIDES, SIDES, CANVAS_SIDES, CANVAS_SIDES, st.booleans())
def test_image_fills_the_canvas_along_one_side_and_keeps_its_aspect(w, h, width, height, centered):
    letterbox = fit_letterbox((w, h), (width, height), centered)
    (left, top), (new_w, new_h) = letterbox.pad, letterbox.resized
    assert new_w == width or new_h == height
    assert 1 <= new_w <= width and 1 <= new_h <= height
    assert 0 <= left <= width - new_w and 0 <= top <= height - new_h
    ideal = min(width / w, height / h)
    assert abs(new_w - w * ideal) <= 0.5 + 1e-6 or new_w == 1
    assert abs(new_h - h * ideal) <= 0.5 + 1e-6 or new_h == 1
    np.testing.assert_allclose(
        letterbox.forward([[0, 0], [w, h]]), [[left, top], [left + new_w, top + new_h]], atol=1e-6
    )


@settings(deadline=None)
@given(SIDES, SIDES, CANVAS_SIDES, CANVAS_SIDES)
def test_centred_padding_is_even(w, h, width, height):
    letterbox = fit_letterbox((w, h), (width, height))
    right = width - letterbox.pad[0] - letterbox.resized[0]
    bottom = height - letterbox.pad[1] - letterbox.resized[1]
    assert 0 <= right - letterbox.pad[0] <= 1 and 0 <= bottom - letterbox.pad[1] <= 1


def test_numbers_by_hand():
    letterbox = fit_letterbox((1000, 500), (640, 640))
    assert letterbox == Letterbox((0.64, 0.64), (0, 160), (640, 640), (1000, 500))
    assert fit_letterbox((1000, 500), (640, 640), centered=False).pad == (0, 0)
    assert fit_letterbox((333, 500), (416, 416)).resized == (277, 416)
    np.testing.assert_allclose(letterbox.forward_boxes([0, 0, 100, 50]), [0, 160, 64, 192])


def test_boxes_map_corner_by_corner_and_clip():
    letterbox = fit_letterbox((100, 50), (200, 200))
    boxes = np.array([[-10, -10, 120, 60], [10, 5, 20, 10]], dtype=np.float32)
    there = letterbox.forward_boxes(boxes)
    assert there.dtype == np.float32
    np.testing.assert_allclose(there[1], [20, 60, 40, 70])
    np.testing.assert_allclose(letterbox.inverse_boxes(there), boxes, atol=1e-5)
    np.testing.assert_allclose(letterbox.inverse_boxes(there, clip=True)[0], [0, 0, 100, 50])
    np.testing.assert_allclose(letterbox.forward_boxes(boxes, clip=True)[0], [0, 30, 200, 170])


def test_no_points_and_no_boxes():
    letterbox = fit_letterbox((100, 50), (64, 64))
    assert letterbox.inverse(np.zeros((0, 17, 2))).shape == (0, 17, 2)
    assert letterbox.inverse(np.zeros((3, 0, 2))).shape == (3, 0, 2)
    assert letterbox.inverse_boxes(np.zeros((0, 4)), clip=True).shape == (0, 4)


@pytest.mark.parametrize("source, size", [((0, 5), (64, 64)), ((5, 5), (64, 0))])
def test_empty_size_is_refused(source, size):
    with pytest.raises(ValueError, match="at least 1x1"):
        fit_letterbox(source, size)


@pytest.mark.parametrize("source", [(1, 1), (1, 20_000), (20_000, 1), (64, 64), (37, 91), (200, 31)])
def test_image_shape_and_padding(source):
    letterbox = fit_letterbox(source, (96, 64))
    out = letterbox_image(np.full((source[1], source[0], 3), 7, np.uint8), letterbox)
    assert out.shape == (64, 96, 3) and out.dtype == np.uint8
    inside = np.zeros((64, 96), bool)
    (left, top), (new_w, new_h) = letterbox.pad, letterbox.resized
    inside[top : top + new_h, left : left + new_w] = True
    assert (out[inside] == 7).all() and (out[~inside] == PAD_VALUE).all()


def test_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="10x20 px"):
        letterbox_image(np.zeros((20, 10, 3), np.uint8), fit_letterbox((20, 10), (64, 64)))


@pytest.mark.parametrize("source", [(40, 25), (25, 40), (33, 33), (150, 90), (90, 151), (320, 47)])
@pytest.mark.parametrize("size", [(96, 96), (128, 64), (61, 97)])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("where", [(0.5, 0.5), (0.3, 0.6), (0.75, 0.4)])
def test_lit_spot_and_its_point_coincide(source, size, centered, where):
    """A lit spot wide enough for bilinear sampling keeps its centre of mass on the mapped point."""
    (w, h), radius = source, 8
    cx, cy = int(w * where[0]), int(h * where[1])
    ys, xs = np.mgrid[:h, :w]
    spot = np.clip(1 - np.hypot(xs - cx, ys - cy) / radius, 0, 1) * 240
    letterbox = fit_letterbox(source, size, centered)
    out = letterbox_image(np.repeat(spot[..., None], 3, 2).astype(np.uint8), letterbox, pad_value=0)[..., 0].astype(
        float
    )
    out_ys, out_xs = np.mgrid[: size[1], : size[0]]
    # Centre of mass against that of the source, so that a spot cut by the border is fair as well.
    source_mass = spot.astype(np.uint8).astype(float)
    centre = np.array([((xs + 0.5) * source_mass).sum(), ((ys + 0.5) * source_mass).sum()]) / source_mass.sum()
    found = np.array([((out_xs + 0.5) * out).sum(), ((out_ys + 0.5) * out).sum()]) / out.sum()
    np.testing.assert_allclose(found, letterbox.forward(centre), atol=0.12)


def test_one_lit_pixel_enlarged_by_a_whole_factor():
    img = np.zeros((16, 16, 3), np.uint8)
    img[5, 9] = 255
    letterbox = fit_letterbox((16, 16), (64, 64))
    out = letterbox_image(img, letterbox)[..., 0].astype(float)
    ys, xs = np.mgrid[:64, :64]
    found = [((xs + 0.5) * out).sum() / out.sum(), ((ys + 0.5) * out).sum() / out.sum()]
    np.testing.assert_allclose(found, letterbox.forward([9.5, 5.5]), atol=1e-3)


def test_detections_are_mapped_and_only_those_without_keypoints_lose_them():
    letterbox = fit_letterbox((100, 50), (200, 200))
    points = np.array([[[20.0, 60.0], [30.0, 70.0]], [[20.0, 60.0], [30.0, 70.0]]])
    scores = np.array([[0.9, 0.0], [0.0, 0.0]])  # one keypoint of the first is unsure, the second is of a class without
    boxes = np.array([[10.0, 55.0, 40.0, 90.0], [-20.0, 30.0, 230.0, 190.0]])
    found = letterbox.inverse_detections(Detections(boxes, np.ones(2), np.zeros(2, np.int64), points, scores))
    np.testing.assert_allclose(found.boxes, [[5, 2.5, 20, 20], [0, 0, 100, 50]])
    np.testing.assert_allclose(found.keypoints, [[[10, 5], [15, 10]], [[0, 0], [0, 0]]])
