import cv2
import numpy as np
import pytest

from yolox_pose.geometry import affine
from yolox_pose.geometry.affine import (
    Tile,
    TiledImage,
    affine_matrix,
    determinant,
    draw_tiles,
    mirroring,
    mix_tile,
    scaling,
    translation,
    warp_image,
    warp_points,
)


def spot(size, point, sigma=2.0):
    """Black image with a smooth bright spot whose centre is the continuous point."""
    x, y = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    bell = np.exp(-((x - point[0]) ** 2)[None] / (2 * sigma**2) - ((y - point[1]) ** 2)[:, None] / (2 * sigma**2))
    return np.round(255 * bell).astype(np.uint8)[..., None].repeat(3, axis=2)


def centroid(img):
    """Intensity-weighted centre, in continuous coordinates."""
    weights = img.astype(np.float64).sum(axis=2)
    return (
        np.array(
            [
                (weights.sum(axis=0) @ (np.arange(img.shape[1]) + 0.5)),
                weights.sum(axis=1) @ (np.arange(img.shape[0]) + 0.5),
            ]
        )
        / weights.sum()
    )


MATRICES = {
    "identity": np.eye(3),
    "half pixel": translation(0.5, -0.5),
    "enlarged": scaling(2.5, 2.5) @ translation(-20, -20),
    "reduced": scaling(0.6, 0.6),
    "much reduced": scaling(0.24, 0.24),
    "mirrored": mirroring(160),
    "affine": affine_matrix((80, 60), scale=0.8, rotation=9, shear=(2, -1.5), shift=(5, -7)),
    "turned": affine_matrix((80, 60), rotation=77),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_bright_spot_and_a_point_on_it_stay_together(name):
    matrix, point = MATRICES[name], (71.5, 52.5)
    moved = centroid(warp_image(spot((160, 120), point, 3.0), matrix, (160, 120), pad_value=0))
    np.testing.assert_allclose(moved, warp_points(point, matrix), atol=0.05)


@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
def test_one_lit_pixel_moves_exactly(shift):
    img = np.zeros((20, 30, 3), np.uint8)
    img[7, 11] = 255
    moved = warp_image(img, translation(*shift), (30, 20), pad_value=0)
    assert moved[7 + shift[1], 11 + shift[0]].tolist() == [255] * 3 and moved.sum() == 3 * 255
    mirrored = warp_image(img, mirroring(30), (30, 20), pad_value=0)
    np.testing.assert_array_equal(mirrored, img[:, ::-1])


def test_affine_matrix_by_hand():
    np.testing.assert_allclose(
        warp_points([3, 5], affine_matrix((3, 5), scale=2, rotation=30, shear=(5, 5), shift=(1, 2))), [4, 7]
    )
    np.testing.assert_allclose(warp_points([4, 5], affine_matrix((3, 5), rotation=90)), [3, 6], atol=1e-12)
    np.testing.assert_allclose(warp_points([3, 6], affine_matrix((3, 5), shear=(45, 0))), [4, 6], atol=1e-12)
    assert determinant(affine_matrix((3, 5), scale=2, rotation=30)) == pytest.approx(4)


def test_equals_mmpose_matrix():
    from mmpose.structures import get_pers_warp_matrix

    theirs = get_pers_warp_matrix(np.array([50, 40]), np.array([3.0, -4.0]), 0.8, 7.0, np.array([1.5, -0.5]))
    ours = affine_matrix((50, 40), scale=0.8, rotation=7.0, shear=(1.5, -0.5), shift=(3.0, -4.0))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_strong_reduction_averages_instead_of_skipping():
    checkers = (
        np.kron(np.indices((80, 80)).sum(axis=0) % 2, np.ones((1, 1))).astype(np.uint8)[..., None].repeat(3, axis=2)
        * 255
    )
    small = warp_image(checkers, scaling(0.25, 0.25), (20, 20))
    assert small.min() > 120 and small.max() < 135


def tiles_of(colors, regions):
    return tuple(
        Tile(
            lambda c=c: np.full((10, 10, 3), c, np.uint8),
            translation(r[0], r[1]) @ scaling((r[2] - r[0]) / 10, (r[3] - r[1]) / 10),
            r,
        )
        for c, r in zip(colors, regions)
    )


def test_tiles_fill_their_regions_and_nothing_else():
    tiled = TiledImage(tiles_of([50, 100, 150], [(0, 0, 10, 10), (10, 0, 30, 20), (0, 10, 10, 20)]), (40, 30), 7)
    img, mask = draw_tiles(tiled, np.eye(3), (40, 30))
    expected = np.full((30, 40), 7)
    expected[:10, :10], expected[:20, 10:30], expected[10:20, :10] = 50, 100, 150
    np.testing.assert_array_equal(img, expected[..., None].repeat(3, axis=2))
    assert mask is None and tiled.shape == (30, 40, 3)


def test_tiles_that_are_not_seen_are_not_loaded():
    def fail():
        raise AssertionError("loaded")

    tile = Tile(fail, np.eye(3), (50, 50, 60, 60))
    img, _ = draw_tiles(TiledImage((tile,), (100, 100), 9), np.eye(3), (40, 40))
    assert (img == 9).all()


def test_tiles_equal_drawing_the_canvas_and_warping_it():
    rng = np.random.default_rng(0)
    sources = [cv2.GaussianBlur(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8), (0, 0), 3) for _ in range(2)]
    regions = [(10, 10, 60, 50), (60, 10, 110, 50)]
    tiles = tuple(Tile(lambda s=s: s, translation(*r[:2]), r) for s, r in zip(sources, regions))
    tiled, matrix = TiledImage(tiles, (120, 60)), affine_matrix((60, 30), scale=0.9, rotation=6)
    once, _ = draw_tiles(tiled, matrix, (120, 60))
    twice = warp_image(draw_tiles(tiled, np.eye(3), (120, 60)).img, matrix, (120, 60))
    difference = np.abs(once.astype(int) - twice).max(axis=2)
    assert np.mean(difference > 3) < 0.05 and np.median(difference) <= 1


def test_crowd_masks_are_drawn_with_their_tiles():
    crowd = np.zeros((10, 10), np.uint8)
    crowd[2:5, 3:9] = 1
    plain, crowded = tiles_of([0, 0], [(0, 0, 20, 20), (20, 0, 40, 20)])
    _, mask = draw_tiles(TiledImage((plain, crowded._replace(ignore_mask=crowd)), (40, 20)), np.eye(3), (40, 20))
    expected = np.zeros((20, 40), np.uint8)
    expected[4:10, 26:38] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("offset", [(0, 0), (-30, 15), (40, -20), (500, 0)])
@pytest.mark.parametrize("shown", [(100, 80), (157, 91), (61, 130)])
def test_resizing_to_whole_pixels_equals_the_warp(mirror, offset, shown):
    img = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8), (0, 0), 2)
    matrix = (
        translation(*offset) @ (mirroring(shown[0]) if mirror else np.eye(3)) @ scaling(shown[0] / 100, shown[1] / 80)
    )
    fast = warp_image(img, matrix, (120, 90), pad_value=0)
    slow = warp_image(img, translation(1e-4, 0) @ matrix, (120, 90), pad_value=0)
    difference = np.abs(fast.astype(int) - slow)
    inside = warp_image(np.full((80, 100), 255, np.uint8), translation(1e-4, 0) @ matrix, (120, 90), pad_value=0) == 255
    assert fast.shape == slow.shape and difference[inside].max(initial=0) <= 4


def test_a_window_beyond_the_image_continues_its_border_or_is_padded():
    img = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert warp_image(img, translation(1, 0), (4, 2), replicate=True)[0, :, 0].tolist() == [0, 0, 3, 3]
    assert warp_image(img, translation(1, 0), (4, 2), pad_value=9)[0, :, 0].tolist() == [9, 0, 3, 9]
    assert warp_image(img, translation(9, 0), (4, 2), pad_value=9)[0, :, 0].tolist() == [9] * 4


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("offset", [(0, 0), (-30, 15), (20, -70), (500, 0)])
def test_mixing_a_tile_equals_drawing_the_picture_and_averaging(mirror, offset):
    rng, shown = np.random.default_rng(0), (157, 91)
    img, source = rng.integers(0, 256, (90, 120, 3), np.uint8), rng.integers(0, 256, (80, 100, 3), np.uint8)
    matrix = translation(*offset) @ (mirroring(shown[0]) if mirror else np.eye(3)) @ scaling(1.57, 91 / 80)
    corners = warp_points([(0, 0), (100, 80)], matrix).round(9)
    region = (*np.clip(corners.min(axis=0), 0, (120, 90)), *np.clip(corners.max(axis=0), 0, (120, 90)))
    tile = Tile(lambda: source, matrix, region)
    picture = draw_tiles(TiledImage((tile,), (120, 90), 7), np.eye(3), (120, 90)).img
    before, expected = img.copy(), cv2.addWeighted(img, 0.5, picture, 0.5, 0)
    np.testing.assert_array_equal(mix_tile(img, tile, 7).img, expected)
    np.testing.assert_array_equal(img, before)
    crowd = np.ones((80, 100), np.uint8)
    crowded = mix_tile(img, tile._replace(ignore_mask=crowd), 7)
    np.testing.assert_array_equal(crowded.img, expected)
    if offset[0] < 120:
        assert (crowded.ignore_mask > 0).sum() == np.prod(np.subtract(region[2:], region[:2]))


def test_a_source_cut_to_what_is_seen_is_drawn_as_the_whole(monkeypatch):
    """Small windows onto large sources, at scales above and below one: the same pixels as without the cut."""
    rng = np.random.default_rng(1)
    source = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 2)
    for scale in (0.6, 0.9, 1.7):
        tile = Tile(lambda: source, translation(5, 9) @ scaling(scale, scale), (5, 9, 5 + 400 * scale, 9 + 300 * scale))
        for angle in (-9, 4):
            matrix = affine_matrix((60, 50), rotation=angle, shift=(-80, -60))
            cut = draw_tiles(TiledImage((tile,), (700, 600)), matrix, (120, 90)).img
            with monkeypatch.context() as patch:
                patch.setattr(affine, "_visible_part", lambda *args: ((0, 400), (0, 300)))
                whole = draw_tiles(TiledImage((tile,), (700, 600)), matrix, (120, 90)).img
            assert np.abs(cut.astype(int) - whole).max() <= 1 and (cut != 114).any()


@pytest.mark.parametrize("offset", np.arange(0, 1, 0.1).round(1))
def test_a_tile_fills_the_pixels_whose_centers_it_covers(offset):
    low, high = 2 + offset, 6 + offset
    mask = affine._polygon_mask(np.array([[low, low], [high, low], [high, high], [low, high]]), (10, 10))
    centers = np.arange(10) + 0.5
    inside = (centers > low) & (centers < high)
    beyond = np.maximum(low - centers, centers - high)  # cv2 also fills pixels that the border touches
    for axis in (0, 1):
        filled = mask.any(axis)
        assert filled[inside].all() and (beyond[filled] <= 0.51).all()


def test_a_mean_of_two_greys_is_rounded():
    img, whole = np.full((2, 2, 3), 10, np.uint8), (0, 0, 2, 2)
    tile = Tile(lambda: np.full((2, 2, 3), 21, np.uint8), np.eye(3), whole)
    assert (mix_tile(img, tile).img == 16).all()
