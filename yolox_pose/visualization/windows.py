"""Show pictures: in a notebook, in a window of OpenCV, or in the program that opens PNG files."""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolox_pose.errors import UsageError
from yolox_pose.io.pictures import encode_picture


def show_picture(picture: np.ndarray, title: str = "yolox-pose", *, wait: bool = True) -> None:
    """Show a picture.

    A notebook shows it below the cell. Otherwise it opens in a window of OpenCV, or, if OpenCV was built without windows, in the
    program that opens PNG files.

    Args:
        picture: Picture of shape (H, W, 3), uint8 BGR.
        title: Title of the window.
        wait: Whether to wait for a key before the window closes. Pass False in a loop over frames.

    Raises:
        UsageError: If there is no display.
    """
    # Notebook
    png = Path("picture.png")
    display = _notebook_display()
    if display is not None:
        display.display(display.Image(data=encode_picture(picture, png)))
        return

    # Window
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("there is no display to show pictures on; write a file with save(path)")
    try:
        cv2.imshow(title, picture)
    except cv2.error:
        _open_file(encode_picture(picture, png))
        return
    cv2.waitKey(0 if wait else 1)
    if wait:
        cv2.destroyWindow(title)


def _notebook_display() -> Any:
    """Return ``IPython.display`` in a notebook, else None. IPython is not imported unless it runs already."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return sys.modules["IPython.display"]


def _open_file(png: bytes) -> None:
    """Open a picture in the program of the desktop. The file stays, because the program reads it later."""
    with tempfile.NamedTemporaryFile(prefix="yolox-pose-", suffix=".png", delete=False) as file:
        file.write(png)
    webbrowser.open(Path(file.name).as_uri())
