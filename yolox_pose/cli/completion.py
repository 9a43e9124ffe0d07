"""``yolox-pose completion``: complete subcommands, options and file names with the Tab key."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from yolox_pose.cli.common import CommandParser
from yolox_pose.utils.dependencies import MissingDependencyError

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")

EXAMPLES = """examples:
  eval "$(yolox-pose completion bash)"                      # in this shell; add the line to ~/.bashrc for all
  eval "$(yolox-pose completion zsh)"                       # the same for ~/.zshrc
  yolox-pose completion fish > ~/.config/fish/completions/yolox-pose.fish
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = CommandParser(
        prog="yolox-pose completion",
        description="Print the script with which a shell completes the arguments of yolox-pose (needs argcomplete).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="shell that the script is for")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the script.

    Raises:
        MissingDependencyError: If argcomplete is not installed.
    """
    args = build_parser().parse_args(argv)
    print(_import_argcomplete().shellcode(["yolox-pose"], shell=args.shell))
    return 0


def complete(commands: dict[str, tuple[str, str]], **options: Any) -> None:
    """Answer a shell that asks for completions, and end the process. argcomplete passes the line in variables.

    Args:
        commands: Module and help text of each subcommand.
        **options: Arguments of ``argcomplete.autocomplete``.
    """
    line = os.environ.get("COMP_LINE", "").split()
    selected = line[1] if len(line) > 1 else None
    _import_argcomplete().autocomplete(whole_parser(commands, selected), **options)


def whole_parser(commands: dict[str, tuple[str, str]], selected: str | None) -> argparse.ArgumentParser:
    """Return a parser of all subcommands, of which only the selected one has its options, so that it is built fast.

    Args:
        commands: Module and help text of each subcommand.
        selected: Name of the subcommand with options.
    """

    def build(factory: Callable[[], argparse.ArgumentParser] = argparse.ArgumentParser, **_: Any) -> Any:
        return factory()

    parser = argparse.ArgumentParser(prog="yolox-pose")
    parser.add_argument("--version", action="store_true", help="show the version")
    parser_class: Any = build
    choices: Any = parser.add_subparsers(metavar="SUBCOMMAND", parser_class=parser_class)
    for name, (module, text) in commands.items():
        if name == selected:
            choices.add_parser(
                name, help=text, factory=importlib.import_module(f"yolox_pose.cli.{module}").build_parser
            )
        else:
            choices.add_parser(name, help=text)
    return parser


def _import_argcomplete() -> Any:
    try:
        return importlib.import_module("argcomplete")
    except ImportError:
        raise MissingDependencyError("shell completion needs argcomplete: pip install argcomplete") from None
