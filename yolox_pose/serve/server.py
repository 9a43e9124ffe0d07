"""The web server: a few static files, what the model is, and the poses of an uploaded image. Nothing is written to disk."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.geometry.images import decode_image
from yolox_pose.inference.results import PoseResult
from yolox_pose.serve.uploads import MEDIA_TYPES, sniff_image
from yolox_pose.structures.skeleton import Skeleton

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Path to file of :data:`PAGE` and its type; no other file can be asked for."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer: the page runs only its own script, and no other site can embed or read it."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
WAITING_UPLOADS = 4
"""Images that are decoded or wait for the model at one time; further ones are told to come back."""
SOCKET_TIMEOUT = 30
"""Seconds without a byte after which a connection is closed."""


class Limits(NamedTuple):
    """What an upload may be.

    Attributes:
        bytes: Of the file.
        pixels: Of the decoded image.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000


class Refusal(Exception):
    """A request that is not served, with the status and the line that say why."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class PoseServer(ThreadingHTTPServer):
    """Serves the page.

    Args:
        address: Host and port to listen on; port 0 takes a free one.
        predict: From a (H, W, 3) uint8 BGR image to its result; called for one image at a time.
        model: What the page is told of the model (:func:`describe_model`).
        limits: What uploads may be; None takes the defaults.
    """

    daemon_threads = True
    block_on_close = False  # an upload that hangs does not keep the process

    def __init__(
        self,
        address: tuple[str, int],
        predict: Callable[[np.ndarray], PoseResult],
        model: Mapping[str, Any],
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.files = {path: (kind, (PAGE / name).read_bytes()) for path, (name, kind) in FILES.items()}
        self.predict, self.limits = predict, limits
        self.model = json.dumps({**model, "limits": limits._asdict(), "types": MEDIA_TYPES}).encode()
        self.lock, self.room = threading.Lock(), threading.BoundedSemaphore(WAITING_UPLOADS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, PoseHandler)
        self.only_loopback = is_loopback(address[0])

    @property
    def url(self) -> str:
        """Address of the page."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def describe_model(skeleton: Skeleton | None, classes: tuple[str, ...]) -> dict[str, Any]:
    """What the page needs to draw results: names, links and colours (``#rrggbb``)."""
    if skeleton is None:
        return {"classes": classes, "keypoints": [], "links": [], "keypoint_colors": [], "link_colors": []}
    return {
        "classes": classes,
        "keypoints": skeleton.names,
        "links": skeleton.links,
        "keypoint_colors": [_hex(color) for color in skeleton.keypoint_colors],
        "link_colors": [_hex(color) for color in skeleton.link_colors],
    }


def _hex(bgr: tuple[int, int, int]) -> str:
    blue, green, red = bgr
    return f"#{red:02x}{green:02x}{blue:02x}"


def describe_result(result: PoseResult, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """A result as the page takes it, in pixels of the image.

    Args:
        result: Of one image.
        size: (w, h) of the image.
        seconds: That the model took.
    """
    triples = np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1)
    columns = (_numbers(result.boxes, 2), _numbers(result.scores, 4), result.labels.tolist(), _numbers(triples, 3))
    persons = [dict(zip(("box", "score", "label", "keypoints"), row)) for row in zip(*columns)]
    return {"width": size[0], "height": size[1], "seconds": round(seconds, 3), "persons": persons}


def _numbers(values: np.ndarray, decimals: int) -> list:
    return values.astype(np.float64).round(decimals).tolist()


class PoseHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: PoseServer
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT

    def do_GET(self) -> None:
        """The page, its files and what the model is."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Poses of the image that is the body of the request."""
        self._answer(self._post)

    def _answer(self, serve: Callable[[], tuple[str, bytes]]) -> None:
        try:
            self._check_preprocessing()
            kind, body = serve()
            self._send(HTTPStatus.OK, kind, body)
        except Refusal as refusal:
            self.close_connection = True  # the body may not have been read
            self._send_error(refusal.status, refusal.message)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception:
            logger.exception("%s failed", self.path)
            self.close_connection = True
            self._send_error(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the image could not be processed; the server's log says why"
            )

    def _check_preprocessing(self) -> None:
        """Refuse what another web site sends through the user's browser, also under a name that it points here.

        Raises:
            Refusal: If host or origin are not this server.
        """
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        name, _, port = host.rpartition(":")
        if self.server.only_loopback and (name not in LOOPBACK_NAMES or port != str(self.server.server_address[1])):
            raise Refusal(HTTPStatus.FORBIDDEN, "this server answers to localhost alone")
        if origin is not None and origin != f"http://{host}":
            raise Refusal(HTTPStatus.FORBIDDEN, "requests from other sites are refused")

    def _get(self) -> tuple[str, bytes]:
        if self.path in self.server.files:
            return self.server.files[self.path]
        if self.path == "/api/model":
            return "application/json", self.server.model
        raise Refusal(HTTPStatus.NOT_FOUND, "there is no such page")

    def _post(self) -> tuple[str, bytes]:
        if self.path != "/api/poses":
            raise Refusal(HTTPStatus.NOT_FOUND, "images go to /api/poses")
        length = self._checked_length()
        if not self.server.room.acquire(blocking=False):
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many images at a time; try again")
        try:
            result = self._find_poses(self.rfile.read(length), length)
        finally:
            self.server.room.release()
        return "application/json", json.dumps(result).encode()

    def _checked_length(self) -> int:
        """Size of the body in bytes.

        Raises:
            Refusal: If it is not known, too large or of no image.
        """
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"images must be {', '.join(MEDIA_TYPES)}, not '{kind}'")
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()) or self.headers.get("Transfer-Encoding"):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the size of the image is not given")
        length, most = int(text), self.server.limits.bytes
        if length > most:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"images may have {most / 1e6:g} MB, this has {length / 1e6:.1f}"
            )
        return length

    def _find_poses(self, data: bytes, length: int) -> dict[str, Any]:
        """Decode an upload and run the model.

        Raises:
            Refusal: If it is no image, broken or too large.
        """
        if len(data) < length:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the image did not arrive whole")
        try:
            _, (width, height) = sniff_image(data)
            most = self.server.limits.pixels
            if width * height > most:
                raise Refusal(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"images may have {most / 1e6:g} megapixels, this has {width} x {height}",
                )
            img = decode_image(data, "upload")
        except DataError as error:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        with self.server.lock:
            start = time.perf_counter()
            result = self.server.predict(img)
            seconds = time.perf_counter() - start
        return describe_result(result, (img.shape[1], img.shape[0]), seconds)

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        try:
            self._send(status, "application/json", json.dumps({"error": message}).encode())
        except ConnectionError:
            logger.debug("the client is gone")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """What answers call this server: no versions."""
        return "yolox-pose"

    def end_headers(self) -> None:
        """Add the security headers to every answer, those of the base class's errors included."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request; what a client sends is escaped."""
        logger.info("%s %s", self.address_string(), (format % args).encode("unicode_escape").decode())
