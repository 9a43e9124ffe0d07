"""The table of published weights: ``published.tsv``, read as data, and lookups in it."""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from yolox_pose.errors import DataError

TABLE = Path(__file__).with_name("published.tsv")
TABLE_VARIABLE = "YOLOX_POSE_WEIGHTS_TABLE"
"""Environment variable that names a second table in the same format. Its rows replace rows of the same name."""

KINDS = ("pose", "detector", "onnx", "rtmo")
LEGACY_PREPROCESSING = "corner-rgb-imagenet"
"""Entry of the column ``preprocessing`` of Megvii's weights before version 0.1.1."""

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})(?:_\d{8})?\.\w+$")
"""OpenMMLab's naming: the first 8 digits of the SHA-256 digest, and a date in some names."""


class PublishedModel(NamedTuple):
    """A row of the table. Empty strings stand for unknown values.

    Attributes:
        name: Short name on command lines.
        aliases: Further names. The stem of ``file`` is a name, too.
        kind: ``pose``, ``detector``, ``onnx`` (graph of a detector) or ``rtmo`` (only its backbone can be used).
        url: Address of the file.
        file: Name of the file on this machine.
        sha256: Digest of the file, or its first digits.
        bytes: Size of the file; None where it is unknown.
        config: Name of the config of this package that the weights belong to.
        input: Input size in pixels, ``640`` or ``800x1440`` (height x width).
        metric: Published metric.
        score: Its value.
        publisher: Project that published weights and score.
        layout: Names of the tensors, a key of :data:`yolox_pose.checkpoints.layouts.LAYOUTS` where it can be read.
        preprocessing: ``centered`` or ``corner`` padding; ``corner-rgb-imagenet`` also has normalized RGB input.
        license: License of the file, and limits of its training data.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    url: str
    file: str
    sha256: str = ""
    bytes: int | None = None
    config: str = ""
    input: str = ""
    metric: str = ""
    score: float | None = None
    publisher: str = ""
    layout: str = ""
    preprocessing: str = ""
    license: str = "unknown"

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name that stands for this row."""
        stem = Path(self.file).stem
        stems = (self.file,) if self.kind == "onnx" or self.file.endswith(".zip") else (self.file, stem)
        return tuple(dict.fromkeys((self.name, *self.aliases, *stems)))


def published_models() -> tuple[PublishedModel, ...]:
    """Return the rows of the table, and of the one that :data:`TABLE_VARIABLE` names.

    Raises:
        DataError: If a table cannot be read; names file and line.
    """
    extra = os.environ.get(TABLE_VARIABLE, "")
    models = {model.name: model for model in _read_cached(str(TABLE))}
    if extra:
        models |= {model.name: model for model in read_table(extra)}
    return tuple(models.values())


def read_table(path: str | os.PathLike[str]) -> tuple[PublishedModel, ...]:
    """Read a table: tab-separated values under the names of :class:`PublishedModel`'s fields.

    Only ``name`` and ``url`` are required. ``file`` and ``sha256`` follow from the URL where they are empty.

    Raises:
        DataError: If the file cannot be read or a row is not usable.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"table of weights {os.fspath(path)} cannot be read: {error}") from None
    reader = csv.DictReader(text.splitlines(), delimiter="\t")
    unknown = set(reader.fieldnames or ()) - set(PublishedModel._fields)
    if unknown or not {"name", "url"} <= set(reader.fieldnames or ()):
        problem = f"unknown columns {', '.join(sorted(map(str, unknown)))}" if unknown else "no columns name and url"
        raise DataError(f"table of weights {os.fspath(path)}, line 1: {problem}")
    models = []
    for row in reader:
        try:
            models.append(_model(row))
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"table of weights {os.fspath(path)}, line {reader.line_num}: {error}") from None
    return tuple(models)


_read_cached = lru_cache(maxsize=4)(read_table)


def _model(row: dict[str, str]) -> PublishedModel:
    values = {key: (value or "").strip() for key, value in row.items()}
    if not values["name"] or not values["url"]:
        raise ValueError("a row needs a name and a url")
    if values.get("kind") and values["kind"] not in KINDS:
        raise ValueError(f"kind {values['kind']!r} is none of {', '.join(KINDS)}")
    url = values["url"]
    file = values.get("file") or file_in_url(url)
    if not file or Path(file).name != file:
        raise ValueError(f"{file or url!r} is not the name of a file")
    return PublishedModel(
        name=values["name"],
        aliases=tuple(filter(None, values.get("aliases", "").split(","))),
        kind=values.get("kind") or "pose",
        url=url,
        file=file,
        # The archives of RTMO repeat the digest of another file in their name.
        sha256=values.get("sha256", "").lower() or ("" if file.endswith(".zip") else hash_in_name(file)),
        bytes=int(values["bytes"]) if values.get("bytes") else None,
        config=values.get("config", ""),
        input=values.get("input", ""),
        metric=values.get("metric", ""),
        score=float(values["score"]) if values.get("score") else None,
        publisher=values.get("publisher", ""),
        layout=values.get("layout", ""),
        preprocessing=values.get("preprocessing", ""),
        license=values.get("license") or "unknown",
    )


def find_published(name: str) -> PublishedModel | None:
    """Return the row of a name, an alias, or a file name with or without its suffix; None if there is none."""
    lowered = name.lower()
    return next((model for model in published_models() if lowered in map(str.lower, model.names)), None)


def find_by_url(url: str) -> PublishedModel | None:
    """Return the row of a URL; None if there is none."""
    return next((model for model in published_models() if model.url == url), None)


def find_by_file(path: str | os.PathLike[str]) -> PublishedModel | None:
    """Return the row that a file on this machine belongs to, by its name; None if the name is not unmistakable.

    The name has to carry a digest or a version: a file called ``yolox_s.pth`` may be anything.
    """
    name = Path(path).name
    models = [model for model in published_models() if model.file == name]
    return next((model for model in models if hash_in_name(name) or model.preprocessing == LEGACY_PREPROCESSING), None)


def similar_names(name: str, further: Iterable[str] = ()) -> list[str]:
    """Return up to three names of the table that resemble ``name``, short names first."""
    models = [model for model in published_models() if model.kind != "rtmo" or "rtmo" in name.lower()]
    short = {model.name.lower(): model.name for model in models}
    short |= {alias.lower(): model.name for model in models for alias in model.aliases}
    short |= {other.lower(): other for other in further}
    stem = Path(name).name.lower().removesuffix(".pth").replace("_", "-")
    near = difflib.get_close_matches(stem, short, n=6, cutoff=0.6)
    return list(dict.fromkeys(short[key] for key in near))[:3]


def file_in_url(url: str) -> str:
    """Return the name of the file that a URL ends in; empty if it ends in none."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def hash_in_name(name: str) -> str:
    """Return the first 8 digits of the SHA-256 digest in a file name of OpenMMLab; empty if there are none."""
    match = _HASH_IN_NAME.search(name)
    return match[1] if match else ""
