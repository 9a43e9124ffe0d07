"""Find configs by path or by name, in a checkout or in an installed package."""

from __future__ import annotations

import difflib
from pathlib import Path

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME

PACKAGE = Path(__file__).resolve().parents[1]


def resource_folder(name: str) -> Path:
    """Return a folder of the checkout, or its copy in an installed package.

    Args:
        name: Name of the folder in the checkout. ``setup.py`` copies it into the wheel as ``_name``.
    """
    checkout = PACKAGE.parent
    return checkout / name if (checkout / "setup.py").is_file() else PACKAGE / f"_{name}"


def config_files() -> list[Path]:
    """Return the paths of all configs, without the files in folders called ``_base_``."""
    return sorted(path for path in resource_folder("configs").rglob("*.py") if "_base_" not in path.parts)


def find_config(name_or_path: str | Path) -> Path:
    """Return the path of a config.

    Args:
        name_or_path: An existing file, or a config of this package: its name or its path inside ``configs``, with or
            without ``.py``. ``bundled`` stands for the config of the weights in the package.

    Raises:
        UsageError: If there is no such config (names the nearest ones), or several configs have the name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path

    # Look the name up among the paths inside the folder of configs
    root = resource_folder("configs")
    path = Path(BUNDLED.config) if path.as_posix() == BUNDLED_NAME else path
    name = path.as_posix().removeprefix("configs/").removesuffix(".py")
    files = {file.relative_to(root).with_suffix("").as_posix(): file for file in config_files()}
    if name in files:
        return files[name]

    # Look the name up without its folder
    matches = [key for key in files if key.rpartition("/")[2] == name]
    if len(matches) > 1:
        raise UsageError(f"config '{name_or_path}' is ambiguous: {', '.join(matches)}")
    if matches:
        return files[matches[0]]

    stems = {key.rpartition("/")[2] for key in files}
    near = difflib.get_close_matches(path.stem, sorted(stems), n=3, cutoff=0.4)
    hint = f"; near matches: {', '.join(near)}" if near else ""
    raise UsageError(f"config '{name_or_path}' is neither a file nor a config of this package{hint}")
