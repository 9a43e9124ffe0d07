"""The dispatcher: help, lazily imported subcommands, exit codes."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from yolox_pose.cli import main as cli_main
from yolox_pose.cli import run
from yolox_pose.errors import DataError, UsageError
from yolox_pose.version import __version__


def call(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("no such config"), 2, "error: no such config\n"),
        (DataError("image 7 is cut short"), 1, "error: image 7 is cut short\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(error, code, line, capsys):
    assert run(call(error)) == code
    assert capsys.readouterr().err == line


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(call(ZeroDivisionError()))


def test_help_lists_every_subcommand(capsys):
    for argv in ([], ["-h"], ["--help"]):
        assert cli_main.main(argv) == 0
        out = capsys.readouterr().out
        assert all(f"\n  {name} " in out for name in cli_main.commands())
        assert {"install", "compat", "train"} <= set(cli_main.commands())


def test_version(capsys):
    assert cli_main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"yolox-pose {__version__}\n"


def test_arguments_and_exit_code_pass_through(monkeypatch):
    seen = []
    module = SimpleNamespace(main=lambda argv: seen.append(argv) or 3)
    monkeypatch.setattr(cli_main.importlib, "import_module", lambda name: seen.append(name) or module)
    assert cli_main.main(["train", "config", "--resume"]) == 3
    assert seen == ["yolox_pose.cli.train", ["config", "--resume"]]


def test_an_unknown_subcommand_names_the_known_ones(capsys):
    assert run(cli_main.main, ["tarin"]) == 2
    assert "unknown subcommand 'tarin'; choose from install, compat, train" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(cli_main.commands()))
def test_every_subcommand_has_help_without_torch(name, repo_root):
    code = (
        "import sys\nfrom yolox_pose.cli.main import main\n"
        "try:\n    main([sys.argv[1], '--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code, name], cwd=repo_root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage:")
