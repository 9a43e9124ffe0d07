import re
from collections import Counter

import pytest

from yolox_pose.checkpoints.layouts import LAYOUTS
from yolox_pose.config import config_files
from yolox_pose.errors import DataError
from yolox_pose.weights.table import (
    KINDS,
    TABLE_VARIABLE,
    find_by_file,
    find_published,
    hash_in_name,
    published_models,
    similar_names,
)


def test_every_row_is_complete_and_every_name_unmistakable():
    models, configs = published_models(), {file.stem for file in config_files()}
    assert len(models) == 67 and {model.kind for model in models} == set(KINDS)
    names = Counter(name.lower() for model in models for name in model.names)
    assert max(names.values()) == 1 and not names.keys() & {name.lower() for name in configs}
    for model in models:
        assert model.url.startswith("https://") and model.publisher and model.license != "unknown"
        assert 0 < model.score < 1 and re.fullmatch(r"\d+(x\d+)?", model.input), model.name
        assert model.layout in (*LAYOUTS, "rtmo", "onnx")
        assert model.config in configs or (
            model.config == "" and model.name.startswith(("rtmo", "rrtmo", "yolox-x-byte"))
        )
        hashed = "openmmlab" in model.url and not model.file.endswith(".zip")
        assert re.fullmatch("[0-9a-f]{8}", model.sha256) if hashed else model.sha256 == "", model.name
        assert ("mmyolo" in model.url) == (model.license == "GPL-3.0")
    assert len({model.file for model in models}) == len(models), "files of one store need different names"


def test_names_aliases_and_file_names_lead_to_a_row():
    small = find_published("s")
    assert small.score == 0.641 and small.publisher == "MMPose" and small.preprocessing == "centered"
    for name in ("S", "yoloxpose-s", "yoloxpose_s_8xb32-300e_coco-640", small.file, small.file.removesuffix(".pth")):
        assert find_published(name) == small
    assert find_published("yolox-s").publisher == "Megvii"
    assert find_published("yolox_s").url.endswith("0.1.1rc0/yolox_s.pth")
    assert find_published("yolox-s-0.0.1").preprocessing == "corner-rgb-imagenet"
    assert "research" in find_published("yolox-l-humanart").license
    assert find_published("nothing") is None


def test_a_file_is_known_by_its_name_only_if_the_name_says_enough():
    assert find_by_file("anywhere/yolox_l_8xb8-300e_humanart-ce1d7a62.pth").name == "yolox-l-humanart"
    assert find_by_file("anywhere/yolox_s-0.0.1.pth").name == "yolox-s-0.0.1"
    assert find_by_file("anywhere/yolox_s.pth") is None


@pytest.mark.parametrize(
    ("file", "digits"),
    [
        ("a-56c79c1f_20230829.pth", "56c79c1f"),
        ("a-ce1d7a62.pth", "ce1d7a62"),
        ("yolox_s.pth", ""),
        ("a_20230829-nothex12.pth", ""),
    ],
)
def test_hash_in_name(file, digits):
    assert hash_in_name(file) == digits


def test_similar_names():
    assert similar_names("yolox-ss")[0] == "yolox-s"
    assert "rtmo-s" in similar_names("rtmo_s.pth") and similar_names("zzzz") == []


def test_a_second_table_adds_rows_and_replaces_rows(tmp_path, monkeypatch):
    path = tmp_path / "more.tsv"
    path.write_text(
        "name\turl\tsha256\taliases\ns\thttp://host/other_s.pth\tABCDEF01\ta,b\nown\thttp://host/x-0123abcd.pth\t\t\n"
    )
    monkeypatch.setenv(TABLE_VARIABLE, str(path))
    assert len(published_models()) == 68
    assert find_published("b").sha256 == "abcdef01" and find_published("own").sha256 == "0123abcd"
    assert find_published("own").file == "x-0123abcd.pth" and find_published("own").kind == "pose"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\turl\twrong\n", "line 1: unknown columns wrong"),
        ("name\n", "line 1: no columns name and url"),
        ("name\turl\n\thttp://a/b.pth\n", "line 2: a row needs a name and a url"),
        ("name\turl\tscore\nx\thttp://a/b.pth\thigh\n", "line 2: could not convert"),
        ("name\turl\tkind\nx\thttp://a/b.pth\tother\n", "line 2: kind 'other' is none of"),
        ("name\turl\tfile\nx\thttp://a/b.pth\t../b.pth\n", "line 2: '../b.pth' is not the name of a file"),
        ("name\turl\nx\thttp://host/\n", "line 2: 'http://host/' is not the name of a file"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_line(text, message, tmp_path, monkeypatch):
    (tmp_path / "t.tsv").write_text(text)
    monkeypatch.setenv(TABLE_VARIABLE, str(tmp_path / "t.tsv"))
    with pytest.raises(DataError, match=re.escape(message)) as error:
        published_models()
    assert "\n" not in str(error.value)


def test_a_missing_table_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(TABLE_VARIABLE, str(tmp_path / "none.tsv"))
    with pytest.raises(DataError, match=r"none.tsv cannot be read"):
        published_models()
