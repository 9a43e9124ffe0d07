"""Drawing: what is drawn where, and that nothing on the way breaks it."""

import numpy as np
import pytest

from yolox_pose.structures.skeleton import COCO_PERSON, LEFT_COLOR, RIGHT_COLOR, Skeleton
from yolox_pose.visualization import drawing
from yolox_pose.visualization.drawing import draw_poses

PAIR = Skeleton(names=("left_hand", "right_hand"), links=((0, 1),))


def draw(img=None, **changes):
    """Draw one person with two keypoints into a grey image."""
    settings = {
        "keypoints": np.array([[[40.0, 60.0], [140.0, 60.0]]]),
        "keypoint_scores": np.ones((1, 2)),
        "boxes": np.array([[20.0, 20, 180, 180]]),
        "scores": np.array([0.9]),
        "skeleton": PAIR,
    }
    return draw_poses(grey() if img is None else img, **{**settings, **changes})


def grey(height=200, width=200):
    return np.full((height, width, 3), 127, np.uint8)


def changed(picture):
    return (picture != 127).any(axis=2)


def test_input_is_not_modified_and_output_is_new():
    img = grey()
    out = draw(img)
    assert (img == 127).all() and out.shape == img.shape and out.dtype == np.uint8
    assert changed(out).any() and not np.shares_memory(out, img)


@pytest.mark.parametrize("num_keypoints", [0, 2])
def test_nobody(num_keypoints):
    arrays = {"keypoints": np.zeros((0, num_keypoints, 2)), "keypoint_scores": np.zeros((0, num_keypoints))}
    out = draw(**arrays, boxes=np.zeros((0, 4)), scores=np.zeros(0))
    assert (out == 127).all()


@pytest.mark.parametrize("skeleton", [None, PAIR])
def test_objects_without_keypoints_take_the_colour_of_their_class(skeleton):
    arrays = {"keypoints": np.zeros((2, 0, 2)), "keypoint_scores": np.zeros((2, 0)), "skeleton": skeleton}
    boxes = np.array([[20.0, 50, 60, 180], [120, 50, 160, 180]])
    out = draw(**arrays, boxes=boxes, scores=np.array([0.9, 0.8]), labels=np.array([3, 3]), classes=list("abcdef"))
    assert np.array_equal(out[100, 20], out[100, 120]) and changed(out)[100, 20]


def test_left_and_right_keypoints_have_their_colours():
    out = draw(boxes=np.array([[-300.0, -300, 500, 500]]), show_boxes=False, show_tags=False)
    ring = 8  # px from the centre: between the bright middle and the rim of a disc of radius 11.4
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
    assert draw(grey(*shape)).shape == (*shape, 3)


def test_small_persons_are_drawn_under_large_ones():
    keypoints = np.array([[[40.0, 60.0], [140.0, 60.0]], [[90.0, 20.0], [90.0, 100.0]]])
    boxes = np.array([[20.0, 20, 180, 180], [85, 15, 95, 105]])
    common = {"keypoint_scores": np.ones((2, 2)), "scores": np.ones(2), "show_boxes": False, "show_tags": False}
    both = draw(keypoints=keypoints, boxes=boxes, **common)
    swapped = draw(keypoints=keypoints[::-1], boxes=boxes[::-1], **common)
    large = draw(
        keypoints=keypoints[:1], boxes=boxes[:1], keypoint_scores=np.ones((1, 2)), show_boxes=False, show_tags=False
    )
    np.testing.assert_array_equal(both, swapped)
    np.testing.assert_array_equal(both[60, 90], large[60, 90])


def test_persons_apart_are_drawn_as_each_alone():
    arrays = {
        "keypoints": np.array([[40.0, 30], [160, 40]]) + np.array([[[0, 0]], [[0, 60]], [[0, 500]], [[0, 120]]]),
        "boxes": np.array([[20.0, 0, 180, 40]]) * np.array([[1], [2], [3], [4]]),
        "keypoint_scores": np.array([[0.9, 0.5], [0.2, 0.7], [0.9, 0.9], [0.6, 1.0]]),
        "keypoints_visible": np.array([[2, 2], [2, 1], [2, 2], [1, 2]]),
    }
    looks = {"scores": None, "show_boxes": False, "show_tags": False}
    expected = grey()
    for i in range(4):
        one = draw(**{key: array[i : i + 1] for key, array in arrays.items()}, **looks)
        expected[changed(one)] = one[changed(one)]
    np.testing.assert_array_equal(draw(**arrays, **looks), expected)


def test_blending_follows_alpha_in_every_block():
    rng = np.random.default_rng(0)
    canvas, before = rng.integers(0, 256, (2, 300, 200, 3), dtype=np.uint8)
    alpha = rng.choice(np.array([0, 1, 100, 254, 255], dtype=np.uint8), (300, 190))
    layer, rest = canvas.copy(), before[:, 5:195]
    assert alpha.size > 2 * drawing._BLOCK
    drawing._blend(canvas[:, 5:195], rest, alpha)
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
    texts = drawing._tag_texts(2, np.array([0.5, np.nan]), np.array([1, 7]), np.array([4, 5]), ["person", "ball"])
    assert texts == ["#4 ball 0.50", "#5 class 7"]
    assert drawing._tag_texts(1, np.array([0.256]), np.array([0]), None, ["person"]) == ["0.26"]
    assert drawing._tag_texts(1, None, None, None, None) == [""]


def test_tags_of_neighbours_do_not_cover_each_other():
    boxes = np.tile([[60.0, 60, 120, 150]], (3, 1)) + np.arange(3)[:, None]
    taken = []
    for box in boxes:
        places = drawing._tag_places(box, (30, 12), (200, 200, 3))
        taken.append(next(p for p in places if not any(p.meets(q) for q in taken)))
    assert len(set(taken)) == 3


def test_tracks_keep_their_colour_whatever_their_order():
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
