"""Download files over HTTP into memory, within limits of size and time."""

from __future__ import annotations

import time

from yolox_pose.errors import DataError

MAX_BYTES = 64 * 1024 * 1024
"""Largest image that is downloaded."""

MAX_SECONDS = 30.0
"""Longest time that a download may take."""


def download(address: str, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS) -> bytes:
    """Download a file into memory.

    Args:
        address: URL, ``http://…`` or ``https://…``.
        max_bytes: Largest size of the file.
        max_seconds: Longest time for the whole download and for each wait.

    Raises:
        DataError: If the download fails, or is larger or slower than allowed.
    """
    # urllib is imported late, as it takes longer to import than the rest of the runtime
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    end = time.monotonic() + max_seconds
    data = bytearray()
    request = urllib.request.Request(address, headers={"User-Agent": "yolox-pose"})
    try:
        with urllib.request.urlopen(request, timeout=max_seconds) as response:
            while chunk := response.read1(1 << 16):
                data += chunk
                if len(data) > max_bytes:
                    raise DataError(f"{address} is larger than {max_bytes:,} bytes and was not downloaded")
                if time.monotonic() > end:
                    raise DataError(f"{address} was not downloaded within {max_seconds:g} s")
    except urllib.error.HTTPError as error:
        raise DataError(f"{address} cannot be downloaded: {error.code} {error.reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"{address} cannot be downloaded: {getattr(error, 'reason', None) or error}") from None
    return bytes(data)
