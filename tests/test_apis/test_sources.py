"""Sources: files, folders, patterns, arrays and lists of them."""

import cv2
import numpy as np
import pytest

from yolox_pose.apis.sources import list_sources
from yolox_pose.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.jpg", "a.PNG", "c[1].jpg", "deep/d.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(source):
    return [found.path.name for found in list_sources(source)]


def test_folder_lists_its_images_by_name(folder):
    assert names(folder) == names(str(folder)) == ["a.PNG", "b.jpg", "c[1].jpg"]


def test_patterns(folder):
    assert names(f"{folder}/*.jpg") == ["b.jpg", "c[1].jpg"]
    assert names(f"{folder}/**/*.jpg") == ["b.jpg", "c[1].jpg", "d.jpg"]
    assert names(f"{folder}/c[1].jpg") == ["c[1].jpg"], "a file that looks like a pattern is a file"


def test_lists_keep_their_order(folder):
    array = np.zeros((4, 4, 3), np.uint8)
    found = list_sources([folder / "b.jpg", array, folder / "deep"])
    assert [f.path and f.path.name for f in found] == ["b.jpg", None, "d.jpg"]
    assert found[1].read() is array
    assert list_sources([]) == []


def test_pil_images_are_turned_and_become_bgr():
    Image = pytest.importorskip("PIL.Image")
    img = np.zeros((4, 8, 3), np.uint8)
    img[..., 0] = 255  # red in RGB
    image = Image.fromarray(img)
    image.getexif()[274] = 6
    (source,) = list_sources(image)
    assert source.read().shape == (8, 4, 3) and source.read()[0, 0].tolist() == [0, 0, 255]
    deep = Image.fromarray(np.full((4, 4), 0x4000, np.uint16))
    assert (list_sources(deep)[0].read() == 0x40).all()


@pytest.mark.parametrize(
    "source, message",
    [
        ("nowhere.jpg", "does not exist"),
        ("*.nothing", "no file matches"),
        ("ftp://example.org/a.jpg", "address that cannot be read"),
        ("a.mp4", "does not exist"),
        (-1, "cannot come from int"),
        (True, "cannot come from bool"),
        (None, "cannot come from NoneType"),
    ],
)
def test_what_cannot_be_listed(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        list_sources(source)


def test_empty_folder(tmp_path):
    with pytest.raises(UsageError, match="no image"):
        list_sources(tmp_path)


def test_bad_files_and_arrays_fail_when_read(folder):
    with pytest.raises(DataError, match=r"notes\.txt"):
        list_sources(folder / "notes.txt")[0].read()
    with pytest.raises(DataError, match="float64"):
        list_sources(np.zeros((4, 4, 3)))[0].read()
