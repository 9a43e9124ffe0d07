import errno
import hashlib
import multiprocessing
import os
import random
import shutil
import socket
import sys

import pytest

from yolox_pose.errors import DataError
from yolox_pose.weights import download, store
from yolox_pose.weights.table import PublishedModel

CONTENT = random.Random(0).randbytes(400_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def model(server):
    server.files["/w.pth"] = CONTENT
    return PublishedModel("w", (), "pose", f"{server.url}/w.pth", "w.pth", sha256=DIGEST[:8], license="MIT")


def failure(model):
    """The one line of the error of a download."""
    with pytest.raises(DataError) as error:
        store.get_weights(model)
    assert "\n" not in str(error.value)
    return str(error.value)


def left_in_store(home):
    return sorted(path.name for path in (home / "weights").iterdir() if not path.name.startswith("."))


def test_a_file_is_downloaded_once_and_found_afterwards(model, server, home, capsys):
    path = store.get_weights(model)
    assert path == home / "weights" / "w.pth" and path.read_bytes() == CONTENT
    assert left_in_store(home) == ["hashes.json", "w.pth"]
    said = capsys.readouterr()
    assert "downloading w.pth (0.4 MB, license: MIT)" in said.err and model.url in said.err and said.out == ""
    assert store.get_weights(model) == path and len(server.requests) == 1
    assert capsys.readouterr().err == ""


def test_an_interrupted_download_is_resumed_where_it_stopped(model, server):
    server.cut_after, server.cuts = 150_000, 2
    assert store.get_weights(model).read_bytes() == CONTENT
    assert [request[1] for request in server.requests] == [None, "bytes=150000-", "bytes=300000-"]


def test_a_download_of_an_earlier_process_is_resumed(model, server, monkeypatch):
    server.cut_after, server.cuts = 150_000, 1
    monkeypatch.setattr(download, "ATTEMPTS", 0)
    message = failure(model)
    assert "the connection broke off after 150,000 of 400,000 bytes" in message
    assert model.url in message and str(store.store_folder() / "w.pth") in message
    monkeypatch.setattr(download, "ATTEMPTS", 4)
    assert store.get_weights(model).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=150000-"


def test_a_file_that_changed_on_the_server_is_not_joined_to_the_old_beginning(model, server, monkeypatch):
    server.files["/w.pth"] = bytes(400_000)
    server.cut_after, server.cuts = 150_000, 1
    monkeypatch.setattr(download, "ATTEMPTS", 0)
    failure(model)
    server.files["/w.pth"] = CONTENT
    assert store.get_weights(model).read_bytes() == CONTENT


@pytest.mark.parametrize(("ranges", "etag"), [(False, True), (True, False)])
def test_a_server_that_cannot_resume_sends_the_whole_file_again(model, server, ranges, etag):
    server.ranges, server.etag, server.cut_after, server.cuts = ranges, etag, 150_000, 1
    assert store.get_weights(model).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_download_that_was_complete_but_not_renamed_is_taken(model, server, home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "w.pth.part").write_bytes(CONTENT)
    (home / "weights" / "w.pth.part.validator").write_text(f'{model.url}\n"{hashlib.md5(CONTENT).hexdigest()}"')
    assert store.get_weights(model).read_bytes() == CONTENT
    assert server.requests == [("/w.pth", "bytes=400000-")]


def test_redirects_slow_servers_and_busy_ones(model, server):
    server.redirects["/moved.pth"] = "/w.pth"
    server.statuses["/w.pth"] = [503, 429]
    server.pause = 0.01
    moved = model._replace(url=f"{server.url}/moved.pth")
    assert store.get_weights(moved).read_bytes() == CONTENT


def test_a_silent_server_ends_in_one_line(model, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = failure(model._replace(url=f"http://127.0.0.1:{silent.getsockname()[1]}/w.pth"))
    assert "no connection: timed out" in message


def test_a_length_that_is_wrong_is_a_truncated_file(model, server):
    server.extra_length, server.ranges = 100, False
    assert "broke off after 400,000 of 400,100 bytes" in failure(model)
    assert "the server's file has 400,100 bytes, 400,500 were expected" in failure(model._replace(bytes=400_500))


def test_a_wrong_hash_is_not_kept(model, server, home):
    message = failure(model._replace(sha256="00000000"))
    assert f"its SHA-256 begins with {DIGEST[:8]}, not with 00000000 as published" in message and model.url in message
    assert left_in_store(home) == ["hashes.json"]


def test_a_file_without_a_published_hash_is_compared_with_its_first_use(model, server, home, capsys):
    model = model._replace(sha256="")
    path = store.get_weights(model)
    assert f"w.pth has no published hash: its SHA-256 {DIGEST[:8]}... is recorded in" in capsys.readouterr().err
    path.unlink()
    assert store.get_weights(model) == path
    assert "no published hash" not in capsys.readouterr().err
    path.unlink()
    server.files["/w.pth"] = CONTENT[::-1]
    assert f"on its first use it was {DIGEST[:8]}" in failure(model)
    store.remove_weights(model)
    assert store.get_weights(model).read_bytes() == CONTENT[::-1]


def test_404_and_no_network_name_url_and_path(model, server, home):
    missing = failure(model._replace(url=f"{server.url}/none.pth"))
    assert "the server answers 404" in missing and f"{server.url}/none.pth" in missing
    assert str(home / "weights" / "w.pth") in missing
    server.statuses["/w.pth"] = [403]
    assert "the server answers 403" in failure(model)
    closed = failure(model._replace(url="http://127.0.0.1:9/w.pth"))
    assert "no connection" in closed and str(home / "weights" / "w.pth") in closed
    assert "not a URL" in failure(model._replace(url="nonsense"))


def test_offline_uses_what_is_there_and_names_what_is_not(model, server, monkeypatch, home):
    monkeypatch.setenv(store.OFFLINE_VARIABLE, "1")
    message = failure(model)
    assert (
        "YOLOX_POSE_OFFLINE is set" in message and model.url in message and str(home / "weights" / "w.pth") in message
    )
    assert server.requests == []
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "w.pth").write_bytes(CONTENT)
    assert store.get_weights(model).read_bytes() == CONTENT


def test_a_copy_by_hand_with_another_hash_is_refused(model, home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "w.pth").write_bytes(CONTENT[:1000])
    assert "delete it, and it is downloaded again" in failure(model)


def test_files_of_torch_and_of_the_users_folders_are_used(model, server, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "w.pth").write_bytes(CONTENT)
    assert store.get_weights(model) == folder / "w.pth"
    (tmp_path / "own").mkdir()
    shutil.copy(folder / "w.pth", tmp_path / "own")
    monkeypatch.setenv(store.FOLDERS_VARIABLE, os.pathsep.join(["/none", str(tmp_path / "own")]))
    assert store.get_weights(model) == tmp_path / "own" / "w.pth" and server.requests == []
    monkeypatch.delenv(store.FOLDERS_VARIABLE)
    (folder / "w.pth").write_bytes(b"another file")
    assert store.get_weights(model).read_bytes() == CONTENT and "is not used" in caplog.text


def test_a_mirror_is_asked_by_file_name_and_by_path(model, server, monkeypatch):
    monkeypatch.setenv(store.MIRROR_VARIABLE, f"{server.url}/")
    remote = model._replace(url="https://download.example/a/b/w.pth")
    assert store.get_weights(remote).read_bytes() == CONTENT
    store.remove_weights(remote)
    server.files = {"/a/b/w.pth": CONTENT}
    assert store.get_weights(remote).read_bytes() == CONTENT
    assert [request[0] for request in server.requests] == ["/w.pth", "/w.pth", "/a/b/w.pth"]
    store.remove_weights(remote)
    server.files = {}
    assert f"{server.url}/w.pth and {server.url}/a/b/w.pth: the server answers 404" in failure(remote)


def test_proxies_are_those_of_the_environment(model, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.files["http://weights.example/w.pth"] = CONTENT
    assert store.get_weights(model._replace(url="http://weights.example/w.pth")).read_bytes() == CONTENT


def test_a_full_disk_is_one_line(model, home, monkeypatch):
    usage = shutil.disk_usage(home.parent)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    message = failure(model)
    assert "no space for 0.4 MB" in message and "YOLOX_POSE_HOME" in message and model.url in message
    monkeypatch.undo()
    monkeypatch.setenv("YOLOX_POSE_HOME", str(home))

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download.os, "fsync", full)
    assert "w.pth.part cannot be written: No space left on device" in failure(model)


def test_a_cache_that_cannot_be_written_is_one_line(model, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("YOLOX_POSE_HOME", str(tmp_path / "file" / "cache"))
    message = failure(model)
    assert (
        "cannot be written" in message and "set YOLOX_POSE_HOME to another folder" in message and model.url in message
    )


def test_the_cache_folder_follows_the_variables(monkeypatch, tmp_path):
    assert store.cache_folder() == tmp_path / "home"
    monkeypatch.delenv("YOLOX_POSE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache_folder() == tmp_path / "xdg" / "yolox_pose"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_folder() == tmp_path / ".cache" / "yolox_pose"
    monkeypatch.delenv("TORCH_HOME")
    assert store.torch_folder() == tmp_path / ".cache" / "torch" / "hub" / "checkpoints"


def _get(model):
    return str(store.get_weights(model))


def test_of_eight_processes_one_downloads(model, server, home):
    server.pause = 0.05
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        paths = pool.map(_get, [model] * 8, chunksize=1)
    assert set(paths) == {str(home / "weights" / "w.pth")}
    assert len(server.requests) == 1


def test_a_lock_of_a_process_that_was_killed_does_not_last(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", ready), daemon=True)
    process.start()
    ready.wait(60)
    process.kill()
    waited = []
    with store.locked(tmp_path / "lock", lambda: waited.append(True)):
        pass
    process.join()


def _hold(path, ready):
    with store.locked(path):
        ready.set()
        while True:
            pass


def test_the_bar_is_for_terminals_alone(capsys, monkeypatch):
    bar = download.ProgressBar("w.pth", 2_000_000)
    bar.show(2_000_000)
    bar.close()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = download.ProgressBar("w.pth", 2_000_000)
    bar.show(1_000_000)
    bar.show(2_000_000)
    bar.close()
    assert "w.pth: 2.0 of 2.0 MB" in capsys.readouterr().err
