"""A local HTTP server for the tests of downloads, with the faults of real ones."""

import contextlib
import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WeightsServer(ThreadingHTTPServer):
    """Serves bytes by path.

    Attributes:
        files: Path to content.
        redirects: Path to the path that stands in its place.
        statuses: Path to a list of status codes that the next requests get; None ends in the file.
        ranges: Whether Range requests are answered with 206.
        cut_after: Bytes of a body after which the connection is closed; None sends all.
        cuts: Responses that are cut, then no more.
        pause: Seconds between the pieces of a body.
        extra_length: Bytes that Content-Length claims beyond the body.
        etag: Whether an ETag is sent.
        requests: (path, Range header) of every request.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.redirects, self.statuses, self.requests = {}, {}, {}, []
        self.ranges, self.etag, self.cut_after, self.cuts, self.pause, self.extra_length = True, True, None, 0, 0.0, 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """Say nothing when a client hangs up."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        self.close_connection = True
        if server.statuses.get(self.path):
            return self.send_error(server.statuses[self.path].pop(0))
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if self.path not in server.files:
            return self.send_error(404)
        body = server.files[self.path]
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(match[1]) if match and server.ranges and self.headers.get("If-Range", etag) == etag else 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start + server.extra_length))
        self.end_headers()
        return self.send_body(body[start:])

    def send_body(self, body):
        server = self.server
        if server.cut_after is not None and server.cuts > 0:
            server.cuts -= 1
            body = body[: server.cut_after]
        step = max(len(body) // 8, 1)
        for i in range(0, len(body), step):
            self.wfile.write(body[i : i + step])
            self.wfile.flush()
            time.sleep(server.pause)

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def weights_server():
    """A running server."""
    server = WeightsServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
