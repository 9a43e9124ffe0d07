"""The store of downloaded weights: where files are looked for, checked by hash, downloaded and removed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from yolox_pose.errors import DataError
from yolox_pose.utils.json_files import write_json
from yolox_pose.weights.download import DownloadError, NotOnServerError, StorageError, fetch, megabytes
from yolox_pose.weights.table import LEGACY_PREPROCESSING, PublishedModel, file_in_url

logger = logging.getLogger(__name__)

HOME_VARIABLE = "YOLOX_POSE_HOME"
FOLDERS_VARIABLE = "YOLOX_POSE_WEIGHTS_DIR"
OFFLINE_VARIABLE = "YOLOX_POSE_OFFLINE"
MIRROR_VARIABLE = "YOLOX_POSE_MIRROR"

HASHES = "hashes.json"
"""File in the store: digests of checked files, and those of files without a published hash, from their first use."""
_LOCK_POLL_SECONDS = 0.1
_HASH_CHUNK = 1 << 20
_SHOWN_DIGITS = 8


class Local(NamedTuple):
    """A file of published weights on this machine.

    Attributes:
        path: The file.
        problem: What is wrong with it; empty if nothing is.
    """

    path: Path
    problem: str = ""


def cache_folder() -> Path:
    """Return the cache: ``YOLOX_POSE_HOME``, else ``XDG_CACHE_HOME/yolox_pose``, else ``~/.cache/yolox_pose``."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home).expanduser()
    return _user_cache() / "yolox_pose"


def store_folder() -> Path:
    """Return the folder that weights are downloaded into."""
    return cache_folder() / "weights"


def torch_folder() -> Path:
    """Return the folder of torch's own downloads (``torch.hub``)."""
    home = os.environ.get("TORCH_HOME")
    return (Path(home).expanduser() if home else _user_cache() / "torch") / "hub" / "checkpoints"


def user_folders() -> list[Path]:
    """Return the folders of weights that the user named (``--weights-dir``)."""
    return [Path(name).expanduser() for name in os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep) if name]


def is_offline() -> bool:
    """Return whether the user forbids downloads."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "false", "no")


def _user_cache() -> Path:
    name = os.environ.get("XDG_CACHE_HOME")
    return Path(name).expanduser() if name else Path.home() / ".cache"


def find_local(model: PublishedModel, *, fresh: bool = False) -> Local | None:
    """Find the file of a model on this machine and check its hash.

    The user's folders come first, then the store, then torch's. A file of torch's with another hash is passed over.

    Args:
        model: Row of the table.
        fresh: Whether the file is read even if its size and time are those of an earlier check.
    """
    for folder in user_folders():
        for name in _file_names(model):
            if (folder / name).is_file():
                return Local(folder / name, check_hash(folder / name, model, fresh=fresh))
    path = store_folder() / model.file
    if path.is_file():
        return Local(path, check_hash(path, model, fresh=fresh))
    for name in _file_names(model):
        path = torch_folder() / name
        if path.is_file():
            problem = check_hash(path, model, fresh=fresh)
            if not problem:
                return Local(path)
            logger.warning("%s is not used: %s", path, problem)
    return None


def _file_names(model: PublishedModel) -> tuple[str, ...]:
    """Return the names under which other programs keep the file."""
    original = file_in_url(model.url)
    if model.preprocessing == LEGACY_PREPROCESSING or not original:
        return (model.file,)  # The new release has a file of the same original name.
    return tuple(dict.fromkeys((model.file, original)))


def get_weights(model: PublishedModel) -> Path:
    """Return the file of a model, downloaded if it is not on this machine. Several processes download it once.

    Raises:
        DataError: If it cannot be had, or its hash is wrong; one line with the URL and the path for a file by hand.
    """
    target = store_folder() / model.file
    if path := _checked(model):
        return path
    if is_offline():
        raise DataError(f"{model.name} is not on this machine and {OFFLINE_VARIABLE} is set; {_by_hand(model, target)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(
            target.with_name(f".{target.name}.lock"), lambda: _say(f"waiting for another download of {target.name}")
        ):
            return _checked(model) or _download(model, target)
    except OSError as error:
        reason = f"{error.filename or target} cannot be written: {error.strerror or error}"
        raise DataError(
            f"{model.name}: {reason}; set {HOME_VARIABLE} to another folder, or {_by_hand(model, target)}"
        ) from None


def _checked(model: PublishedModel) -> Path | None:
    local = find_local(model)
    if local is not None and local.problem:
        raise DataError(f"{local.path}: {local.problem}; delete it, and it is downloaded again from {model.url}")
    return None if local is None else local.path


def _download(model: PublishedModel, target: Path) -> Path:
    """Download into ``.part``, check the hash, and rename."""
    part = target.with_name(target.name + ".part")
    addresses = download_urls(model)
    failure: DownloadError | None = None
    for address in addresses:
        try:
            fetch(
                address,
                part,
                size=model.bytes,
                announce=lambda total, address=address: _say(  # type: ignore[misc]
                    f"downloading {target.name} ({megabytes(total)}, license: {model.license}) from {address} to {target.parent}"
                ),
            )
        except NotOnServerError as error:
            failure = error
            continue
        except StorageError as error:
            raise DataError(
                f"{model.name}: {error}; set {HOME_VARIABLE} to another folder, or {_by_hand(model, target)}"
            ) from None
        except DownloadError as error:
            raise DataError(f"{address}: {error}; {_by_hand(model, target)}") from None

        # Check the hash before the file gets its name
        problem = check_hash(part, model)
        if problem:
            part.unlink(missing_ok=True)
            raise DataError(f"{address}: {problem}; the file was not kept; {_by_hand(model, target)}")
        os.replace(part, target)
        _move_record(part, target)
        return target
    raise DataError(f"{' and '.join(addresses)}: {failure}; {_by_hand(model, target)}")


def download_urls(model: PublishedModel) -> tuple[str, ...]:
    """Return the addresses to try in order: those of ``YOLOX_POSE_MIRROR``, by file name and by path, else the original."""
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    if not mirror or model.name == model.url:  # A URL that the user typed is taken literally.
        return (model.url,)
    return (f"{mirror}/{quote(model.file)}", f"{mirror}{urlsplit(model.url).path}")


def _by_hand(model: PublishedModel, target: Path) -> str:
    return f"copy {model.url} to {target} to use it without a download"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check_hash(path: Path, model: PublishedModel, *, fresh: bool = False) -> str:
    """Compare the SHA-256 digest of a file with the published one, or with that of its first use.

    A file without a published digest is recorded on its first use. A line says so.

    Args:
        path: The file.
        model: Row of the table.
        fresh: Whether the file is read even if its size and time are those of an earlier check.

    Returns:
        What is wrong, in words; empty if nothing is.
    """
    digest = file_digest(path, fresh=fresh)
    if model.sha256:
        if digest.startswith(model.sha256):
            return ""
        return f"its SHA-256 begins with {digest[:_SHOWN_DIGITS]}, not with {model.sha256[:_SHOWN_DIGITS]} as published"
    first = _read_records().get("first_use", {}).get(model.url)
    if first is None:
        place = _record("first_use", model.url, digest)
        _say(
            f"{model.file} has no published hash: its SHA-256 {digest[:_SHOWN_DIGITS]}... is "
            + (f"recorded in {place} and compared from now on" if place else "not checked, and cannot be recorded")
        )
        return ""
    if digest == first:
        return ""
    return (
        f"its SHA-256 begins with {digest[:_SHOWN_DIGITS]}, on its first use it was {first[:_SHOWN_DIGITS]} "
        f"('yolox-pose weights prune {model.name}' forgets that)"
    )


def file_digest(path: Path, *, fresh: bool = False) -> str:
    """Return the SHA-256 digest of a file in hexadecimal, from the records if size and time are unchanged and not ``fresh``."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    key = os.path.abspath(path)
    record = _read_records().get("files", {}).get(key)
    if not fresh and isinstance(record, list) and record[1:] == stamp:
        return str(record[0])
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    _record("files", key, [digest.hexdigest(), *stamp])
    return digest.hexdigest()


def _read_records() -> dict[str, Any]:
    try:
        records = json.loads((store_folder() / HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return records if isinstance(records, dict) else {}


def _record(table: str, key: str, value: Any) -> Path | None:
    """Write an entry of the records; None removes it. Returns the file, or None if it cannot be written."""
    path = store_folder() / HASHES
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{HASHES}.lock")):
            records = _read_records()
            entries = records.setdefault(table, {})
            entries.pop(key, None)
            if value is not None:
                entries[key] = value
            return write_json(path, records, indent=1)
    except OSError:
        return None


def _move_record(old: Path, new: Path) -> None:
    """Keep the digest of a file that was renamed."""
    record = _read_records().get("files", {}).get(os.path.abspath(old))
    _record("files", os.path.abspath(old), None)
    _record("files", os.path.abspath(new), record)


def remove_weights(model: PublishedModel) -> list[Path]:
    """Remove the file of a model from the store, with its partial download and records; returns what was removed."""
    target = store_folder() / model.file
    part = target.with_name(target.name + ".part")
    files = [target, part, part.with_name(part.name + ".validator")]  # The lock stays: another process may wait for it
    removed = [path for path in files if path.is_file()]
    for path in removed:
        path.unlink()
    _record("files", os.path.abspath(target), None)
    _record("first_use", model.url, None)
    return removed


def partial_downloads() -> list[Path]:
    """Return the files that interrupted downloads left in the store."""
    return sorted([*store_folder().glob("*.part"), *store_folder().glob("*.part.validator")])


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes. The system releases it when a process ends in any way, so it is never stale.

    Args:
        path: File of the lock, which stays.
        on_wait: Called once if another process has the lock.

    Raises:
        OSError: If the file cannot be opened.
    """
    with open(path, "a+b") as file:
        while not _try_lock(file):
            if on_wait is not None:
                on_wait()
                on_wait = None
            time.sleep(_LOCK_POLL_SECONDS)
        yield


def _try_lock(file: Any) -> bool:
    """Lock an open file until it is closed; false if another process has it. File systems without locks count as locked."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
    return True
