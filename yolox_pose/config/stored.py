"""Read the config that a training wrote into its checkpoints, as data: nothing in it runs."""

from __future__ import annotations

import ast
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from yolox_pose.errors import DataError, UsageError

SCOPE = "yolox_pose"
SAFETENSORS = ".safetensors"
METADATA_KEY = "yolox_pose.meta"
"""Entry of a safetensors file's metadata that holds ``meta`` as JSON."""
RUN_SETTINGS = ("work_dir", "load_from", "resume", "launcher", "custom_imports")
"""Settings of the run that wrote the file. They mean nothing to the next one."""

_TYPE_KEYS = ("type", "ema_type", "constructor")
_SAFE_TYPE = re.compile(r"((yolox_pose|mmpose|mmdet|mmengine|mmcv)\.)?[A-Z]\w*|[a-z]\w*")
"""Names that a registry finds. A dotted path could name any function of any module, which MMEngine would call."""
_NUMBERS = {"inf": math.inf, "nan": math.nan}
_MAX_HEADER_BYTES = 100_000_000


def read_stored_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of the config in a checkpoint, without those of the run (:data:`RUN_SETTINGS`).

    Raises:
        UsageError: If the file holds no config of this package; says what to add.
        DataError: If the file is not a checkpoint, or its config is not plain settings.
    """
    name = os.fspath(path)
    text = _read_text(name)
    if not text:
        raise UsageError(f"checkpoint {name} holds no config: add --config C, the config of its model")
    try:
        settings = parse_settings(text)
    except (ValueError, SyntaxError, RecursionError) as error:
        raise DataError(f"checkpoint {name}: the config in it cannot be read ({error}); add --config C") from None
    scope = settings.get("default_scope")
    if scope != SCOPE:
        raise UsageError(
            f"checkpoint {name} holds a config of {scope or 'another package'}: add --config C, one of ours"
        )
    unsafe = next((kind for kind in _types(settings) if not _SAFE_TYPE.fullmatch(kind)), None)
    if unsafe is not None:
        raise DataError(
            f"checkpoint {name}: the config in it names {unsafe!r}, which is in no registry; add --config C"
        )
    return {key: value for key, value in settings.items() if key not in RUN_SETTINGS}


def parse_settings(text: str) -> dict[str, Any]:
    """Parse what MMEngine's ``Config.pretty_text`` writes: assignments of literals and ``dict(...)``.

    Raises:
        ValueError: If there is anything else.
        SyntaxError: If it is not Python.
    """
    settings = {}
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                settings[name] = _literal(value)
            case _:
                raise ValueError(f"line {statement.lineno} is not a setting")
    return settings


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_literal(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_literal(item) for item in items)
        case ast.Set(elts=items):
            return {_literal(item) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_literal(key): _literal(value) for key, value in zip(keys, values) if key is not None}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords) if all(word.arg for word in keywords):
            return {str(word.arg): _literal(word.value) for word in keywords}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _literal(operand)
            if isinstance(number, int | float):
                return -number
        case ast.Name(id=name) if name in _NUMBERS:
            return _NUMBERS[name]
    raise ValueError(f"line {node.lineno} holds more than plain values")


def _types(value: Any) -> Iterator[str]:
    """Yield the names of classes that nested settings build."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _TYPE_KEYS and isinstance(item, str):
                yield item
            yield from _types(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _types(item)


def _read_text(name: str) -> str:
    """Return ``meta['cfg']`` of a checkpoint; empty if it has none."""
    if name.endswith(SAFETENSORS):
        meta = _safetensors_meta(name)
    else:
        from yolox_pose.compat.torch_load import load

        content = load(name)
        meta = content.get("meta") if isinstance(content, Mapping) else None
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    return text if isinstance(text, str) else ""


def _safetensors_meta(name: str) -> Any:
    """Read the metadata of a safetensors file: 8 bytes of length, then JSON."""
    try:
        with open(name, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_HEADER_BYTES:
                raise ValueError("header too long")
            header = json.loads(file.read(length))
        return json.loads(header.get("__metadata__", {}).get(METADATA_KEY, "{}"))
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{name}: not loaded, it is not a whole safetensors file ({error})") from None


_IRRELEVANT = re.compile(r"\.(init_cfg|compile|micro_batch|checkpoint|test_cfg|train_cfg|random_size\w*)\b")
"""Settings that do not change the network, and those of its thresholds."""


def describe_difference(config: Any, stored: Any, prefix: str = "model", limit: int = 3) -> str:
    """Return the first settings in which two models differ, such as ``model.head.num_classes``; empty if none do."""
    names = [name for name in _differences(config, stored, prefix) if not _IRRELEVANT.search(name)]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _differences(first: Any, second: Any, prefix: str) -> Iterator[str]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted(first.keys() | second.keys(), key=str):
            yield from _differences(first.get(key), second.get(key), f"{prefix}.{key}")
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if list(first) != list(second):
            yield prefix
    elif first != second:
        yield prefix
