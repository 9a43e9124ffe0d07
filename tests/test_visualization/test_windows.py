"""Pictures are shown in notebooks, windows, or by the desktop."""

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tests.test_inference.test_results import make
from yolox_pose.errors import UsageError
from yolox_pose.visualization import windows


@pytest.fixture
def desktop(monkeypatch):
    """Return the calls of a desktop with a display, whose OpenCV has windows."""
    calls = []
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("imshow", "waitKey", "destroyWindow"):
        monkeypatch.setattr(cv2, name, lambda *args, name=name: calls.append((name, *args)))
    monkeypatch.setattr(windows.webbrowser, "open", lambda uri: calls.append(("open", uri)))
    return calls


def test_window(desktop):
    make(name="a.jpg").show()
    assert [call[0] for call in desktop] == ["imshow", "waitKey", "destroyWindow"] and desktop[0][1] == "a.jpg"
    np.testing.assert_array_equal(desktop[0][2], make().plot())
    desktop.clear()
    make().show(wait=False)
    assert [call[0] for call in desktop] == ["imshow", "waitKey"] and desktop[1][1] == 1


def test_opencv_without_windows_opens_a_file(desktop, monkeypatch):
    def refuse(*args):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "imshow", refuse)
    make().show(zoom=2)
    ((kind, uri),) = desktop
    path = Path(uri.removeprefix("file://"))
    assert kind == "open" and cv2.imread(str(path)).shape == (160, 160, 3)
    path.unlink()


def test_no_display(desktop, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match=r"no display .* save\(path\)"):
        make().show()
    assert desktop == []


def test_notebook(desktop, monkeypatch):
    shown = []
    display = SimpleNamespace(display=shown.append, Image=lambda data: data)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=True)))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    make().show()
    assert shown == [make()._repr_png_()] and desktop == []
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    make().show()
    assert len(shown) == 1 and desktop, "IPython in a terminal has no pictures"
