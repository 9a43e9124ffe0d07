"""Find configs by path or by name, in a checkout or in an installed package."""

from __future__ import annotations

import difflib
from pathlib import Path

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME, find_model, find_published, is_address

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
            without ``.py``. ``bundled``, a name of published weights or their URL stands for the config of those weights.
            A checkpoint stands for the config that its training wrote into it.

    Raises:
        UsageError: If there is no such config (names the nearest ones), or several configs have the name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if is_address(str(name_or_path)):
        return find_config(find_model(None, str(name_or_path))[0])

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

    # Look it up among the published weights
    published = find_published(str(name_or_path))
    if published is not None and published.config:
        return find_config(published.config)

    stems = {key.rpartition("/")[2] for key in files}
    near = difflib.get_close_matches(path.stem, sorted(stems), n=3, cutoff=0.4)
    hint = f"; near matches: {', '.join(near)}" if near else ""
    raise UsageError(f"config '{name_or_path}' is neither a file nor a config of this package{hint}")
