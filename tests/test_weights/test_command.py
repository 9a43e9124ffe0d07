"""``yolox-pose weights``, against a table of a local server."""

import hashlib
import json
from types import SimpleNamespace

import pytest

from yolox_pose.cli import main as cli
from yolox_pose.cli import run
from yolox_pose.cli import weights as command
from yolox_pose.weights import store
from yolox_pose.weights.table import TABLE_VARIABLE, find_published

CONTENT = b"weights" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def published(server, tmp_path, monkeypatch):
    """Two models in place of the package's table: one with a hash, one without."""
    rows = [
        f"small\tpose\t{server.url}/small-{DIGEST[:8]}.pth\tyolox-pose_s_8xb32-300e_coco\tCOCO keypoints\t0.5\tUs\tMIT",
        f"plain\tdetector\t{server.url}/plain.pth\t\tMOT17 MOTA\t0.7\tThem\tMIT; data for research only",
    ]
    columns = ["name", "kind", "url", "config", "metric", "score", "publisher", "license"]
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(["\t".join(columns), *rows]) + "\n")
    monkeypatch.setattr("yolox_pose.weights.table.TABLE", path)
    server.files = {f"/small-{DIGEST[:8]}.pth": CONTENT, "/plain.pth": CONTENT}
    return path


def weights(capsys, *words):
    """Run the command: exit code, output, messages."""
    code = run(cli.main, ["weights", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_list_get_path_and_prune(capsys, home):
    code, out, _ = weights(capsys, "list")
    assert code == 0 and "0.500  COCO keypoints  Us" in out and "bundled" in out and str(home / "weights") in out
    code, _, err = weights(capsys, "path", "small")
    assert code == 1 and "'yolox-pose weights get small'" in err and str(home / "weights") in err

    path = home / "weights" / f"small-{DIGEST[:8]}.pth"
    code, out, err = weights(capsys, "get", "small", "plain")
    assert code == 0 and out == f"{path}\n{home / 'weights' / 'plain.pth'}\n"
    assert "license: MIT; data for research only" in err and "plain.pth has no published hash" in err
    assert weights(capsys, "path", "small") == (0, f"{path}\n", "")
    assert "0.0 MB" in weights(capsys, "list", "--kind", "pose")[1]

    (home / "weights" / "other.pth.part").touch()
    code, out, _ = weights(capsys, "prune")
    assert code == 0 and out == f"removed: {home / 'weights' / 'other.pth.part'}\n" and path.is_file()
    assert f"removed: {path}" in weights(capsys, "prune", "small")[1] and not path.is_file()
    weights(capsys, "prune", "--all")
    assert "nothing to remove" in weights(capsys, "prune", "--all")[1]
    assert json.loads((home / "weights" / store.HASHES).read_text())["first_use"] == {}


def test_verify_reads_every_file_again(capsys, home):
    assert "no published weights are on this machine" in weights(capsys, "verify")[1]
    code, out, _ = weights(capsys, "verify", "--all")
    assert code == 0 and f"small: SHA-256 {DIGEST[:8]}" in out and "2 of 2 files are good" in out
    path = home / "weights" / f"small-{DIGEST[:8]}.pth"
    status = path.stat()
    path.write_bytes(CONTENT[::-1])
    store.os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # same size, same time
    code, out, _ = weights(capsys, "verify")
    assert code == 1 and "small: failed" in out and "as published" in out and "1 of 2 files are good" in out


def test_verify_prints_measured_ap_beside_the_published_one(capsys, tmp_path, monkeypatch):
    calls = []

    def evaluate(arguments, **_):
        calls.append(arguments)
        out = arguments[arguments.index("--out") + 1]
        store.Path(out).mkdir()
        (store.Path(out) / "metrics.json").write_text('{"coco/AP": 0.4987}')
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(command.subprocess, "run", evaluate)
    code, out, _ = weights(capsys, "verify", "--all", "--evaluate", tmp_path, "--cfg-options", "a=1")
    assert code == 0 and "AP 0.499 measured, 0.500 published (COCO keypoints, Us)" in out and len(calls) == 1
    words = calls[0][3:]
    assert words[:4] == ["test", "small", "--data", str(tmp_path)] and words[-2:] == ["--cfg-options", "a=1"]
    monkeypatch.setattr(
        command.subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stderr="error: no data\n")
    )
    code, out, _ = weights(capsys, "verify", "small", "--evaluate", tmp_path)
    assert code == 1 and "small: failed: evaluation: no data" in out
    assert weights(capsys, "verify", "--evaluate", tmp_path / "none")[0] == 2


def test_wrong_names_get_suggestions(capsys):
    assert weights(capsys, "get", "smalll") == (
        2, "", "error: no published weights are called 'smalll'; did you mean small?\n"
    )  # fmt: skip
    assert "see 'yolox-pose weights list --all'" in weights(capsys, "path", "xyz")[2]


def test_a_failed_download_is_one_line(capsys, server):
    server.files = {}
    code, out, err = weights(capsys, "get", "small")
    assert code == 1 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def test_folders_of_the_command_line(capsys, tmp_path, server, monkeypatch):
    monkeypatch.setenv(store.FOLDERS_VARIABLE, "")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "plain.pth").write_bytes(CONTENT)
    code, out, _ = weights(capsys, "get", "plain", "--weights-dir", tmp_path / "own")
    assert code == 0 and out == f"{tmp_path / 'own' / 'plain.pth'}\n" and server.requests == []


def test_the_table_of_a_private_hub_comes_on_top(capsys, tmp_path, monkeypatch):
    (tmp_path / "more.tsv").write_text("name\turl\nown\thttp://host/own-00000000.pth\n")
    monkeypatch.setenv(TABLE_VARIABLE, str(tmp_path / "more.tsv"))
    assert find_published("own") and "own " in weights(capsys, "list")[1]
