"""Sources: files, folders, patterns, arrays and lists of them."""

import contextlib
import io
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
    with pytest.raises(UsageError, match="no image or video.*--recursive"):
        list_sources(tmp_path)


def test_folders_with_their_subfolders_and_videos(folder):
    (folder / "deep" / "v.MP4").write_text("")
    listed = list_sources(folder, recursive=True)
    assert [source.name for source in listed] == ["a.PNG", "b.jpg", "c[1].jpg", "d.jpg", "v.MP4"]
    assert [source.is_video for source in listed] == [False] * 4 + [True]
    assert names([folder / "deep"]) == ["d.jpg", "v.MP4"]
    assert len(list_sources([folder], recursive=True)) == 5


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".avif", ".ppm"])
def test_less_common_images_of_folders(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(".jpg", np.zeros((4, 6, 3), np.uint8))[1])
    (source,) = list_sources(tmp_path)
    assert source.read().shape == (4, 6, 3)


@pytest.mark.parametrize("suffix", [".ts", ".flv", ".3gp", ".mts", ".asf", ".ogv"])
def test_less_common_videos(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_text("")
    assert list_sources(tmp_path)[0].is_video
    assert list_sources(f"http://host/a{suffix}")[0].is_video


def movie(path, frames=3, size=(16, 8)):
    """Write an AVI with frames of gray levels 0, 100, 200."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for level in range(frames):
        writer.write(np.full((size[1], size[0], 3), 100 * level % 256, np.uint8))
    writer.release()
    return path


def test_files_with_unknown_endings_are_what_they_hold(folder):
    movie(folder / "v.avi").rename(folder / "clip.dat")
    (folder / "b.jpg").rename(folder / "picture")
    video, image, text = list_sources([folder / "clip.dat", folder / "picture", folder / "notes.txt"])
    assert video.is_video and len(list(read_frames([video]))) == 3
    assert not image.is_video and image.read().shape == (4, 4, 3)
    assert not text.is_video


def test_an_animated_gif_is_a_video(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    levels = [Image.fromarray(np.full((8, 16), level, np.uint8)) for level in (0, 100, 200)]
    levels[0].save(tmp_path / "a.gif", save_all=True, append_images=levels[1:], duration=[100, 300, 100])
    levels[1].save(tmp_path / "b.gif")
    animated, still = list_sources(tmp_path)
    frames = list(read_frames([animated]))
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.4])
    assert [round(frame.pixels.mean()) for frame in frames] == [0, 100, 200]
    assert not still.is_video
    if cv2.haveImageReader(str(tmp_path / "b.gif")):  # OpenCV 4.11 decodes no GIF as an image
        assert (still.read() == 100).all()


def test_the_image_of_a_video_is_its_first_frame(tmp_path):
    (source,) = list_sources(movie(tmp_path / "v.avi"))
    assert source.read().shape == (8, 16, 3) and source.read().mean() < 5


def test_every_nth_frame(tmp_path):
    sources = list_sources(movie(tmp_path / "v.avi", frames=8), vid_stride=3)
    frames = list(read_frames(sources))
    assert [frame.number for frame in frames] == [0, 3, 6]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.3, 0.6])
    assert frames[0].fps == pytest.approx(10 / 3) and count_frames(sources) == 3
    with pytest.raises(UsageError, match="vid_stride must be at least 1, not 0"):
        list_sources(BGR, vid_stride=0)


def encoded(path):
    """Return sources that hold the content of a file."""
    data = path.read_bytes()
    return [data, bytearray(data), memoryview(data), io.BytesIO(data), np.frombuffer(data, np.uint8)]


def test_encoded_images(folder):
    """The bytes of an image once counted as camera numbers."""
    expected = cv2.imread(str(folder / "b.jpg"))
    for source in encoded(folder / "b.jpg"):
        (listed,) = list_sources(source)
        assert np.array_equal(listed.read(), expected) and listed.name is None and not listed.is_video
    with open(folder / "b.jpg", "rb") as file:
        (listed,) = list_sources(file)
    assert np.array_equal(listed.read(), expected) and listed.name == "b.jpg"
    assert len(list_sources(encoded(folder / "b.jpg"))) == 5


def test_bytes_that_are_no_image():
    for data in (b"", b"hello", b"\xff\xd8\xff"):
        with pytest.raises(DataError, match=r"image \(bytes\) is"):
            list_sources(data)[0].read()


def test_open_files(folder):
    with open(movie(folder / "v.avi"), "rb") as file:
        (listed,) = list_sources(file)
    assert listed.is_video and listed.path == folder / "v.avi"
    with open(folder / "notes.txt") as file, pytest.raises(UsageError, match=r"notes\.txt gives str, not bytes.*'rb'"):
        list_sources(file)
    with pytest.raises(UsageError, match="cannot be read: .*closed file"):
        list_sources(file)


BGR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def test_arrays_and_batches():
    assert list_sources(BGR)[0].read() is BGR
    for scaled in (BGR / 255, (BGR / 255).astype(np.float32), (BGR / 255).astype(np.float16)):
        assert np.abs(list_sources(scaled)[0].read().astype(int) - BGR).max() <= (scaled.dtype == np.float16)
    batch = list_sources(np.stack([BGR, BGR + 1]))
    assert len(batch) == 2 and np.array_equal(batch[1].read(), BGR + 1)
    assert [source.read().shape for source in list_sources(np.zeros((5, 4, 6, 1), np.uint8))] == [(4, 6, 3)] * 5
    assert list_sources(np.zeros((0, 4, 6, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "array, message",
    [
        (BGR * 1.0, r"floats must hold 0 to 1, not 0 to 71 .*astype\(np.uint8\)"),
        (BGR - 1.0, "floats must hold 0 to 1, not -1 to 70"),
        (np.full((4, 6, 3), np.nan), "floats must hold 0 to 1, not nan"),
        (BGR.astype(int), r"not \(4, 6, 3\) int64; use \.astype\(np.uint8\)"),
        (BGR.transpose(2, 0, 1), r"not \(3, 4, 6\) uint8; put channels last: array\.transpose\(1, 2, 0\)"),
        (BGR.transpose(2, 0, 1)[None], r"not \(1, 3, 4, 6\) uint8; put channels last: array\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((8, 4, 6), np.uint8), "a batch of gray images is"),
        (np.zeros((4, 0, 3), np.uint8), r"not \(4, 0, 3\)"),
        (np.zeros(5), r"not \(5,\) float64"),
        (np.zeros((1, 1, 1, 1, 3), np.uint8), r"not \(1, 1, 1, 1, 3\)"),
        (np.array([["a"]]), "uint8 or uint16"),
    ],
)
def test_arrays_of_another_layout_are_refused_before_the_work(array, message):
    with pytest.raises(DataError, match=message) as caught:
        list_sources([BGR, array])
    assert "\n" not in str(caught.value)


def test_tensors_are_rgb_with_channels_first():
    torch = pytest.importorskip("torch")
    rgb = torch.from_numpy(np.ascontiguousarray(BGR[..., ::-1])).permute(2, 0, 1)
    alpha = torch.cat([rgb, torch.full((1, 4, 6), 7, dtype=torch.uint8)])
    for tensor in (rgb, alpha, rgb / 255, (rgb / 255).requires_grad_()):
        assert np.array_equal(list_sources(tensor)[0].read(), BGR)
    batch = list_sources(torch.stack([rgb, rgb + 1]) / 255)
    assert len(batch) == 2 and np.array_equal(batch[1].read(), BGR + 1)
    assert np.array_equal(list_sources(rgb[0])[0].read(), BGR[..., [2, 2, 2]])
    assert np.abs(list_sources((rgb / 255).bfloat16())[0].read().astype(int) - BGR).max() <= 1


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda torch: torch.zeros(8, 6, 3),
            r"not \(8, 6, 3\) torch.float32; put channels first: tensor.permute\(2, 0, 1\)",
        ),
        (lambda torch: torch.zeros(2, 8, 6, 3), r"put channels first: tensor\.permute\(0, 3, 1, 2\)"),
        (lambda torch: torch.zeros(5), r"not \(5,\)"),
        (lambda torch: torch.zeros(3, 4, 0), r"not \(3, 4, 0\)"),
        (lambda torch: torch.full((3, 4, 6), 200.0), "not 200 to 200; divide by 255"),
        (lambda torch: torch.full((3, 4, 6), -2.0), "undo the normalization"),
        (lambda torch: torch.zeros(3, 4, 6, dtype=torch.int64), r"not torch\.int64; use"),
    ],
)
def test_tensors_of_another_layout_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        list_sources(make(pytest.importorskip("torch")))


def test_numbers_that_are_no_cameras():
    with pytest.raises(UsageError, match="lists of numbers"):
        list_sources(BGR.tolist())
    with pytest.raises(UsageError, match="cannot come from dict"):
        list_sources({"image": BGR})
    with pytest.raises(UsageError, match="cannot come from VideoCapture"):
        list_sources(cv2.VideoCapture())
    assert [source.camera for source in list_sources([0, 1])] == [0, 1]


@pytest.mark.parametrize("name", ["x" * 5000, "data:image/png;base64," + "A" * 5000, "a\0b.jpg"])
def test_names_that_no_file_can_have(name):
    with pytest.raises(UsageError, match="does not exist") as caught:
        list_sources(name)
    assert len(str(caught.value)) < 150


def test_bad_files_and_arrays_fail_when_read(folder):
    with pytest.raises(DataError, match=r"notes\.txt"):
        list_sources(folder / "notes.txt")[0].read()
    with pytest.raises(DataError, match="float64"):
        list_sources(np.full((4, 4, 3), 255.0))[0].read()


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
    assert list_sources(video) == list_sources([video]) == [video]


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
