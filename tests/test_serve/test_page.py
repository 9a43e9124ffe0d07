"""The page in a real browser: an image is dropped, poses appear, sliders select what is drawn."""

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.test_serve import headless
from yolox_pose import get_skeleton
from yolox_pose.inference.results import PoseResult
from yolox_pose.serve.server import Limits, PoseServer, describe_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(headless.find_browser() is None, reason="no Chromium or Chrome is installed"),
]
SKELETON = get_skeleton("coco")
SCREENSHOTS = "YOLOX_POSE_SCREENSHOTS"
"""Environment variable: folder for a screenshot."""


def two_people(img):
    """Return stick figures of scores 0.9 and 0.55; the keypoints of the right one score lower."""
    height, width = img.shape[:2]
    figure = np.array([(0, -9), (1, -10), (-1, -10), (2, -9), (-2, -9), (4, -6), (-4, -6), (6, -2), (-6, -2), (7, 2),
                       (-7, 2), (3, 2), (-3, 2), (3, 7), (-3, 7), (3, 12), (-3, 12)], np.float32)  # fmt: skip
    places = np.float32([[0.28 * width, 0.45 * height], [0.72 * width, 0.45 * height]])
    keypoints = places[:, None] + figure * height / 30
    boxes = np.concatenate([keypoints.min(1) - 9, keypoints.max(1) + 9], axis=1)
    scores = np.float32([[0.9] * 17, [0.5] * 17])
    return PoseResult(keypoints, scores, boxes, np.float32([0.9, 0.55]), np.zeros(2, np.int64), SKELETON)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    model = describe_model(SKELETON, ("person",), 0.1)
    with PoseServer(("127.0.0.1", 0), two_people, model, Limits(400_000, 1_000_000)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        browser = headless.Browser(headless.find_browser(), tmp_path_factory.mktemp("profile"))
        try:
            browser.call("Page.navigate", url=server.url)
            browser.wait_for("typeof model !== 'undefined' && model !== null")
            yield browser
        finally:
            browser.close()
            server.shutdown()
            thread.join()


def status(page):
    return page.run("document.getElementById('status').textContent")


def drawn(page):
    """Return the content of the canvas, (H, W, 3) RGB."""
    flat = page.run("Array.from(pen.getImageData(0, 0, canvas.width, canvas.height).data)")
    width, height = page.run("[canvas.width, canvas.height]")
    return np.array(flat, np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def move(page, name, value):
    page.run(f"""(() => {{ const slider = document.getElementById("{name}"); slider.value = {value};
                 slider.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()""")


def gray(width=320, height=240, suffix=".png"):
    return cv2.imencode(suffix, np.full((height, width, 3), 100, np.uint8))[1].tobytes()


def test_drop_look_and_move_the_sliders(page):
    page.drop("people.png", "image/png", gray())
    page.wait_for("document.getElementById('status').textContent.includes('2 of 2 people')")
    both = np.abs(drawn(page) - 100).max(-1) > 12
    assert both.shape == (240, 320)
    assert both[:, :160].sum() > 1000 and both[:, 160:].sum() > 1000
    if os.environ.get(SCREENSHOTS):
        Path(os.environ[SCREENSHOTS], "serve.png").write_bytes(page.screenshot())

    move(page, "score_thr", 0.6)
    assert "1 of 2 people" in status(page)
    one = np.abs(drawn(page) - 100).max(-1) > 12
    assert one[:, :150].sum() > 1000 and not one[:, 165:].any()

    move(page, "score_thr", 0.3)
    move(page, "kpt_thr", 0.7)  # the low-score skeleton goes, its box stays
    less = np.abs(drawn(page) - 100).max(-1) > 12
    assert 0 < less[:, 160:].sum() < 0.6 * both[:, 160:].sum()
    assert page.run("document.querySelector('output[for=kpt_thr]').textContent") == "0.70"
    assert page.run("document.getElementById('score_thr').min") == "0.1", "the lowest score that the server sends"
    assert page.problems() == []


def test_a_file_that_is_no_image_is_refused(page):
    page.drop("notes.txt", "text/plain", b"hello")
    page.wait_for("document.getElementById('status').className === 'error'")
    assert status(page) == "'notes.txt' is no JPEG, PNG or WebP image."
    page.drop("large.png", "image/png", bytes(400_001))
    page.wait_for("document.getElementById('status').textContent.includes('larger than 0.4 MB')")


def test_refusals_of_the_server_are_shown(page):
    page.drop("broken.png", "image/png", b"nothing")
    page.wait_for("document.getElementById('status').textContent.includes('no JPEG, PNG or WebP')")
    page.drop("people.jpg", "image/jpeg", gray(suffix=".jpg"))  # and it goes on
    page.wait_for("document.getElementById('status').textContent.includes('2 people shown') || "
                  "document.getElementById('status').textContent.includes('of 2 people')")  # fmt: skip
