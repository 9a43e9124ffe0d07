"""The progress bar."""

from yolox_pose.utils.progress import track


def test_items_pass_and_are_counted(capsys):
    assert list(track(range(5), "counting")) == list(range(5))
    assert list(track(iter("ab"), "letters", total=2)) == ["a", "b"]
    captured = capsys.readouterr()
    assert captured.out == "" and "counting" in captured.err
    assert "5/5" in captured.err and "2/2" in captured.err


def test_without_a_total_items_are_counted(capsys):
    assert list(track(iter("abc"), "letters")) == list("abc")
    assert "letters: 3it" in capsys.readouterr().err


def test_disabled_shows_nothing(capsys):
    assert list(track([1, 2], "quiet", enabled=False)) == [1, 2]
    assert capsys.readouterr().err == ""
