"""Where the configs, requirement files and demo photos are: in the checkout, or inside the installed package."""

from __future__ import annotations

import difflib
from pathlib import Path

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME

PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """Return the folder ``name`` of the checkout, or the copy that ``setup.py`` puts into a wheel as ``_name``."""
    checkout = PACKAGE.parent
    return checkout / name if (checkout / "setup.py").is_file() else PACKAGE / f"_{name}"


def config_files() -> list[Path]:
    """Return every config that a user may name, those in folders called ``_base_`` left out."""
    return sorted(path for path in resource_folder("configs").rglob("*.py") if "_base_" not in path.parts)


def find_config(name_or_path: str | Path) -> Path:
    """Return the path of a config.

    Args:
        name_or_path: An existing file, or a config of this package: its name or its path inside ``configs``, with or
            without ``.py``; ``bundled`` is that of the weights in the package.

    Raises:
        UsageError: If there is no such config (names the nearest ones), or the name fits several.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    root = resource_folder("configs")
    path = Path(BUNDLED.config) if path.as_posix() == BUNDLED_NAME else path
    wanted = path.as_posix().removeprefix("configs/").removesuffix(".py")
    known = {file.relative_to(root).with_suffix("").as_posix(): file for file in config_files()}
    if wanted in known:
        return known[wanted]
    matches = [name for name in known if name.rpartition("/")[2] == wanted]
    if len(matches) > 1:
        raise UsageError(f"config '{name_or_path}' is ambiguous: {', '.join(matches)}")
    if matches:
        return known[matches[0]]
    stems = {name.rpartition("/")[2]: name for name in known}
    near = difflib.get_close_matches(path.stem, stems, n=3, cutoff=0.4)
    hint = f"; near matches: {', '.join(near)}" if near else ""
    raise UsageError(f"config '{name_or_path}' is neither a file nor a config of this package{hint}")
