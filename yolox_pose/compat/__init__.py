"""Fill the gaps between the OpenMMLab stack that installs from wheels and the modules that it imports.

One file per gap. Each file's docstring gives the reason and the condition for removing it. Nothing is changed where the real
package works. ``python -m yolox_pose.compat`` prints versions and filled gaps.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from importlib.util import find_spec

from yolox_pose.compat.finder import FINDER
from yolox_pose.utils import dependencies

_STAND_INS = {
    "pkg_resources": {"pkg_resources": "pkg_resources"},
    "mmcv._ext": {"mmcv._ext": "mmcv_ext"},
    "torchvision": {"torchvision": "torchvision", "torchvision.transforms": "torchvision"},
    "xtcocotools": {
        "xtcocotools": "xtcocotools",
        "xtcocotools.mask": "xtcocotools_mask",
        "xtcocotools.coco": "xtcocotools",
        "xtcocotools.cocoeval": "xtcocotools",
    },
}
"""Gap to the import names that it covers, each with the module of this package that stands in."""

_filled: dict[str, str] | None = None


def install() -> dict[str, str]:
    """Fill every gap of this environment, once per process.

    Returns:
        Result for each gap: "found", or the way it is filled.

    Raises:
        MissingDependencyError: If a package is missing or too old; one line with the command that installs it.
    """
    global _filled
    if _filled is None:
        dependencies.require()
        results = {gap: _stand_in(gap) for gap in _STAND_INS}
        for gap in ("pkgutil_find_loader", "torch_load", "mmengine_cpu", "mmengine_infer"):
            fill = importlib.import_module(f"{__name__}.{gap}").fill
            results[gap] = fill() or "found"
        _filled = results
    return _filled


def _stand_in(gap: str) -> str:
    works = _works(gap)
    if works:
        return "found"
    sources = {name: f"{__name__}.{source}" for name, source in _STAND_INS[gap].items()}
    FINDER.offer(sources, replace=works is False)
    return f"filled by {sources[gap]}"


def _works(name: str) -> bool | None:
    """Tell whether ``name`` is installed: None if it is not, False if importing it fails."""
    if find_spec(name) is None:
        return None
    if name != "xtcocotools":
        return True
    # numpy prints a long warning before the import of an extension that was built for numpy 1 fails
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            importlib.import_module("xtcocotools.mask")
        except Exception:  # ImportError, ValueError or AttributeError, depending on numpy's version
            for module in [m for m in sys.modules if m.partition(".")[0] == name]:
                del sys.modules[module]
            return False
    return True
