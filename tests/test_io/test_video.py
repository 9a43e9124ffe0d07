"""Videos written and read again; a camera is played by a stand-in."""

import os
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from yolox_pose.errors import DataError
from yolox_pose.io import video_writer
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
