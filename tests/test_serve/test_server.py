"""The web server in this process, with a stand-in for the model."""

import http.client
import json
import threading

import cv2
import numpy as np
import pytest

from yolox_pose import get_skeleton
from yolox_pose.cli import run
from yolox_pose.cli.serve import main
from yolox_pose.inference.results import PoseResult
from yolox_pose.serve.server import FILES, HEADERS, Limits, PoseServer, describe_model, is_loopback

SKELETON = get_skeleton("coco")


def predict(img):
    """Return a person whose keypoints are all at the brightest pixel."""
    y, x = np.unravel_index(img.sum(-1).argmax(), img.shape[:2])
    if img.max() == 0:
        raise RuntimeError("a model that fails")
    keypoints = np.tile(np.float32([x, y]), (1, 17, 1))
    box = np.float32([[0, 0, img.shape[1], img.shape[0]]])
    return PoseResult(keypoints, np.full((1, 17), 0.9, np.float32), box, np.float32([0.8]), np.int64([0]), SKELETON)


@pytest.fixture
def server():
    with PoseServer(
        ("127.0.0.1", 0), predict, describe_model(SKELETON, ("person",), 0.1), Limits(60_000, 40_000)
    ) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.05,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(server, method="GET", path="/", body=None, **headers):
    """Return status, headers and body of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def upload(server, data, kind="image/png", **headers):
    status, _, content = ask(server, "POST", "/api/poses", data, Content_Type=kind, **headers)
    return status, json.loads(content)


def png(width=40, height=30, dot=(11, 7), suffix=".png"):
    img = np.full((height, width, 3), 9, np.uint8)
    img[dot[1], dot[0]] = 255
    return cv2.imencode(suffix, img)[1].tobytes()


def test_the_page_and_its_files(server):
    for path in FILES:
        status, headers, content = ask(server, path=path)
        assert status == 200 and len(content) > 100
        assert headers["Content-Type"] == FILES[path][1]
    page = ask(server)[2].decode()
    assert "http" not in page.replace("http-equiv", "")  # nothing from elsewhere
    assert "<script>" not in page and "style=" not in page  # the policy forbids both


def test_poses_of_an_upload(server):
    status, content = upload(server, png())
    assert status == 200
    assert (content["width"], content["height"]) == (40, 30)
    (person,) = content["persons"]
    assert person["score"] == pytest.approx(0.8) and person["box"] == [0, 0, 40, 30]
    assert person["keypoints"] == [[11, 7, 0.9]] * 17
    assert upload(server, png(suffix=".jpg"), "image/jpeg")[0] == 200


def test_the_description_of_the_model(server):
    model = json.loads(ask(server, path="/api/model")[2])
    assert len(model["keypoints"]) == len(model["keypoint_colors"]) == 17
    assert len(model["links"]) == len(model["link_colors"]) == 19
    assert model["keypoint_colors"][1] == "#3399ff"  # the left eye, BGR (255, 153, 51)
    assert model["limits"] == {"bytes": 60_000, "pixels": 40_000} and model["score_thr"] == 0.1
    assert describe_model(None, ("cat", "dog"), 0.1)["links"] == []


@pytest.mark.parametrize(
    ("data", "kind", "status", "message"),
    [
        (png(), "text/plain", 415, "images must be image/jpeg, image/png, image/webp, not 'text/plain'"),
        (png(), "", 415, "not ''"),
        (b"GIF89a" + bytes(50), "image/png", 422, "no JPEG, PNG or WebP"),
        (png()[:-20], "image/png", 422, "truncated"),
        (png()[:24] + b"\0" * 40 + b"IEND", "image/png", 422, "not an image that can be decoded"),
        (bytes(60_001), "image/png", 413, "images may have 0.06 MB"),
        (png(400, 101), "image/png", 413, "images may have 0.04 megapixels, this has 400 x 101"),
        (png()[:16] + (2**31 - 1).to_bytes(4, "big") * 2 + png()[24:], "image/png", 413, "megapixels"),
    ],
)
def test_uploads_that_are_refused(server, data, kind, status, message):
    actual, content = upload(server, data, kind)
    assert (actual, message in content["error"]) == (status, True), content
    assert upload(server, png())[0] == 200  # and it goes on


def test_a_model_that_fails_is_an_answer_without_details(server):
    status, content = upload(server, cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes())
    assert status == 500 and "a model that fails" not in content["error"]
    assert upload(server, png())[0] == 200


def test_sizes_that_are_not_given_or_wrong(server):
    port = server.server_address[1]
    for headers, status in (
        (b"", b"411"),
        (b"Content-Length: -5\r\n", b"411"),
        (b"Content-Length: 1e3\r\n", b"411"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"411"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.connect()
        head = f"POST /api/poses HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: image/png\r\n".encode()
        connection.sock.sendall(head + headers + b"\r\n")
        assert connection.sock.recv(100).split()[1] == status
        connection.close()


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/page/app.js", "//etc/passwd", "/app.js?x", "/%2e%2e/server.py", "/api"]
)
def test_nothing_else_can_be_read(server, path):
    status, _, content = ask(server, path=path)
    assert status == 404 and b"root:" not in content
    assert ask(server, "POST", path, b"x", Content_Type="image/png")[0] == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods(server, method):
    assert ask(server, method)[0] == 501


def test_other_sites_are_refused(server):
    port = server.server_address[1]
    assert ask(server, Host=f"localhost:{port}")[0] == 200
    assert ask(server, Host=f"evil.example:{port}")[0] == 403  # a name that was pointed at this machine
    assert ask(server, Host="localhost:1")[0] == 403
    assert upload(server, png(), Origin="http://evil.example")[0] == 403
    assert upload(server, png(), Origin="null")[0] == 403
    assert upload(server, png(), Origin=f"http://127.0.0.1:{port}")[0] == 200


def test_every_answer_has_the_security_headers(server):
    answers = (ask(server), ask(server, path="/none"), ask(server, "PUT"), ask(server, "POST", "/api/poses", b"x"))
    for _, headers, _ in answers:
        assert {name: headers[name] for name in HEADERS} == HEADERS
        assert headers["Server"] == "yolox-pose"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_too_many_at_a_time(server):
    while server.room.acquire(blocking=False):
        pass
    status, content = upload(server, png())
    assert status == 503 and "try again" in content["error"]


def test_many_at_once_are_answered_one_by_one(server):
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(upload(server, png())[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4


def test_nothing_is_written(server, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a file was opened")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert upload(server, png())[0] == 200
    assert list(tmp_path.iterdir()) == []


def test_loopback_addresses():
    assert all(is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "192.168.1.5", "example.org", "::", ""))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "70000"], "--port must be between 0 and 65535"),
        (["--max-mb", "0"], "must be above 0"),
        ([], "checkpoint 'none.pth' does not exist"),
    ],
)
def test_wrong_calls_are_one_line(options, message, capsys):
    assert run(main, ["--config", "none.py", "--checkpoint", "none.pth", *options]) == 2
    assert message in capsys.readouterr().err
