"""The size of an image from its header, against the decoded image; wrong and broken headers are refused."""

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.serve.uploads import sniff_image


def encoded(suffix, width=37, height=21, options=()):
    img = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, img, list(options))[1].tobytes()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(".png"), "image/png"),
        (encoded(".jpg"), "image/jpeg"),
        (encoded(".jpg", options=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), "image/jpeg"),
        (encoded(".webp", options=[cv2.IMWRITE_WEBP_QUALITY, 80]), "image/webp"),
        (encoded(".webp", options=[cv2.IMWRITE_WEBP_QUALITY, 101]), "image/webp"),  # lossless
    ],
)
def test_kind_and_size(data, kind):
    assert sniff_image(data) == (kind, (37, 21))


def test_extended_webp_and_fill_bytes_in_jpeg():
    extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + (1919).to_bytes(3, "little") + (1079).to_bytes(3, "little")
    assert sniff_image(extended) == ("image/webp", (1920, 1080))
    data = encoded(".jpg")
    assert sniff_image(data[:2] + b"\xff\xff" + data[2:])[1] == (37, 21)


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a\1\0\1\0", b"<svg onload='alert(1)'/>", b"\x89PNG\r\n\x1a\nxxxxNOPE", b"BM" + bytes(60)]
)
def test_other_files_are_refused(data):
    with pytest.raises(DataError, match="no JPEG, PNG or WebP"):
        sniff_image(data)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_headers_that_end_early_or_say_nothing(suffix):
    data = encoded(suffix)
    for length in range(12 if suffix == ".webp" else 16 if suffix == ".png" else 4, 24):
        with pytest.raises(DataError):
            sniff_image(data[:length])
    if suffix == ".png":
        with pytest.raises(DataError, match="broken"):
            sniff_image(data[:16] + bytes(8) + data[24:])  # 0 x 0 pixels
