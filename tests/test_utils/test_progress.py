"""The progress bar, with tqdm and without."""

import sys

import pytest

from yolox_pose.utils.progress import track


@pytest.mark.parametrize("tqdm", [True, False])
def test_items_pass_and_are_counted(monkeypatch, capsys, tqdm):
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(track(range(5), "counting")) == list(range(5))
    assert list(track(iter("ab"), "letters", total=2)) == ["a", "b"]
    captured = capsys.readouterr()
    assert captured.out == "" and "counting" in captured.err
    assert "5/5" in captured.err and "2/2" in captured.err


def test_without_tqdm_and_without_a_total(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(track(iter("abc"), "letters")) == list("abc")
    assert capsys.readouterr().err.startswith("letters: 3 [")


def test_disabled_shows_nothing(capsys):
    assert list(track([1, 2], "quiet", enabled=False)) == [1, 2]
    assert capsys.readouterr().err == ""
