"""A video that this package wrote, played by a real browser."""

import cv2
import numpy as np
import pytest

from tests.test_serve import headless
from yolox_pose.io.video_writer import VideoWriter, find_ffmpeg

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(headless.find_browser() is None, reason="no Chromium or Chrome is installed"),
    pytest.mark.skipif(find_ffmpeg() is None, reason="there is no ffmpeg with H.264"),
]
PAGE = '<body style="margin: 0"><video src="film.mp4" width="320" height="240" muted></video></body>'


@pytest.fixture
def page(tmp_path):
    writer = VideoWriter(tmp_path / "film.mp4", 10)
    for i in range(12):  # frame i is gray of level 20 i
        writer.write(np.full((240, 320, 3), 20 * i, np.uint8))
    writer.close()
    (tmp_path / "page.html").write_text(PAGE)
    browser = headless.Browser(headless.find_browser(), tmp_path / "profile")
    try:
        browser.call("Page.navigate", url=(tmp_path / "page.html").as_uri())
        browser.wait_for("document.querySelector('video')?.readyState >= 2")
        yield browser
    finally:
        browser.close()


def shown(page):
    """Return the mean gray level of the visible video."""
    return cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)[20:220, 20:300].mean()


def test_it_plays_and_shows_its_frames(page):
    size = page.run(
        "(({videoWidth, videoHeight, duration}) => [videoWidth, videoHeight, duration])(document.querySelector('video'))"
    )
    assert size == [320, 240, pytest.approx(1.2, abs=0.05)]
    for frame in (2, 9):
        page.run(f"""new Promise((done) => {{ const film = document.querySelector("video");
                     film.onseeked = () => requestAnimationFrame(() => requestAnimationFrame(done));
                     film.currentTime = {frame / 10 + 0.05}; }})""")
        assert shown(page) == pytest.approx(20 * frame, abs=6)
    page.run("(() => { const film = document.querySelector('video'); film.currentTime = 0; film.play(); })()")
    page.wait_for("document.querySelector('video').ended")
    assert shown(page) == pytest.approx(20 * 11, abs=6)
    assert page.problems() == []
