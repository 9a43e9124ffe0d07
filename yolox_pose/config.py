"""Find, read, override and check configs."""

from __future__ import annotations

import argparse
import difflib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.errors import UsageError
from yolox_pose.weights import BUNDLED, BUNDLED_NAME

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parent


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


def load_config(path: str | Path, options: Sequence[str] | Mapping[str, Any] = (), seed: int | None = None) -> Config:
    """Read a config and apply what the command line changes.

    Args:
        path: A file, or the name of a config of this package.
        options: ``KEY=VALUE`` strings, or a mapping of dotted keys.
        seed: Overrides the config's seed.

    Raises:
        UsageError: If the file does not exist, cannot be read as a config or an option does not fit it.
    """
    warnings.filterwarnings("ignore", message=r".*torch\.cuda\.amp\.autocast", category=FutureWarning)  # of mmdet 3.3.0
    from yolox_pose import registry  # noqa: F401  (fills the gaps of the stack first)

    file = find_config(path)
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    try:
        config = Config.fromfile(str(file))
    except Exception as error:
        raise UsageError(f"config {file} cannot be read: {type(error).__name__}: {first_line(error)}") from error
    try:
        config.merge_from_dict(dict(options) if isinstance(options, Mapping) else parse_options(options))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UsageError(f"--cfg-options do not fit {file}: {first_line(error)}") from error
    if seed is not None:
        config.randomness = {**config.get("randomness", {}), "seed": seed}
    init_default_scope(config.get("default_scope", "yolox_pose"))
    return config


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` strings into nested settings the way MMEngine does.

    Raises:
        UsageError: If one has no ``=`` or no key.
    """
    from mmengine.config import DictAction

    bad = [option for option in options if not option.partition("=")[0] or "=" not in option]
    if bad:
        raise UsageError(f"--cfg-options: {bad[0]!r} is not of the form KEY=VALUE")
    pairs = [option.split("=", 1) for option in options]
    # MMEngine drops spaces, which paths may have; in lists they mean nothing
    with_spaces = {key: value for key, value in pairs if " " in value and value[0] not in "[(\"'"}
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--options", nargs="*", action=DictAction)
    others = [f"{key}={value}" for key, value in pairs if key not in with_spaces]
    return {**(parser.parse_args(["--options", *others]).options or {}), **with_spaces}


def use_data(config: Config, root: str | Path, splits: Sequence[str]) -> None:
    """Take the data of some splits from another folder: their ``data_root``, and annotation files of their evaluators below it.

    Args:
        config: Changed in place. Files that lie elsewhere than below the old folder stay.
        root: The folder.
        splits: Of ``train``, ``val`` and ``test``.

    Raises:
        UsageError: If the folder does not exist, or a split has no ``data_root``.
    """
    if not Path(root).is_dir():
        raise UsageError(f"--data: {root} is not a folder")
    for split in splits:
        if (loader := config.get(f"{split}_dataloader")) is None:
            continue
        if not (old := loader.dataset.get("data_root")):
            raise UsageError(
                f"--data: {split}_dataloader.dataset has no data_root; change its files with --cfg-options"
            )
        loader.dataset.data_root = str(root)
        evaluators = config.get(f"{split}_evaluator") or []
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            for key in ("ann_file", "keypoint_ann_file"):
                if evaluator.get(key) and Path(evaluator[key]).is_relative_to(old):
                    evaluator[key] = str(Path(root) / Path(evaluator[key]).relative_to(old))


def first_line(error: BaseException) -> str:
    """First line of an error's message."""
    return (str(error).strip().splitlines() or [""])[0]
