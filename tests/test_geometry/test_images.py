"""Reading images as a person sees them."""

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.geometry.images import is_complete, read_image, to_bgr

Image = pytest.importorskip("PIL.Image")


def striped(height=24, width=40):
    """Blue image with a white stripe at the top."""
    img = np.zeros((height, width, 3), np.uint8)
    img[..., 0] = 200
    img[: height // 4] = 255
    return img


def write(path, img, **options):
    Image.fromarray(img[..., ::-1]).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_orientation_is_applied(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6  # the camera was held upright: turn clockwise to view
    img = read_image(write(tmp_path / f"a{suffix}", striped(), exif=exif))
    assert img.shape == (40, 24, 3)
    assert img[20, -3].min() > 200 and img[20, 3, 2] < 60, "the stripe is now at the right"


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_modes_become_bgr(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(striped()[..., ::-1]).convert(mode).save(path)
    img = read_image(path)
    assert img.shape == (24, 40, 3) and img.dtype == np.uint8
    assert img[2, 20].min() > 240, "the stripe is white"


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.full((5, 6, 3), 0x80FF, np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.png"), deep)
    assert (read_image(tmp_path / "a.png") == 0x80).all()


def test_names_beyond_ascii(tmp_path):
    assert read_image(write(tmp_path / "Größe 图.png", striped())).shape == (24, 40, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    exif = Image.Exif()
    path = write(tmp_path / f"a{suffix}", noise, exif=exif)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match="truncated"):
        read_image(path)


def test_thumbnail_in_the_header_does_not_hide_a_truncation(tmp_path):
    data = write(tmp_path / "a.jpg", striped(64, 64)).read_bytes()
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data  # an APP1 segment that holds a whole JPEG
    nested = data[:2] + thumbnail + data[2:]
    assert is_complete(nested) and not is_complete(nested[: len(thumbnail) + len(data) // 2 + 300])
    assert is_complete(nested + b"trailer of a camera with a start of scan \xff\xda")


@pytest.mark.parametrize("content", [b"", b"text", b"\xff\xd8\xff\xd9", b"GIF89a"])
def test_what_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match="a.jpg"):
        read_image(tmp_path / "a.jpg")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="missing"):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


def test_arrays():
    img = striped()
    assert to_bgr(img) is img
    assert to_bgr(img[..., 0]).shape == img.shape
    assert to_bgr(img[..., :1]).shape == img.shape
    np.testing.assert_array_equal(to_bgr(np.dstack([img, img[..., 0]])), img)
    np.testing.assert_array_equal(to_bgr(img.astype(np.uint16) << 8), img)
    assert to_bgr(img[..., 0] > 100).max() == 255


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3), int), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(DataError, match="uint8 or uint16"):
        to_bgr(array)
