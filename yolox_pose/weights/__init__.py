"""Weights by name: the model in the package, the table of published weights, URLs, and the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from yolox_pose.errors import UsageError
from yolox_pose.utils.dependencies import has_torch_stack
from yolox_pose.weights.hub import HUB_SCHEME, get_from_hub
from yolox_pose.weights.store import get_weights
from yolox_pose.weights.table import (
    PublishedModel,
    file_in_url,
    find_by_file,
    find_by_url,
    find_published,
    hash_in_name,
    similar_names,
)

WEIGHT_SUFFIXES = (".pth", ".pt", ".safetensors")
"""Suffixes of files that hold weights for PyTorch."""
URL_SCHEMES = ("http://", "https://")


class BundledModel(NamedTuple):
    """A model whose weights are in the package.

    Attributes:
        config: Name of its config (:func:`yolox_pose.config.find_config`).
        path: Its weights for PyTorch; ``README.md`` beside them is the model card.
        exported: The same model as ONNX, which runs without PyTorch. The card has the command that writes it.
    """

    config: str
    path: Path
    exported: Path


BUNDLED_NAME = "bundled"
"""Stands for the bundled config or weights wherever a config or a checkpoint is asked for."""
BUNDLED = BundledModel(
    config="yolox-pose_nano_1xb16-50e_coco-persons-416",
    path=Path(__file__).with_name("yolox-pose_nano_coco-persons-416.pth"),
    exported=Path(__file__).with_name("onnx") / "model.onnx",
)


class ResolvedCheckpoint(NamedTuple):
    """A file of weights on this machine.

    Attributes:
        path: The file.
        config: Name of the config that the weights belong to; None if only the file itself may know.
        published: Row of the table of published weights; None for other files.
    """

    path: Path
    config: str | None = None
    published: PublishedModel | None = None


def find_weights(name: str | os.PathLike[str]) -> Path:
    """Return the path of weights; see :func:`resolve_checkpoint`."""
    return resolve_checkpoint(name).path


def resolve_checkpoint(name: str | os.PathLike[str], *, backbone_only: bool = False) -> ResolvedCheckpoint:
    """Find the file of weights, and download it if it is not on this machine.

    Args:
        name: A file; :data:`BUNDLED_NAME`; a name of the table of published weights; ``https://...`` with the first digits
            of the SHA-256 digest in its name, or followed by ``#sha256=DIGEST``; or ``hf:ORG/REPO/FILE``. A file of that
            name comes first.
        backbone_only: Whether only the backbone is used, so that weights of RTMO will do.

    Raises:
        UsageError: If there are no such weights (names similar ones), or they cannot be used.
        DataError: If they cannot be downloaded, or have another hash.
    """
    text = os.fspath(name)
    path = Path(text)
    if path.is_file():
        published = find_by_file(path)
        config = BUNDLED.config if path.name == BUNDLED.path.name else published.config if published else None
        return ResolvedCheckpoint(path, config or None, published)
    if text == BUNDLED_NAME:
        return ResolvedCheckpoint(_present(BUNDLED.path), BUNDLED.config)
    if text.startswith(HUB_SCHEME):
        return ResolvedCheckpoint(get_from_hub(text))
    published = _model_of_url(text) if text.lower().startswith(URL_SCHEMES) else find_published(text)
    if published is None:
        problem = "is not a file" if path.exists() else "does not exist"
        raise UsageError(f"checkpoint {text!r} {problem}{_suggestion(text)}")
    _check_kind(published, backbone_only)
    return ResolvedCheckpoint(get_weights(published), published.config or None, published)


def names_weights(name: object) -> bool:
    """Return whether a text names weights: a file with their suffix, a published name, a URL, or the bundled model."""
    if not isinstance(name, (str, os.PathLike)):
        return False
    text = os.fspath(name)
    if text.lower().endswith(WEIGHT_SUFFIXES) or text == BUNDLED_NAME:
        return True
    if Path(text).is_file():
        return False
    return is_address(text) or find_published(text) is not None


def is_address(text: str) -> bool:
    """Return whether a text is a URL, or ``hf:...``."""
    return text.startswith(HUB_SCHEME) or text.lower().startswith(URL_SCHEMES)


def find_bundled(backend: str | None = None) -> tuple[str, Path | None]:
    """Return config and weights of the bundled model, or its ONNX file and None.

    PyTorch runs it where it is installed with OpenMMLab's packages, as a GPU and ``tools/test.py`` need it.

    Args:
        backend: Runtime of exported models, which asks for the ONNX file.

    Raises:
        UsageError: If the file is not in this installation.
    """
    if backend is None and has_torch_stack():
        return BUNDLED.config, _present(BUNDLED.path)
    return str(_present(BUNDLED.exported)), None


def _present(path: Path) -> Path:
    """Return the path of a file of the bundled model, which must exist."""
    if not path.is_file():
        raise UsageError(
            f"the bundled weights ({path.name}) are not in this installation; name a config and a checkpoint"
        )
    return path


def find_model(config: str | None, checkpoint: str | os.PathLike[str]) -> tuple[str, Path]:
    """Return config and file of a checkpoint: a config that is given, the one that its name implies, or the file itself.

    :func:`yolox_pose.config.load_config` reads the config that a training wrote into the file.

    Raises:
        UsageError: If there are no such weights, or no config belongs to them.
    """
    resolved = resolve_checkpoint(checkpoint)
    if config is not None:
        return config, resolved.path
    if resolved.config is not None:
        return resolved.config, resolved.path
    if resolved.published is not None and resolved.published.name != resolved.published.url:
        raise UsageError(
            f"{resolved.published.name} is a starting point for trainings (--load-from): no config of this package has "
            "its input and classes; add --config C to use it otherwise"
        )
    return str(resolved.path), resolved.path


def _model_of_url(text: str) -> PublishedModel:
    """Return the row of a URL, or a row made of it.

    Raises:
        UsageError: If no digest of its file is known.
    """
    url, _, fragment = text.partition("#")
    key, _, digest = fragment.partition("=")
    digest = digest.lower()
    if fragment and (key != "sha256" or not re.fullmatch("[0-9a-f]{8,64}", digest)):
        raise UsageError(f"{text}: what follows the # must be sha256= and 8 to 64 hexadecimal digits")
    published = find_by_url(url)
    if published is not None:
        return published._replace(sha256=digest) if digest else published
    file = file_in_url(url)
    digest = digest or hash_in_name(file)
    if not file or not digest:
        raise UsageError(
            f"{text} carries no hash to check the download by; append #sha256= and at least 8 digits of the file's SHA-256"
        )
    if digest[:8] not in file:
        stem, dot, suffix = file.rpartition(".")
        file = f"{stem}-{digest[:8]}{dot}{suffix}" if dot else f"{file}-{digest[:8]}"
    return PublishedModel(name=url, aliases=(), kind="pose", url=url, file=file, sha256=digest)


def _check_kind(model: PublishedModel, backbone_only: bool) -> None:
    """Refuse RTMO, whose head and neck are not YOLOX's, unless its backbone alone is asked for."""
    if model.kind != "rtmo":
        return
    if model.file.endswith(".zip"):
        raise UsageError(
            f"{model.name} is an ONNX export of RTMO, which this package cannot run; 'yolox-pose train --load-from "
            f"{model.name.removesuffix('-onnx')} --only backbone' starts a training from its backbone"
        )
    if not backbone_only:
        raise UsageError(
            f"{model.name} is RTMO, whose neck and head are not YOLOX's; its backbone is: "
            f"'yolox-pose train CONFIG --load-from {model.name} --only backbone' starts a training from it"
        )


def _suggestion(text: str) -> str:
    near = similar_names(text, [BUNDLED_NAME])
    return f"; did you mean {' or '.join(near)}? ('yolox-pose weights list' shows all)" if near else ""
