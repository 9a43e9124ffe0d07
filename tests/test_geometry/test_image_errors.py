import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from yolox_pose.errors import DataError, ImageError
from yolox_pose.geometry.images import read_image


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 96 * 64, dtype=np.uint8).reshape(64, 96)
    return np.ascontiguousarray(np.stack([ramp, ramp[::-1], 255 - ramp], axis=2))


def test_reads_bgr_and_grey(tmp_path, picture):
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", size=(96, 64)), picture)
    cv2.imwrite(str(tmp_path / "grey.png"), picture[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), picture[..., :1].repeat(3, axis=2))


def test_names_with_other_letters(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "imágé 写真.png")
    assert read_image(tmp_path / "imágé 写真.png").shape == (64, 96, 3)


def test_exif_orientation_is_ignored(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg", apply_exif=False).shape == (64, 96, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_files_are_refused(tmp_path, picture, suffix, kept):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, picture.shape, dtype=np.uint8)
    cv2.imwrite(str(path), noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=r"image .*a\.\w+ \(id 7\) is") as error:
        read_image(path, image_id=7)
    assert "\n" not in str(error.value)


def test_other_bad_files(tmp_path, picture):
    with pytest.raises(ImageError, match=r"nothing.jpg \(id 3\) is missing"):
        read_image(tmp_path / "nothing.jpg", image_id=3)
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ImageError, match="not an image that can be decoded"):
        read_image(tmp_path / "text.jpg")
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    with pytest.raises(ImageError, match="is 96x64, its annotations are for 64x96"):
        read_image(tmp_path / "a.png", size=(64, 96))


def test_error_keeps_its_line_through_pickle_and_a_worker():
    from torch._utils import ExceptionWrapper

    error = ImageError("image a.jpg (id 3) is truncated")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) and isinstance(error, DataError)
    try:
        raise error
    except ImageError:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(ImageError) as raised:
        wrapped.reraise()
    assert str(raised.value) == "image a.jpg (id 3) is truncated"
