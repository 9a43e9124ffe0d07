"""Options of the command line that change a config: ``KEY=VALUE``, parsed, checked against the config and applied.

MMEngine accepts any key and any value, so that a misspelt option trains with the old setting. Here each key must exist in
the config, or be a keyword argument of the class that its group builds, and a value must be of the present value's kind.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from yolox_pose.errors import UsageError

if TYPE_CHECKING:
    from mmengine.config import Config

SIMILARITY, SIMILARITY_IN_GROUP = 0.7, 0.6
"""Lowest similarity (``difflib``, from 0 to 1) of a key that is suggested for a misspelt one: anywhere, in the same group."""

Path = tuple[str, ...]


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` strings as MMEngine does: numbers, booleans, None, lists and tuples, else text.

    Spaces stay in texts, and are dropped in lists.

    Raises:
        UsageError: If an option has no ``=`` or no key, or its brackets do not match.
    """
    parsed = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not key or not equals:
            raise UsageError(f"--cfg-options: {option!r} is not of the form KEY=VALUE")
        parsed[key] = _parse_value(option, text)
    return parsed


def _parse_value(option: str, text: str) -> Any:
    from mmengine.config import DictAction

    bare = text.strip("'\" ")
    is_list = bare.startswith(("[", "("))
    if " " in text and text[0] not in "'\"" and not is_list:
        return text  # a text such as a path, from which MMEngine would drop the spaces
    try:
        value = DictAction._parse_iterable(text)
    except AssertionError:
        value = None
    if value is None and bare != "None" or is_list and isinstance(value, str):
        raise UsageError(f"--cfg-options {option}: the brackets of the list do not match")
    return value


def apply_options(config: Config, options: Mapping[str, Any]) -> None:
    """Check options against a config and merge them into it.

    Args:
        config: Config to change in place.
        options: Values by dotted key, such as ``{"optim_wrapper.optimizer.lr": 0.001}``.

    Raises:
        UsageError: If a key is unknown or a value does not fit; names the option and the nearest key.
    """
    if not options:
        return
    before = copy.deepcopy(config._cfg_dict.to_dict())
    try:
        config.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        _check_groups(before, options)
        raise UsageError(f"--cfg-options do not fit {config.filename}: {error}") from error
    merged = config._cfg_dict.to_dict()
    for path, value in _leaves(options):
        _check_key(before, merged, path, value)
        _check_value(before, merged, path, value)


def _leaves(options: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the value of each option; a group of settings counts as several options."""
    for dotted, value in options.items():
        path = (*above, *str(dotted).split("."))
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _check_groups(config: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise an error for the first option that names a setting inside of something that has none."""
    from yolox_pose.config.keywords import get_path

    for path, value in _leaves(options):
        for depth in range(1, len(path)):
            parent, key = get_path(config, path[:depth]), path[depth]
            if isinstance(parent, list | tuple) and not (key.isdigit() and int(key) < len(parent)):
                raise _error(path, value, f"'{_dotted(path[:depth])}' is a list of {len(parent)}, it has no '{key}'")
            if parent is not None and not isinstance(parent, Mapping | list | tuple):
                raise _error(path, value, f"'{_dotted(path[:depth])}' is {parent!r}, it has no '{key}'")


def _check_key(before: Mapping[str, Any], merged: Mapping[str, Any], path: Path, value: Any) -> None:
    """Raise an error for an option whose key nothing reads."""
    from yolox_pose.config.keywords import RESERVED, RUN_KEYS, accepted_keys, get_path

    if path[0] not in RUN_KEYS:
        reason = f"the config has no setting '{path[0]}'"
        if path[0] in before:
            reason = f"'{path[0]}' is a variable of the config file, so that a new value changes nothing"
        raise _error(path, value, reason, _suggest(before, path, RUN_KEYS))
    for depth in range(1, len(path)):
        parent, key = get_path(before, path[:depth]), path[depth]
        if isinstance(parent, list | tuple) or (isinstance(parent, Mapping) and key in parent) or key in RESERVED:
            continue
        accepted = accepted_keys(merged, path[:depth])
        if accepted is not None and key not in accepted:
            reason = f"'{_dotted(path[:depth])}' has no setting '{key}'"
            raise _error(path, value, reason, _suggest(before, path[: depth + 1], accepted))


def _check_value(before: Mapping[str, Any], merged: Mapping[str, Any], path: Path, value: Any) -> None:
    """Raise an error for an option whose value is of another kind than the config's, or names no class."""
    from yolox_pose.config.keywords import find_class, get_path

    if path[-1] == "type" and isinstance(value, str) and find_class(value) is None:
        raise _error(path, value, f"there is no registered class '{value}'")
    present = get_path(before, path)
    if present is None or value is None:
        return
    expected = _expected(present, value)
    if expected:
        shown = "" if isinstance(present, Mapping | list | tuple) else f", such as {present!r}"
        raise _error(path, value, f"the value must be {expected}{shown}")


def _expected(present: Any, value: Any) -> str:
    """Return the kind of value that a setting takes, empty if the new value is of this kind."""
    if isinstance(present, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(present, int | float):
        return "" if _is_number(value) else "a number"
    if isinstance(present, Mapping):
        return "" if isinstance(value, Mapping) else f"a setting inside of it: {', '.join(map(str, present))}"
    if isinstance(present, list | tuple) and present:
        if all(map(_is_number, present)):
            fits = isinstance(value, list | tuple) and all(map(_is_number, value))
            return "" if fits else f"a list of numbers, such as {','.join(map(str, present))}"
        if all(isinstance(item, Mapping) for item in present):
            return "" if isinstance(value, list | tuple | Mapping) else "a list of groups"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _suggest(config: Mapping[str, Any], path: Path, accepted: Collection[str]) -> str:
    """Return the dotted key that a misspelt one most likely stands for, empty if none is near.

    Args:
        config: The config before the options were applied.
        path: Keys from the top of the config to the misspelt one.
        accepted: Keys that stand beside it.
    """
    from yolox_pose.config.keywords import RUN_KEYS, get_path

    # Settings of the whole config by their last key: the one nearest to the top, of the training data if there are several
    places: dict[str, Path] = {}
    for top in RUN_KEYS & set(config):
        for place in _walk(config[top], (top,)):
            places[place[-1]] = min(places.get(place[-1], place), place, key=_prominence)
    if path[-1] in places:
        return _dotted(places[path[-1]])

    # A similar key in the same group, else anywhere
    group = get_path(config, path[:-1]) if len(path) > 1 else None
    names, cutoff = {*accepted, *(group or ())}, SIMILARITY_IN_GROUP if len(path) > 1 else SIMILARITY
    if near := difflib.get_close_matches(path[-1], sorted(names), n=1, cutoff=cutoff):
        return _dotted((*path[:-1], near[0]))
    near = difflib.get_close_matches(path[-1], sorted(places), n=1, cutoff=SIMILARITY)
    return _dotted(places[near[0]]) if near else ""


def _prominence(path: Path) -> tuple[int, bool, str]:
    return len(path), "train" not in path[0], _dotted(path)


def _walk(value: Any, path: Path) -> Iterator[Path]:
    """Yield the paths of all settings inside a group, without those in lists."""
    for key, item in value.items() if isinstance(value, Mapping) else ():
        yield (*path, str(key))
        yield from _walk(item, (*path, str(key)))


def _error(path: Path, value: Any, reason: str, suggestion: str = "") -> UsageError:
    hint = f"; did you mean '{suggestion}'?" if suggestion else ""
    return UsageError(f"--cfg-options {_dotted(path)}={value}: {reason}{hint}")


def _dotted(path: Path) -> str:
    return ".".join(path)
