"""Download one large file over HTTP: resumed after interruptions, with a progress bar on a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from yolox_pose.errors import DataError

CHUNK_BYTES = 1 << 18
ATTEMPTS = 4
"""Connections in a row that may fail without a single new byte."""
WAIT_SECONDS = 0.5
"""Pause before the second attempt. It doubles with every further one."""
TIMEOUT_SECONDS = 30.0
"""Longest silence of a connection. A download as a whole may take any time."""

_REFRESH_SECONDS = 0.2
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(DataError):
    """A download failed. The message says why, without the URL. Exit code 1."""


class NotOnServerError(DownloadError):
    """The server has no such file. Exit code 1."""


class StorageError(DownloadError):
    """The file cannot be written: disk full, no permission. Exit code 1."""


class _InterruptedError(Exception):
    """The connection ended before the file did."""


def fetch(
    url: str, part: Path, *, size: int | None = None, announce: Callable[[int | None], None] | None = None
) -> None:
    """Bring the file behind a URL to ``part``, which may hold its beginning already, and sync it to the disk.

    Proxies are those of :mod:`urllib`: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``.

    Args:
        url: ``http://...`` or ``https://...``.
        part: File to write. It stays after a failure, and the next call resumes it.
        size: Expected size in bytes, where it is known.
        announce: Called once with the size in bytes that the server names, or None, before the first byte is read.

    Raises:
        DownloadError: If the file cannot be brought here.
    """
    failures, connected, most = 0, False, _size(part)

    def begin(total: int | None) -> None:
        nonlocal connected
        if announce is not None and not connected:
            announce(total)
        connected = True

    while True:
        try:
            return _fetch_once(url, part, size, begin)
        except _InterruptedError as interruption:
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures >= ATTEMPTS or (not connected and isinstance(interruption.__cause__, urllib.error.URLError)):
                raise DownloadError(str(interruption)) from None
        time.sleep(WAIT_SECONDS * 2**failures)


def _fetch_once(url: str, part: Path, size: int | None, begin: Callable[[int | None], None]) -> None:
    """Make one request and write its body behind the bytes that are there."""
    start, validator_file = _size(part), part.with_name(part.name + ".validator")
    validator = _read_validator(validator_file, url) if start else ""
    if start and not validator:
        start = 0  # Without the server's word that its file is still the same one, start again.

    response = _open(url, start, validator, part)
    if response is None:
        return
    with response:
        # A server that cannot resume, or whose file has changed, sends the whole file.
        if response.status != 206:
            start = 0
        elif _first_byte(response) != start:
            raise DownloadError("the server resumes at another byte than it was asked for")
        total = _total_bytes(response, start)
        if size is not None and total is not None and total != size:
            raise DownloadError(f"the server's file has {total:,} bytes, {size:,} were expected")
        begin(total)
        try:
            validator_file.write_text(f"{url}\n{_validator_of(response)}", encoding="utf-8")
            if total is not None and shutil.disk_usage(part.parent).free < total - start:
                raise StorageError(f"no space for {megabytes(total - start)} in {part.parent}")
            with open(part, "ab" if start else "wb") as file:
                _copy(response, file, start, total, part)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{part} cannot be written: {error.strerror or error}") from None
    validator_file.unlink(missing_ok=True)


def _open(url: str, start: int, validator: str, part: Path) -> HTTPResponse | None:
    """Send the request; None if the server says that everything is here already."""
    headers = {"User-Agent": "yolox-pose", "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        opener = urllib.request.build_opener()  # The opener of the module keeps the proxies of its first use
        return opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return None
            part.unlink(missing_ok=True)
            raise _InterruptedError("the server refuses to resume") from None
        if error.code in _RETRIED_STATUS:
            raise _InterruptedError(f"the server answers {error.code} {error.reason}") from None
        kind = NotOnServerError if error.code in (404, 410) else DownloadError
        raise kind(f"the server answers {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise _InterruptedError(f"no connection: {getattr(reason, 'strerror', None) or reason}") from error
    except ValueError as error:
        raise DownloadError(f"not a URL that can be opened: {error}") from None


def _copy(response: HTTPResponse, file: Any, start: int, total: int | None, part: Path) -> None:
    """Copy the body into a file.

    Raises:
        OSError: If the file cannot be written.
    """
    bar, received = ProgressBar(part.name.removesuffix(".part"), total), start
    try:
        while True:
            try:
                chunk = response.read1(CHUNK_BYTES)
            except (OSError, HTTPException, ValueError) as error:
                raise _InterruptedError(_cut(received, total, error)) from None
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            bar.show(received)
    finally:
        bar.close()
    if total is not None and received < total:
        raise _InterruptedError(_cut(received, total))


def _cut(received: int, total: int | None, error: Exception | None = None) -> str:
    reason = f" ({error})" if error is not None and str(error) else ""
    of = f" of {total:,}" if total is not None else ""
    return f"the connection broke off after {received:,}{of} bytes{reason}"


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except OSError:
        return 0


def _read_validator(path: Path, url: str) -> str:
    """Return what identifies the server's file of an earlier attempt; empty if it is unknown or of another URL."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[1] if len(lines) == 2 and lines[0] == url else ""


def _validator_of(response: HTTPResponse) -> str:
    """Return a strong ETag, else the time of the last change; both may stand in ``If-Range``."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def _first_byte(response: HTTPResponse) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _total_bytes(response: HTTPResponse, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def megabytes(count: int | None) -> str:
    """Return a number of bytes as text, such as ``43.1 MB``."""
    return "size unknown" if count is None else f"{count / 1e6:.1f} MB"


class ProgressBar:
    """A line on a terminal that is rewritten: bytes so far, rate, remaining time. Elsewhere it shows nothing.

    Args:
        label: Text in front.
        total: Size in bytes; None if it is unknown.
    """

    def __init__(self, label: str, total: int | None) -> None:
        self.label, self.total = label, total
        self.live = sys.stderr.isatty()
        self.start = self.shown = time.monotonic()
        self.first: int | None = None

    def show(self, received: int) -> None:
        """Show that ``received`` bytes are here."""
        now = time.monotonic()
        self.first = received if self.first is None else self.first
        if not self.live or (now - self.shown < _REFRESH_SECONDS and received != self.total):
            return
        self.shown = now
        rate = (received - self.first) / max(now - self.start, 1e-6)
        line = f"{self.label}: {received / 1e6:.1f} of {megabytes(self.total)}, {rate / 1e6:.1f} MB/s"
        if self.total is not None and rate > 0:
            line += f", {(self.total - received) / rate:.0f} s left"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[-width:]:<{width}}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self.live and self.first is not None:
            print(file=sys.stderr)
