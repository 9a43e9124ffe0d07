"""Drawing: places, colors, order and opacity, and unusual inputs."""

import numpy as np
import pytest

from yolox_pose.structures.skeleton import COCO_PERSON, LEFT_COLOR, MIDDLE_COLOR, RIGHT_COLOR, Skeleton
from yolox_pose.visualization import painting
from yolox_pose.visualization.canvas import PALETTE
from yolox_pose.visualization.drawing import draw_poses
from yolox_pose.visualization.figures import drawn_areas, visible_span
from yolox_pose.visualization.tags import Tag, draw_tags, head_boxes, tag_places, tag_texts

PAIR = Skeleton(names=("left_hand", "right_hand"), links=((0, 1),))


def draw(img=None, **changes):
    """Draw one person with two keypoints into a gray image."""
    settings = {
        "keypoints": np.array([[[40.0, 60.0], [140.0, 60.0]]]),
        "keypoint_scores": np.ones((1, 2)),
        "boxes": np.array([[20.0, 20, 180, 180]]),
        "scores": np.array([0.9]),
        "skeleton": PAIR,
    }
    return draw_poses(gray() if img is None else img, **{**settings, **changes})


def gray(height=200, width=200):
    return np.full((height, width, 3), 127, np.uint8)


def changed(picture):
    return (picture != 127).any(axis=2)


def test_input_is_not_modified_and_output_is_new():
    img = gray()
    out = draw(img)
    assert (img == 127).all() and out.shape == img.shape and out.dtype == np.uint8
    assert changed(out).any() and not np.shares_memory(out, img)


@pytest.mark.parametrize("num_keypoints", [0, 2])
def test_nobody(num_keypoints):
    arrays = {"keypoints": np.zeros((0, num_keypoints, 2)), "keypoint_scores": np.zeros((0, num_keypoints))}
    out = draw(**arrays, boxes=np.zeros((0, 4)), scores=np.zeros(0))
    assert (out == 127).all()


@pytest.mark.parametrize("skeleton", [None, PAIR])
def test_objects_without_keypoints_take_the_color_of_their_class(skeleton):
    arrays = {"keypoints": np.zeros((2, 0, 2)), "keypoint_scores": np.zeros((2, 0)), "skeleton": skeleton}
    boxes = np.array([[20.0, 50, 60, 180], [120, 50, 160, 180]])
    out = draw(**arrays, boxes=boxes, scores=np.array([0.9, 0.8]), labels=np.array([3, 3]), classes=list("abcdef"))
    assert np.array_equal(out[100, 20], out[100, 120]) and changed(out)[100, 20]


def test_left_and_right_keypoints_have_their_colors():
    out = draw(boxes=np.array([[-300.0, -300, 500, 500]]), show_boxes=False, show_tags=False)
    ring = 8  # px from the center: between the bright middle and the rim of a disc of radius 11.4
    assert out[60 - ring, 40].tolist() == list(LEFT_COLOR) and out[60 - ring, 140].tolist() == list(RIGHT_COLOR)


def test_a_keypoint_is_drawn_where_it_is():
    one = Skeleton(names=("nose",))
    arrays = {"keypoints": np.array([[[70.3, 91.8]]]), "keypoint_scores": np.ones((1, 1)), "skeleton": one}
    out = draw(**arrays, show_boxes=False, show_tags=False)
    weight = np.abs(out.astype(float) - 127).sum(axis=2)
    ys, xs = np.mgrid[:200, :200] + 0.5
    np.testing.assert_allclose(
        [(xs * weight).sum() / weight.sum(), (ys * weight).sum() / weight.sum()], [70.3, 91.8], atol=0.1
    )


def test_opacity_grows_with_the_keypoint_score_and_ends_at_the_threshold():
    strength = []
    for score in (0.29, 0.31, 0.6, 1.0):
        out = draw(keypoint_scores=np.full((1, 2), score), show_boxes=False, show_tags=False)
        strength.append(np.abs(out.astype(int) - 127).sum())
    assert strength[0] == 0 and strength == sorted(strength) and strength[1] > 0


def test_a_limb_needs_both_ends():
    out = draw(keypoint_scores=np.array([[0.9, 0.1]]), show_boxes=False, show_tags=False)
    assert changed(out)[60, 40] and not changed(out)[60, 80:].any()


def test_ground_truth_codes():
    codes = np.array([[1, 2]])
    out = draw(keypoint_scores=None, scores=None, keypoints_visible=codes, show_boxes=False)
    assert out[60, 40].max() < 60 and out[60, 140].min() == 255  # hollow is dark inside, filled has a bright middle
    assert not changed(draw(keypoint_scores=None, scores=None, keypoints_visible=codes * 0, show_boxes=False)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_left_out(bad):
    keypoints, boxes = np.array([[[bad, 60.0], [140.0, 60.0]]]), np.array([[20.0, 20, bad, 180]])
    out = draw(keypoints=keypoints, boxes=boxes, scores=np.array([bad]), keypoint_scores=np.array([[bad, 1.0]]))
    assert changed(out)[60, 140] and changed(out).sum() < 100


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12, -1e12])
def test_far_outside_the_image(far):
    keypoints = np.array([[[100.0, 100.0], [far, 100.0]]])
    out = draw(keypoints=keypoints, boxes=np.array([[-abs(far), -abs(far), abs(far), abs(far)]]), show_tags=False)
    side = slice(120, 200) if far > 0 else slice(0, 80)
    assert changed(out)[100, side].all(), "the limb leads out of the image"
    assert not changed(out)[:60].any() and not changed(out)[140:].any()


def test_everything_outside_the_image():
    out = draw(keypoints=np.full((1, 2, 2), 5000.0), boxes=np.full((1, 4), 5000.0), show_tags=False)
    assert not changed(out).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_images(shape):
    assert draw(gray(*shape)).shape == (*shape, 3)


RING = 8  # px from the center of a large disc: between its bright middle and its rim


def test_small_persons_are_drawn_under_large_ones():
    """The left hand of a large person lies on the limb of a small one, whose color differs."""
    keypoints = np.array([[[90.0, 60.0], [160.0, 60.0]], [[90.0, 20.0], [90.0, 100.0]]])
    boxes = np.array([[-300.0, -300, 500, 500], [85, 15, 95, 105]])
    common = {"keypoint_scores": np.ones((2, 2)), "scores": np.ones(2), "show_boxes": False, "show_tags": False}
    both = draw(keypoints=keypoints, boxes=boxes, **common)
    swapped = draw(keypoints=keypoints[::-1], boxes=boxes[::-1], **common)
    np.testing.assert_array_equal(both, swapped)
    small = draw(keypoints=keypoints[1:], boxes=boxes[1:], **{**common, "keypoint_scores": np.ones((1, 2))})
    assert small[60 - RING, 90].tolist() == list(MIDDLE_COLOR), "the limb of the small person is there"
    assert both[60 - RING, 90].tolist() == list(LEFT_COLOR), "the hand of the large person covers it"


def test_small_boxes_are_drawn_under_large_ones():
    """Where two outlines cross, the color of the large person dominates, whichever comes first."""
    boxes = np.array([[20.0, 20, 180, 180], [100, 100, 190, 190]])
    arrays = {"keypoints": np.zeros((2, 0, 2)), "keypoint_scores": None, "skeleton": None, "scores": None}
    for order in ([0, 1], [1, 0]):
        out = draw(**arrays, boxes=boxes[order], track_ids=np.array([2, 6])[order], show_tags=False)
        large, small = np.array(PALETTE[2]), np.array(PALETTE[6])
        under = 0.3 * 127 + 0.7 * small
        assert np.abs(out[180, 100] - (0.3 * under + 0.7 * large)).max() < 5


@pytest.mark.parametrize(("scores", "color"), [((0.4, 1.0), RIGHT_COLOR), ((1.0, 0.4), LEFT_COLOR)])
def test_faint_keypoints_are_drawn_under_opaque_ones(scores, color):
    keypoints, box = np.full((1, 2, 2), 90.0), np.array([[-300.0, -300, 500, 500]])
    arrays = {"keypoints": keypoints, "keypoint_scores": np.array([scores]), "boxes": box}
    out = draw(**arrays, skeleton=Skeleton(names=PAIR.names), show_boxes=False, show_tags=False)
    assert out[90 - RING, 90].tolist() == list(color)


@pytest.mark.parametrize(("scores", "left_is_on_top"), [((0.4, 0.4, 1.0, 1.0), False), ((1.0, 1.0, 0.4, 0.4), True)])
def test_faint_limbs_are_drawn_under_opaque_ones(scores, left_is_on_top):
    names = ("left_hand", "left_foot", "right_hand", "right_foot")
    cross = Skeleton(names=names, links=((0, 1), (2, 3)))
    keypoints = np.array([[[20.0, 100], [180, 100], [100, 20], [100, 180]]])
    scores, box = np.array([scores]), np.array([[-300.0, -300, 500, 500]])
    out = draw(
        keypoints=keypoints, keypoint_scores=scores, boxes=box, skeleton=cross, show_boxes=False, show_tags=False
    )
    assert out[100, 100].tolist() == list(LEFT_COLOR if left_is_on_top else RIGHT_COLOR)


def test_discs_are_drawn_over_limbs_and_insides_over_casings():
    """The limb goes through a keypoint in its middle, and does not cover its disc."""
    names = ("left_hand", "left_foot", "right_hand")
    line = Skeleton(names=names, links=((0, 1),))
    keypoints = np.array([[[20.0, 100], [180, 100], [100, 100]]])
    box = np.array([[-300.0, -300, 500, 500]])
    out = draw(
        keypoints=keypoints,
        keypoint_scores=np.ones((1, 3)),
        boxes=box,
        skeleton=line,
        show_boxes=False,
        show_tags=False,
    )
    assert out[100 - RING, 100].tolist() == list(RIGHT_COLOR)
    assert out[100, 20 + RING].tolist() == list(LEFT_COLOR), "no casing between a limb and its end"


def test_large_persons_choose_the_places_of_their_tags_first():
    """Two boxes begin at one corner: the tag of the large one is above them, and that of the small one elsewhere."""
    boxes = np.array([[20.0, 60, 190, 190], [20.0, 60, 110, 170]])
    arrays = {"keypoints": np.zeros((2, 0, 2)), "keypoint_scores": None, "skeleton": None, "show_boxes": False}
    for order in ([0, 1], [1, 0]):
        ids = np.array([2, 6])[order]
        out = draw(**arrays, boxes=boxes[order], scores=np.ones(2), track_ids=ids)
        assert np.abs(out[58, 21] - (0.2 * 127 + 0.8 * np.array(PALETTE[2]))).max() < 2


def test_a_box_is_drawn_on_the_pixels_that_contain_its_corners():
    arrays = {"keypoints": np.zeros((1, 0, 2)), "keypoint_scores": None, "skeleton": None, "scores": None}
    out = draw(**arrays, boxes=np.array([[20.9, 30.1, 59.9, 80.1]]), show_tags=False)
    strength = np.abs(out.astype(int) - 127).sum(axis=2)
    row, column = strength[50], strength[:, 40]
    assert [row[:40].argmax(), column[:50].argmax()] == [20, 30]
    assert [40 + row[40:].argmax(), 50 + column[50:].argmax()] == [59, 80]


def test_drawn_areas_hold_every_pixel_that_is_touched():
    bounds = np.array([[20.5, 30.5, 40.2, 50.2], [-5.0, -5.0, 500.0, 500.0], [np.inf, np.inf, -np.inf, -np.inf]])
    areas = drawn_areas(bounds, np.full((3, 1), 1.25), (100, 80, 3))
    assert areas[:2].tolist() == [[19, 29, 42, 52], [0, 0, 80, 100]]
    assert (areas[2, 2:] <= areas[2, :2]).all(), "nothing is drawn of a person without keypoints"


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ((2, 3), (8, 9), (0, 1)),
        ((-30, 5), (10, 5), (0.5, 1)),
        ((10, 5), (50, 5), (0, 0.25)),
        ((4, -20), (4, 30), (0.2, 0.8)),
    ],
)
def test_segments_are_clipped_to_the_area_and_its_margin(start, end, span):
    start, end = (np.array(point, float).reshape(2, 1, 1) for point in (start, end))
    first, last = visible_span(start, end - start, np.full((2, 1, 1), 10.0), margin=np.array([[10.0]]))
    assert (first.item(), last.item()) == pytest.approx(span)


def test_persons_apart_are_drawn_as_each_alone():
    arrays = {
        "keypoints": np.array([[40.0, 30], [160, 40]]) + np.array([[[0, 0]], [[0, 60]], [[0, 500]], [[0, 120]]]),
        "boxes": np.array([[20.0, 0, 180, 40]]) * np.array([[1], [2], [3], [4]]),
        "keypoint_scores": np.array([[0.9, 0.5], [0.2, 0.7], [0.9, 0.9], [0.6, 1.0]]),
        "keypoints_visible": np.array([[2, 2], [2, 1], [2, 2], [1, 2]]),
    }
    looks = {"scores": None, "show_boxes": False, "show_tags": False}
    expected = gray()
    for i in range(4):
        one = draw(**{key: array[i : i + 1] for key, array in arrays.items()}, **looks)
        expected[changed(one)] = one[changed(one)]
    np.testing.assert_array_equal(draw(**arrays, **looks), expected)


def test_blending_follows_alpha_in_every_block():
    rng = np.random.default_rng(0)
    canvas, before = rng.integers(0, 256, (2, 300, 200, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 1, 100, 254, 255], dtype=np.uint8), (300, 190))
    layer, rest = canvas.copy(), before[:, 5:195]
    assert alpha.size > 2 * painting.BLEND_BLOCK
    painting.blend(canvas[:, 5:195], rest, alpha)
    share = alpha[..., None] / 255
    np.testing.assert_allclose(canvas[:, 5:195], layer[:, 5:195] * share + rest * (1 - share), atol=0.51)
    np.testing.assert_array_equal(canvas[:, 5:195][alpha == 0], rest[alpha == 0])
    np.testing.assert_array_equal(canvas[:, 5:195][alpha == 255], layer[:, 5:195][alpha == 255])
    np.testing.assert_array_equal(canvas[:, :5], layer[:, :5])


def test_zoom_enlarges_the_picture_and_the_coordinates():
    out = draw(zoom=1.5, show_boxes=False, show_tags=False)
    assert out.shape == (300, 300, 3)
    assert changed(out)[90, 60] and changed(out)[90, 210] and not changed(out)[60, 40]


def test_tags_name_track_class_and_score():
    texts = tag_texts(2, np.array([0.5, np.nan]), np.array([1, 7]), np.array([4, 5]), ["person", "ball"])
    assert texts == ["#4 ball 0.50", "#5 class 7"]
    assert tag_texts(1, np.array([0.256]), np.array([0]), None, ["person"]) == ["0.26"]
    assert tag_texts(1, None, None, None, None) == [""]


def test_tags_of_neighbours_do_not_cover_each_other():
    boxes = np.tile([[60.0, 60, 120, 150]], (3, 1)) + np.arange(3)[:, None]
    occupied = []
    for box in boxes:
        places = tag_places(box, (30, 12), (200, 200, 3))
        occupied.append(next(p for p in places if not any(p.meets(q) for q in occupied)))
    assert len(set(occupied)) == 3


def test_a_person_that_is_narrower_than_its_tag_has_none():
    keypoints = np.array([[[30.0, 30], [30, 60]]])
    narrow, wide = (draw(keypoints=keypoints, boxes=np.array([[20.0, 20, right, 190]])) for right in (45, 80))
    plain = draw(keypoints=keypoints, boxes=np.array([[20.0, 20, 45, 190]]), show_tags=False)
    np.testing.assert_array_equal(narrow, plain)
    assert changed(wide)[:15].any(), "above the box"


def test_no_tag_covers_the_head_of_another_person():
    """The lower person's tag fits nowhere above it, as the head of the upper person is there."""
    canvas, box = gray(), np.array([60.0, 60, 140, 160])
    head = np.array([50.0, 40, 150, 75])
    own, other = (Tag("0.9", box, (0, 0, 255), 90.0, where) for where in (np.array([80.0, 60, 120, 80]), None))
    draw_tags(canvas, [own, Tag("", box, (0, 0, 255), 90.0, head)])
    assert not changed(canvas)[40:75].any() and changed(canvas)[140:].any(), "below instead"
    blocked, above = gray(), gray()
    draw_tags(blocked, [own, Tag("", box, (0, 0, 255), 90.0, np.array([0.0, 0, 200, 200]))])
    assert not changed(blocked).any(), "no place is free"
    draw_tags(above, [own, other])
    assert changed(above)[40:60, 60:].any(), "its own head is no obstacle, and an object has none"


def test_heads_are_around_the_face_or_at_the_top_of_the_box():
    names = ("nose", "left_ear", "left_forearm")
    keypoints = np.array([[[50.0, 30], [70, 30], [90, 90]]] * 3)
    shown = np.array([[True, True, True], [False, False, True], [False, False, False]])
    boxes = np.array([[0.0, 10, 100, 110]] * 3)
    heads = head_boxes(keypoints, shown, boxes, names)
    assert heads[:2].tolist() == [[40, 20, 80, 40], [25, 10, 75, 30]]
    assert np.isnan(heads[2]).all()


def test_line_width_replaces_the_width_by_size():
    common = {"scores": None, "show_boxes": False}
    thin, thick = (changed(draw(**common, line_width=width)).sum() for width in (1.0, 10.0))
    usual = changed(draw(**common)).sum()
    assert thin < usual < thick
    boxes = {"keypoints": np.zeros((1, 0, 2)), "keypoint_scores": None, "skeleton": None, "scores": None}
    assert changed(draw(**boxes, line_width=6)).sum() > 2 * changed(draw(**boxes, line_width=1)).sum()
    for width in (0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="line_width must be above 0"):
            draw(line_width=width)


def test_tracks_keep_their_color_whatever_their_order():
    ids = np.array([3, 8])
    boxes = np.array([[10.0, 50, 60, 180], [120, 50, 170, 180]])
    arrays = {
        "keypoints": np.zeros((2, 0, 2)),
        "keypoint_scores": None,
        "skeleton": None,
        "scores": None,
        "show_tags": False,
    }
    first = draw(**arrays, boxes=boxes, track_ids=ids)
    second = draw(**arrays, boxes=boxes[::-1], track_ids=ids[::-1])
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "img", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3), np.float32)]
)
def test_other_images_are_refused(img):
    with pytest.raises(ValueError, match="uint8 BGR"):
        draw(img)


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="2 boxes"):
        draw(boxes=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="skeleton has 17"):
        draw(skeleton=COCO_PERSON)
    with pytest.raises(ValueError, match="skeleton has 0"):
        draw(skeleton=None)
