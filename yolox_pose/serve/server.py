"""Web server for the page: static files, a description of the model, and the poses of an uploaded image.

Nothing is written to disk.
"""

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
"""Request paths, the files of :data:`PAGE` that answer them, and their media types. No other file can be read."""

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
"""Headers of every response: the page runs only its own script, and no other site can embed or read it."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MAX_UPLOADS = 4
"""Number of images that are decoded or wait for the model at a time. Further uploads get status 503."""
SOCKET_TIMEOUT = 30
"""Seconds without data after which a connection is closed."""


class Limits(NamedTuple):
    """Limits of an upload.

    Attributes:
        bytes: Largest size of the file in bytes.
        pixels: Largest number of pixels of the decoded image.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000


class Refusal(Exception):
    """Refused request.

    Args:
        status: Status of the response.
        message: Reason, one line.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class PoseServer(ThreadingHTTPServer):
    """Server of the page.

    Args:
        address: Host and port to listen on. Port 0 uses a free one.
        predict: Function that returns the result of an image of shape (H, W, 3), uint8 BGR. It is called for one image at a
            time.
        model: Description of the model from :func:`describe_model`.
        limits: Limits of uploads. None uses the defaults.
    """

    daemon_threads = True
    block_on_close = False  # a hanging upload does not keep the process alive

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
        self.lock, self.room = threading.Lock(), threading.BoundedSemaphore(MAX_UPLOADS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, PoseHandler)
        self.only_loopback = is_loopback(address[0])

    @property
    def url(self) -> str:
        """Address of the page."""
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def describe_model(skeleton: Skeleton | None, classes: tuple[str, ...], score_thr: float) -> dict[str, Any]:
    """Describe the model for the page.

    Args:
        skeleton: Skeleton of the keypoints, None for plain detection.
        classes: Class names in label order.
        score_thr: Lowest score of the persons that the page gets.

    Returns:
        Class names, lowest score, and names, links and colors (``#rrggbb``) of the keypoints.
    """
    description: dict[str, Any] = {"classes": classes, "score_thr": score_thr}
    if skeleton is None:
        return {**description, "keypoints": [], "links": [], "keypoint_colors": [], "link_colors": []}
    return {
        **description,
        "keypoints": skeleton.names,
        "links": skeleton.links,
        "keypoint_colors": [_hex(color) for color in skeleton.keypoint_colors],
        "link_colors": [_hex(color) for color in skeleton.link_colors],
    }


def _hex(bgr: tuple[int, int, int]) -> str:
    blue, green, red = bgr
    return f"#{red:02x}{green:02x}{blue:02x}"


def describe_result(result: PoseResult, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Describe a result for the page.

    Args:
        result: Result of an image.
        size: Width and height of the image in pixels.
        seconds: Time that the model took.

    Returns:
        Size, time and persons: box (xyxy), score, label and keypoints (x, y, score), in pixels of the image.
    """
    triples = np.concatenate([result.keypoints, result.keypoint_scores[..., None]], axis=-1)
    columns = (_numbers(result.boxes, 2), _numbers(result.scores, 4), result.labels.tolist(), _numbers(triples, 3))
    persons = [dict(zip(("box", "score", "label", "keypoints"), row)) for row in zip(*columns)]
    return {"width": size[0], "height": size[1], "seconds": round(seconds, 3), "persons": persons}


def _numbers(values: np.ndarray, decimals: int) -> list[Any]:
    return values.astype(np.float64).round(decimals).tolist()


class PoseHandler(BaseHTTPRequestHandler):
    """Handler of a connection."""

    server: PoseServer
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT

    def do_GET(self) -> None:
        """Send the page, one of its files, or the description of the model."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Send the poses of the image in the body of the request."""
        self._answer(self._post)

    def _answer(self, respond: Callable[[], tuple[str, bytes]]) -> None:
        """Send the media type and body that a function returns, or an error."""
        try:
            self._check_origin()
            kind, body = respond()
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
                HTTPStatus.INTERNAL_SERVER_ERROR, "the image could not be processed; see the log of the server"
            )

    def _check_origin(self) -> None:
        """Refuse requests that other web sites send through the user's browser, also under a name that resolves here.

        Raises:
            Refusal: If host or origin are not this server.
        """
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        name, _, port = host.rpartition(":")
        if self.server.only_loopback and (name not in LOOPBACK_NAMES or port != str(self.server.server_address[1])):
            raise Refusal(HTTPStatus.FORBIDDEN, "this server answers requests to localhost only")
        if origin is not None and origin != f"http://{host}":
            raise Refusal(HTTPStatus.FORBIDDEN, "requests from other web sites are refused")

    def _get(self) -> tuple[str, bytes]:
        """Return the media type and content of the requested path.

        Raises:
            Refusal: If there is no such path.
        """
        if self.path in self.server.files:
            return self.server.files[self.path]
        if self.path == "/api/model":
            return "application/json", self.server.model
        raise Refusal(HTTPStatus.NOT_FOUND, "page not found")

    def _post(self) -> tuple[str, bytes]:
        """Return the poses of the uploaded image as JSON.

        Raises:
            Refusal: If the path, the upload or the image is wrong, or there are too many uploads.
        """
        if self.path != "/api/poses":
            raise Refusal(HTTPStatus.NOT_FOUND, "send images to /api/poses")
        length = self._checked_length()
        if not self.server.room.acquire(blocking=False):
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many images at a time; try again later")
        try:
            result = self._predict(self.rfile.read(length), length)
        finally:
            self.server.room.release()
        return "application/json", json.dumps(result).encode()

    def _checked_length(self) -> int:
        """Return the size of the body in bytes.

        Raises:
            Refusal: If the size is missing or too large, or the media type is not accepted.
        """
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in MEDIA_TYPES:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"images must be {', '.join(MEDIA_TYPES)}, not '{kind}'")
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()) or self.headers.get("Transfer-Encoding"):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "the size of the image is missing (Content-Length)")
        length, max_bytes = int(text), self.server.limits.bytes
        if length > max_bytes:
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"images may have {max_bytes / 1e6:g} MB, this has {length / 1e6:.1f}",
            )
        return length

    def _predict(self, data: bytes, length: int) -> dict[str, Any]:
        """Decode an upload and run the model.

        Args:
            data: Body of the request.
            length: Expected size of the body.

        Raises:
            Refusal: If the data are no image, incomplete, broken or too large.
        """
        # Check the size before decoding
        if len(data) < length:
            raise Refusal(HTTPStatus.BAD_REQUEST, "the upload is incomplete")
        try:
            _, (width, height) = sniff_image(data)
            max_pixels = self.server.limits.pixels
            if width * height > max_pixels:
                raise Refusal(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"images may have {max_pixels / 1e6:g} megapixels, this has {width} x {height}",
                )
            img = decode_image(data, "upload")
        except DataError as error:
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None

        # Run the model on one image at a time
        with self.server.lock:
            start = time.perf_counter()
            result = self.server.predict(img)
            seconds = time.perf_counter() - start
        return describe_result(result, (img.shape[1], img.shape[0]), seconds)

    def _send_error(self, status: HTTPStatus, message: str) -> None:
        """Send an error as JSON."""
        try:
            self._send(status, "application/json", json.dumps({"error": message}).encode())
        except ConnectionError:
            logger.debug("the client has closed the connection")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """Send a response of a media type."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Return the name of the server in responses, without versions."""
        return "yolox-pose"

    def end_headers(self) -> None:
        """Add the security headers to every response, also to errors of the base class."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Log a request, with the text of the client escaped."""
        logger.info("%s %s", self.address_string(), (format % args).encode("unicode_escape").decode())
