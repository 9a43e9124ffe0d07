"""The dispatcher: help, lazily imported subcommands, exit codes."""

import importlib
import re
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
        (KeyboardInterrupt("epoch_3.pth is kept"), 130, "interrupted; epoch_3.pth is kept\n"),
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
    error = capsys.readouterr().err
    assert "unknown subcommand 'tarin'; choose from install, compat, train" in error
    assert error.endswith("; did you mean 'train'?\n")


def test_a_file_in_place_of_a_subcommand(tmp_path, capsys):
    (tmp_path / "photo.jpg").write_text("")
    assert run(cli_main.main, [str(tmp_path / "photo.jpg")]) == 2
    assert f"did you mean 'yolox-pose predict {tmp_path / 'photo.jpg'}'?" in capsys.readouterr().err
    assert run(cli_main.main, ["abracadabra"]) == 2
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "mistyped", "meant"),
    [("weights", "lis", "list"), ("dataset", "checks", "check")],
)
def test_mistyped_commands_of_a_subcommand(command, mistyped, meant, capsys):
    with pytest.raises(SystemExit) as end:
        cli_main.main([command, mistyped])
    assert end.value.code == 2 and f"did you mean '{meant}'?" in capsys.readouterr().err


def test_no_help_names_a_script_of_the_checkout():
    """``tools/`` and ``demo/`` are not in the wheel."""
    for name, (module, _) in cli_main.commands().items():
        text = importlib.import_module(f"yolox_pose.cli.{module}").build_parser().format_help()
        assert text.startswith(f"usage: yolox-pose {name}")
        assert not re.search(r"(tools|demo)/\w+\.py", text), name


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


def test_an_interrupted_training_names_its_checkpoint(tmp_path, monkeypatch, capsys):
    def train(config):
        raise KeyboardInterrupt

    monkeypatch.setattr("yolox_pose.engine.training.train", train)
    arguments = ["train", "quickstart/yolox-pose_quickstart_160", "--work-dir", str(tmp_path), "--device", "cpu"]
    assert run(cli_main.main, arguments) == 130
    assert capsys.readouterr().err.endswith(f"interrupted; no checkpoint was written to {tmp_path} yet\n")
    (tmp_path / "last_checkpoint").write_text("/elsewhere/epoch_2.pth")
    assert run(cli_main.main, arguments) == 130
    kept = f"{tmp_path / 'epoch_2.pth'} is kept; the same command with --resume continues from it"
    assert capsys.readouterr().err.endswith(f"interrupted; {kept}\n")
