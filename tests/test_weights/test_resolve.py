import hashlib
import sys
from types import SimpleNamespace

import pytest

from yolox_pose.errors import DataError, UsageError
from yolox_pose.weights import BUNDLED, find_model, find_weights, names_weights, resolve_checkpoint, store
from yolox_pose.weights.table import TABLE_VARIABLE

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """A table of a private hub: a pose model, a model of RTMO and its archive."""
    path = tmp_path / "table.tsv"
    rows = [f"small\tpose\t{server.url}/small-{DIGEST[:8]}.pth\tyolox-pose_s_8xb32-300e_coco"]
    rows += [
        f"{name}\trtmo\t{server.url}/{name}-{DIGEST[:8]}.{end}\t" for name, end in (("r", "pth"), ("r-onnx", "zip"))
    ]
    path.write_text("\n".join(["name\tkind\turl\tconfig", *rows]) + "\n")
    monkeypatch.setenv(TABLE_VARIABLE, str(path))
    for name in ("small", "r"):
        server.files[f"/{name}-{DIGEST[:8]}.pth"] = CONTENT


def test_a_published_name_implies_file_and_config(published, home):
    found = resolve_checkpoint("small")
    assert found.path == home / "weights" / f"small-{DIGEST[:8]}.pth" and found.path.read_bytes() == CONTENT
    assert find_model(None, "small") == ("yolox-pose_s_8xb32-300e_coco", found.path)
    assert find_model("own.py", "small") == ("own.py", found.path)
    # The same file elsewhere is known by its name
    copy = home / found.path.name
    copy.write_bytes(CONTENT)
    assert find_model(None, copy) == ("yolox-pose_s_8xb32-300e_coco", copy)


def test_a_file_of_that_name_comes_first(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").touch()
    assert find_weights("small") == (tmp_path / "small").relative_to(tmp_path)


def test_a_wrong_name_gets_suggestions():
    with pytest.raises(
        UsageError, match=r"checkpoint 'yolox-ss' does not exist; did you mean yolox-s or .*weights list"
    ):
        find_weights("yolox-ss")
    with pytest.raises(UsageError, match="did you mean bundled"):
        find_weights("bundeld")


def test_rtmo_gives_its_backbone_alone(published):
    with pytest.raises(UsageError, match=r"r is RTMO, .* --load-from r --only backbone"):
        find_weights("r")
    with pytest.raises(UsageError, match=r"ONNX export of RTMO.* --load-from r --only backbone"):
        resolve_checkpoint("r-onnx", backbone_only=True)
    assert resolve_checkpoint("r", backbone_only=True).path.read_bytes() == CONTENT
    with pytest.raises(UsageError, match=r"--load-from rtmo-s --only backbone"):
        find_weights("rtmo-s")


def test_weights_without_a_config_of_this_package_say_what_works(monkeypatch, tmp_path):
    file = tmp_path / "b.pth"
    monkeypatch.setattr("yolox_pose.weights.get_weights", lambda model: file)
    with pytest.raises(UsageError, match=r"yolox-x-bytetrack is a starting point for trainings \(--load-from\)"):
        find_model(None, "bytetrack-x")
    assert find_model("own.py", "bytetrack-x") == ("own.py", file)


def test_urls_with_a_hash(server, home, monkeypatch):
    server.files = {f"/a-{DIGEST[:8]}_20230829.pth": CONTENT, "/best.pth": CONTENT}
    assert find_weights(f"{server.url}/a-{DIGEST[:8]}_20230829.pth").name == f"a-{DIGEST[:8]}_20230829.pth"
    for digits in (DIGEST, DIGEST[:8].upper()):
        assert find_weights(f"{server.url}/best.pth#sha256={digits}") == home / "weights" / f"best-{DIGEST[:8]}.pth"
    with pytest.raises(UsageError, match="carries no hash .*#sha256="):
        find_weights(f"{server.url}/best.pth")
    with pytest.raises(UsageError, match="8 to 64 hexadecimal digits"):
        find_weights(f"{server.url}/best.pth#md5=00")
    with pytest.raises(DataError, match="not with 00000000 as published"):
        find_weights(f"{server.url}/best.pth#sha256=00000000")
    monkeypatch.setenv(store.MIRROR_VARIABLE, "http://127.0.0.1:9")
    assert find_weights(f"{server.url}/best.pth#sha256={DIGEST}").is_file(), "a URL is not sent to the mirror"


def test_a_url_of_the_table_is_its_row(published, server):
    found = resolve_checkpoint(f"{server.url}/small-{DIGEST[:8]}.pth")
    assert found.published.name == "small" and found.config == "yolox-pose_s_8xb32-300e_coco"


def test_files_of_the_hugging_face_hub(monkeypatch, tmp_path):
    calls = []

    def hf_hub_download(**options):
        calls.append(options)
        if options["filename"] == "none.pth":
            raise OSError("404 Client Error\nmore lines")
        return str(tmp_path / "w.pth")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))
    assert find_weights("hf:org/repo/folder/w.pth@v1") == tmp_path / "w.pth"
    assert calls[0] == {"repo_id": "org/repo", "filename": "folder/w.pth", "revision": "v1", "local_files_only": False}
    monkeypatch.setenv(store.OFFLINE_VARIABLE, "1")
    with pytest.raises(DataError, match=r"cannot be downloaded \(YOLOX_POSE_OFFLINE is set\): 404 Client Error$"):
        find_weights("hf:org/repo/none.pth")
    assert calls[1]["local_files_only"] and calls[1]["revision"] is None
    with pytest.raises(UsageError, match="not of the form hf:ORG/REPO/FILE"):
        find_weights("hf:org/w.pth")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install huggingface_hub$"):
        find_weights("hf:org/repo/w.pth")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("s", True), ("bundled", True), ("best.pth", True), ("a/b.safetensors", True), ("hf:o/r/f.pth", True),
        ("https://host/x.pth", True), ("yolox-pose_s_8xb32-300e_coco", False), ("config.py", False), ("m.onnx", False),
        (None, False), (object(), False), (BUNDLED.path, True),
    ],
)  # fmt: skip
def test_what_names_weights(name, expected):
    assert names_weights(name) is expected
