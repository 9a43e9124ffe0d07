"""``yolox-pose install``: install the training stack, from wheels only.

Wheel metadata cannot express ``--no-deps``. The metadata of mmpose asks for chumpy, which does not build, and for torchvision,
which has no CPU wheel on PyPI. The training stack is therefore not in the package's requirements. This command installs the
pinned versions of ``requirements/`` with two calls of pip, skips installed packages, and needs no compiler.
"""

from __future__ import annotations

import argparse
import importlib.util
import operator
import platform
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib import metadata

from yolox_pose.config import resource_folder
from yolox_pose.errors import UsageError, YOLOXPoseError
from yolox_pose.utils import dependencies

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's index of wheels without CUDA. PyPI's wheels for Linux bring several gigabytes of CUDA libraries."""

_COMPARISONS = {"==": operator.eq, ">=": operator.ge, "<": operator.lt}
_CLASSIC_PYTHON = ((3, 10), (3, 11))


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose install",
        description="Install the training stack from wheels only. Installed packages are not changed.",
    )
    build = parser.add_mutually_exclusive_group()
    build.add_argument("--cpu", action="store_true", help="PyTorch without CUDA (default where no NVIDIA GPU is found)")
    build.add_argument("--cuda", action="store_true", help="PyTorch with CUDA (default where an NVIDIA GPU is found)")
    parser.add_argument(
        "--classic", action="store_true", help="numpy 1.26 and the real xtcocotools (Python 3.10, 3.11)"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the commands without running them")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run pip for missing packages and return the exit code.

    Raises:
        UsageError: If this Python or platform does not support the requested packages.
        YOLOXPoseError: If pip is absent or fails.
    """
    args = build_parser().parse_args(argv)
    if args.classic and sys.version_info[:2] not in _CLASSIC_PYTHON:
        raise UsageError(
            f"--classic needs Python 3.10 or 3.11, this is {platform.python_version()}: numpy 1.26.4 and xtcocotools have no "
            "wheels"
        )
    if args.cuda and platform.system() == "Windows":
        raise UsageError(
            "--cuda: PyPI has no CUDA wheels for Windows; install torch as pytorch.org says, then run this again"
        )
    commands = plan("classic" if args.classic else "modern", cpu=args.cpu, cuda=args.cuda)
    if not commands:
        print("Everything is installed already.")
    for command in commands:
        print("+", shlex.join(command), flush=True)
        if not args.dry_run:
            _run(command)
    return 0


def plan(name: str, cpu: bool = False, cuda: bool = False) -> list[list[str]]:
    """Return the pip commands that install the missing packages of ``requirements/<name>.txt``.

    Args:
        name: "modern" or "classic".
        cpu: Whether to install PyTorch without CUDA.
        cuda: Whether to install PyTorch with CUDA, and to replace one without.
    """
    pip = [sys.executable, "-m", "pip"]
    install = [*pip, "install", "--only-binary=:all:"]
    commands = []
    requirements, torch = missing(_read(name)), _version("torch")
    if cuda and torch.endswith("+cpu"):
        commands.append([*pip, "uninstall", "--yes", "torch"])
        requirements, torch = _read(name), ""
    if requirements:
        index = ["--extra-index-url", CPU_INDEX] if not torch and not cuda and (cpu or _prefers_cpu()) else []
        commands.append([*install, *index, *requirements])
    without_dependencies = missing(_read("no-deps"))
    if without_dependencies:
        commands.append([*install, "--no-deps", *without_dependencies])
    return commands


def missing(requirements: Sequence[str]) -> list[str]:
    """Return the requirements for pip: none if all are met, else all, so that met ones also constrain pip's choice.

    A requirement is left out if another distribution of the same module is new enough: mmcv built from source in place of
    mmcv-lite, opencv-python in place of the headless one, or the maintained forks ``onedl-*``.
    """
    lines = [line for line in requirements if not _is_provided(line)]
    return [] if all(map(_is_met, lines)) else lines


def _is_met(line: str) -> bool:
    version = _version(_name(line))
    conditions = re.findall(r"(==|>=|<)\s*([\w.]+)", line)
    return bool(version) and all(_COMPARISONS[sign](_padded(version), _padded(bound)) for sign, bound in conditions)


def _is_provided(line: str) -> bool:
    name = _name(line)
    for dependency in dependencies.TRAINING:
        if name in dependency.distributions:
            package = dependencies.look_up(dependency)
            return package.distribution != name and not package.problem
    return False


def _name(line: str) -> str:
    return re.split(r"[<>=]", line)[0].strip()


def _padded(version: str) -> tuple[int, ...]:
    numbers = dependencies.numbers(version)
    return numbers + (0,) * (4 - len(numbers))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _read(name: str) -> list[str]:
    lines = (resource_folder("requirements") / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def _prefers_cpu() -> bool:
    """Tell whether to use PyTorch's CPU index: on Linux without an NVIDIA driver, if the index answers."""
    if platform.system() != "Linux" or shutil.which("nvidia-smi"):
        return False
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _run(command: Sequence[str]) -> None:
    if importlib.util.find_spec("pip") is None:
        raise YOLOXPoseError(f"pip is missing in {sys.executable}: run '{sys.executable} -m ensurepip' first")
    code = subprocess.run(command, check=False).returncode
    if code:
        raise YOLOXPoseError(f"pip failed with exit code {code}; see its message above")
