"""Sources: files, folders, patterns, arrays and lists of them."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError, UsageError
from yolox_pose.io.downloads import download
from yolox_pose.io.sources import count_frames, list_sources, read_frames


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.jpg", "a.PNG", "c[1].jpg", "deep/d.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def names(source):
    return [listed.path.name for listed in list_sources(source)]


def test_folder_lists_its_images_by_name(folder):
    assert names(folder) == names(str(folder)) == ["a.PNG", "b.jpg", "c[1].jpg"]


def test_patterns(folder):
    assert names(f"{folder}/*.jpg") == ["b.jpg", "c[1].jpg"]
    assert names(f"{folder}/**/*.jpg") == ["b.jpg", "c[1].jpg", "d.jpg"]
    assert names(f"{folder}/c[1].jpg") == ["c[1].jpg"], "a file that looks like a pattern is a file"


def test_lists_keep_their_order(folder):
    array = np.zeros((4, 4, 3), np.uint8)
    sources = list_sources([folder / "b.jpg", array, folder / "deep"])
    assert [s.path and s.path.name for s in sources] == ["b.jpg", None, "d.jpg"]
    assert sources[1].read() is array
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
def test_sources_that_cannot_be_listed(source, message, tmp_path, monkeypatch):
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


@pytest.fixture
def server():
    """Return the address of a local web server: ``/a.png`` is an image, ``/big`` is endless, ``/slow`` is slow."""
    picture = cv2.imencode(".png", np.full((4, 6, 3), 7, np.uint8))[1].tobytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.path in ("/a.png", "/big", "/slow", "/text.png")
            self.send_response(200 if known else 404)
            self.end_headers()
            with contextlib.suppress(OSError):
                if self.path == "/big":
                    while True:
                        self.wfile.write(bytes(1 << 16))
                if self.path == "/slow":
                    for _ in range(100):
                        self.wfile.write(b"x")
                        time.sleep(0.1)
                if known:
                    self.wfile.write(picture if self.path == "/a.png" else b"text")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def test_images_are_downloaded_into_memory(server):
    (remote,) = list_sources(f"{server}/a.png")
    assert remote.name == "a.png" and remote.path is None and not remote.is_video
    assert remote.read().shape == (4, 6, 3) and (remote.read() == 7).all()


def test_downloads_that_fail(server):
    with pytest.raises(DataError, match="404"):
        list_sources(f"{server}/none.png")[0].read()
    with pytest.raises(DataError, match="not an image"):
        list_sources(f"{server}/text.png")[0].read()
    with pytest.raises(DataError, match="larger than 100,000 bytes"):
        download(f"{server}/big", max_bytes=100_000)
    with pytest.raises(DataError, match=r"within 0.3 s"):
        download(f"{server}/slow", max_seconds=0.3)
    with pytest.raises(DataError, match="cannot be downloaded"):
        download("http://127.0.0.1:9/a.png", max_seconds=2)


def test_kinds_of_sources(tmp_path):
    (tmp_path / "a.MP4").write_text("")
    video, camera, other, stream, page, remote = list_sources(
        [tmp_path / "a.MP4", 0, "1", "rtsp://h/live", "https://h/p/a%20b.jpg?x=1", "https://h/v.mp4"]
    )
    assert video.is_video and not video.is_live and video.name == "a.MP4"
    assert camera.is_live and camera.camera == 0 and camera.name == "camera0" and other.camera == 1
    assert stream.is_live and stream.name == "live" and not page.is_video and page.name == "a b.jpg"
    assert remote.is_video and not remote.is_live
    assert list_sources(video) == [video]


def test_frames_of_images_and_videos_and_what_cannot_be_read(folder):
    writer = cv2.VideoWriter(str(folder / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (16, 8))
    for level in (0, 100, 200):
        writer.write(np.full((8, 16, 3), level, np.uint8))
    writer.release()
    (folder / "w.avi").write_text("text")
    sources = list_sources([folder / name for name in ("a.PNG", "v.avi", "notes.txt", "w.avi", "b.jpg")])
    failed = []
    frames = list(read_frames(sources, lambda source, error: failed.append((source.name, str(error)))))
    assert [(f.source.name, f.number) for f in frames] == [
        ("a.PNG", None), ("v.avi", 0), ("v.avi", 1), ("v.avi", 2), ("b.jpg", None)
    ]  # fmt: skip
    assert frames[2].time == pytest.approx(0.1) and frames[2].fps == pytest.approx(10)
    assert abs(frames[3].pixels.mean() - 200) < 5
    assert [name for name, _ in failed] == ["notes.txt", "w.avi"] and "cannot be opened" in failed[1][1]
    assert (
        count_frames(list_sources([folder / "a.PNG", folder / "v.avi"])) == 4 and count_frames(list_sources(0)) is None
    )
    with pytest.raises(DataError, match=r"notes\.txt"):
        list(read_frames(sources))
    by_threads = list(read_frames(sources, lambda source, error: failed.append(source.name), workers=3))
    assert failed[2:] == ["notes.txt", "w.avi"]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(by_threads, frames, strict=True))
    names = list(read_frames(sources, lambda *_: None, lambda frame: frame.source.name, workers=2))
    assert names == [frame.source.name for frame in frames]
