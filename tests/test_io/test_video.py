"""Videos written and read again; a camera is played by a stand-in."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.io import video_writer
from yolox_pose.io.containers import is_cut_off
from yolox_pose.io.video_reader import VideoReader
from yolox_pose.io.video_writer import VideoFiles, VideoWriter, find_ffmpeg
from yolox_pose.structures.constants import DEFAULT_FPS


def write(path, frames=10, size=(64, 48), fps=20):
    """Write a video in which frame i is gray of level 20 i."""
    writer = VideoWriter(path, fps)
    for i in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * i, np.uint8))
    writer.close()
    return path


def convert(source, path, *options):
    """Convert a video with ffmpeg, with its index at the front unless options say otherwise, or skip the test."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg")
    front = ["-movflags", "+faststart"] if path.suffix in (".mp4", ".mov", ".3gp") else []
    coding = ["-s", "176x144", "-c:v", "h263"] if path.suffix == ".3gp" else []
    command = ["ffmpeg", "-v", "error", "-i", str(source), *front, *coding, *options, "-threads", "1", "-y", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(params=["ffmpeg", "cv2"])
def encoder(request, monkeypatch):
    if request.param == "cv2":
        monkeypatch.setattr(video_writer, "find_ffmpeg", lambda: None)
    elif find_ffmpeg() is None:
        pytest.skip("there is no ffmpeg with H.264")
    return request.param


@pytest.mark.parametrize("size", [(64, 48), (65, 49)])
def test_frames_come_back(tmp_path, encoder, size):
    reader = VideoReader(str(write(tmp_path / "a.mp4", size=size)))
    assert reader.fps == pytest.approx(20) and reader.count == 10
    frames = list(reader)
    reader.close()
    assert [frame.number for frame in frames] == list(range(10)) and frames[4].time == pytest.approx(0.2)
    for i, frame in enumerate(frames):
        assert abs(frame.pixels[:48, :64].mean() - 20 * i) < 5
        assert abs(frame.pixels.shape[1] - size[0]) <= 1, "odd sides may get a line more"


def test_the_fallback_says_what_is_missing(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(video_writer, "find_ffmpeg", lambda: None)
    write(tmp_path / "a.mp4", frames=1)
    assert "ffmpeg" in caplog.text and len(caplog.text.splitlines()) == 1


def program(path, *encoders):
    """Write a stand-in for ffmpeg that lists encoders."""
    path.write_text("#!/bin/sh\necho " + " ".join(encoders) + "\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="stand-ins are shell scripts")
def test_ffmpeg_is_taken_from_the_path_or_from_imageio(tmp_path, monkeypatch, request):
    request.addfinalizer(find_ffmpeg.cache_clear)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    mine, other = program(tmp_path / "ffmpeg", "libx264"), program(tmp_path / "imageio", "libopenh264")

    def find():
        find_ffmpeg.cache_clear()
        return find_ffmpeg()

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # not installed
    assert find() == (str(mine), "libx264")
    program(mine, "mpeg4")
    assert find() is None, "without H.264 it is of no use"
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(get_ffmpeg_exe=lambda: str(other)))
    assert find() == (str(other), "libopenh264")

    def nothing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", SimpleNamespace(get_ffmpeg_exe=nothing))
    assert find() is None


def test_browsers_play_what_ffmpeg_writes(tmp_path):
    """H.264 with 4:2:0 chroma, and the index at the front so that playing begins before the file is loaded."""
    if find_ffmpeg() is None:
        pytest.skip("there is no ffmpeg with H.264")
    data = write(tmp_path / "a.mp4").read_bytes()
    assert b"avc1" in data and data.index(b"moov") < data.index(b"mdat")
    output = subprocess.run([find_ffmpeg()[0], "-i", str(tmp_path / "a.mp4")], capture_output=True, text=True).stderr
    assert "h264" in output and "yuv420p" in output


def test_a_video_that_cannot_be_written(tmp_path, encoder):
    writer = VideoWriter(tmp_path / "nowhere" / "a.mp4", 20)
    with pytest.raises(DataError, match=r"a\.mp4 cannot be written"):
        for _ in range(200):
            writer.write(np.zeros((48, 64, 3), np.uint8))
        writer.close()


def test_frames_of_another_size_are_fitted(tmp_path, encoder):
    writer = VideoWriter(tmp_path / "a.mp4", 20)
    for size in ((48, 64), (96, 128)):
        writer.write(np.zeros((*size, 3), np.uint8))
    writer.close()
    assert [frame.pixels.shape for frame in VideoReader(str(tmp_path / "a.mp4"))] == [(48, 64, 3)] * 2


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(DataError, match=r"video .*a\.mp4 cannot be opened"):
        VideoReader(str(tmp_path / "a.mp4"))
    with pytest.raises(DataError, match="camera 97 cannot be opened"):
        VideoReader(97, live=True)


def cut(path, share=0.55):
    """Cut off the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def read_logged(path, caplog):
    """Return the number of frames of a video and the warnings."""
    caplog.clear()
    return len(list(VideoReader(str(path)))), [record.getMessage() for record in caplog.records]


def noise(path, fps=20, frames=20):
    """Write an AVI of incompressible frames, all about the same size."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_a_video_that_is_cut_off_says_how_much_is_missing(tmp_path, caplog):
    whole = noise(tmp_path / "a.avi")
    assert is_cut_off(whole) is False and read_logged(whole, caplog) == (20, [])
    count, messages = read_logged(cut(whole), caplog)
    assert is_cut_off(whole) and 8 <= count <= 12
    assert messages == [f"video {whole} is cut off: {20 - count} of its 20 frames are missing"]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm", "3gp", "flv", "wmv"])
def test_containers_that_are_cut_off(tmp_path, caplog, suffix):
    """All but flv state their size, most the number of frames or a length of time."""
    path = convert(noise(tmp_path / "noise.avi"), tmp_path / f"a.{suffix}")
    assert read_logged(path, caplog) == (20, [])
    count, messages = read_logged(cut(path, 0.7), caplog)
    missing = "its end is missing" if suffix == "wmv" else f"{20 - count} of its 20 frames are missing"
    assert 0 < count < 20 and messages == [f"video {path} is cut off: {missing}"]


def test_videos_that_are_cut_off_before_their_first_frame(tmp_path):
    path = convert(noise(tmp_path / "noise.avi"), tmp_path / "a.mp4", "-movflags", "-faststart")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be opened: the file is cut off"):
        VideoReader(str(cut(path, 0.5)))
    path = convert(noise(tmp_path / "noise.avi"), tmp_path / "b.mp4")
    head = path.read_bytes().index(b"mdat") + 20
    path.write_bytes(path.read_bytes()[:head])
    with pytest.raises(DataError, match=r"no frame .*: the file is cut off, its 20 frames are missing"):
        list(VideoReader(str(path)))


def test_a_whole_video_of_a_variable_frame_rate_is_not_cut_off(tmp_path, caplog):
    """OpenCV states 60 frames, the length times the rate; there are 28 in the same time."""
    select = ["-vf", "select='lt(n,20)+not(mod(n,5))'", "-c:v", "flv"]
    path = convert(noise(tmp_path / "noise.avi", frames=60), tmp_path / "a.mkv", *select)
    path = convert(path, tmp_path / "b.flv", "-c", "copy")
    assert read_logged(path, caplog) == (28, [])


def test_a_trimmed_video_is_not_cut_off(tmp_path, caplog):
    """An mp4 trimmed without encoding keeps its frames, states their number, and plays fewer."""
    whole = convert(noise(tmp_path / "noise.avi"), tmp_path / "a.mp4", "-g", "100")
    trimmed = tmp_path / "b.mp4"
    subprocess.run(
        [find_ffmpeg()[0], "-v", "error", "-ss", "0.5", "-i", str(whole), "-c", "copy", str(trimmed)], check=True
    )
    assert read_logged(trimmed, caplog)[1] == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_of_a_variable_frame_rate_have_their_true_times(tmp_path, suffix):
    """Full rate in the first second, then every fifth frame; the times by number were up to a second wrong."""
    select = ["-vf", "select='lt(n,20)+not(mod(n,5))'"]
    path = convert(noise(tmp_path / "noise.avi", frames=60), tmp_path / "a.mkv", *select)
    path = convert(path, tmp_path / f"b.{suffix}", "-c", "copy")
    expected = [i / 20 for i in range(60) if i < 20 or i % 5 == 0]
    frames = list(VideoReader(str(path)))
    assert [frame.time for frame in frames] == pytest.approx(expected, abs=2e-3)
    assert max(abs(frame.number / VideoReader(str(path)).fps - frame.time) for frame in frames) > 0.5
    every = list(VideoReader(str(path), stride=3))
    assert [(f.number, f.time) for f in every] == [(f.number, f.time) for f in frames[::3]]


def test_times_from_the_frame_rate_where_the_file_has_none(monkeypatch, tmp_path):
    class Untimed(Camera):
        def get(self, prop):
            return 10.0 if prop == cv2.CAP_PROP_FPS else 0.0

    monkeypatch.setattr(cv2, "VideoCapture", Untimed)
    times = [frame.time for frame in VideoReader("a.mp4")]
    assert times == pytest.approx([i / 10 for i in range(30)])


def test_a_camera_with_a_stride(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    numbers = [frame.number for frame in VideoReader(0, live=True, stride=4)]
    assert numbers and all(number % 4 == 0 for number in numbers)


class Camera:
    """Stand-in for cv2.VideoCapture: 30 frames, as fast as they are read, then the connection is lost."""

    def __init__(self, location):
        self.count = 0

    def isOpened(self):
        return True

    def get(self, what):
        return 0.0

    def read(self):
        self.count += 1
        return self.count <= 30, np.full((4, 4, 3), self.count, np.uint8)

    def grab(self):
        self.count += 1
        return self.count <= 30

    def retrieve(self):
        return True, np.full((4, 4, 3), self.count, np.uint8)

    def release(self):
        pass


def test_a_camera_gives_its_newest_frame(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    reader = VideoReader(0, live=True)
    assert reader.count is None and reader.fps == DEFAULT_FPS
    frames = list(reader)
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 29
    assert all(frame.pixels[0, 0, 0] == frame.number + 1 for frame in frames)


def test_one_video_after_another(tmp_path):
    with VideoFiles() as videos:
        for name, count in (("a.mp4", 3), ("b.mp4", 2)):
            for _ in range(count):
                videos.write(tmp_path / name, np.zeros((32, 32, 3), np.uint8), 10)
    counts = [cv2.VideoCapture(str(tmp_path / f"{name}.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) for name in "ab"]
    assert counts == [3, 2]


def test_videos_without_a_frame_rate_get_the_default(tmp_path):
    with VideoFiles() as videos:
        videos.write(tmp_path / "a.mp4", np.zeros((32, 32, 3), np.uint8), None)
    assert VideoReader(str(tmp_path / "a.mp4")).fps == pytest.approx(DEFAULT_FPS)
