"""Shell completion: the script, and the answers to the Tab key."""

import os
import shutil
import subprocess
import sys

import pytest

from yolox_pose.cli import completion, run


@pytest.fixture
def completions(tmp_path, repo_root):
    """Return a function that returns the words that argcomplete offers at the end of a line."""
    pytest.importorskip("argcomplete")

    def ask(line):
        answer = tmp_path / "answer"
        values = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
        values |= {"COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "PYTHONPATH": str(repo_root)}
        command = [sys.executable, "-m", "yolox_pose.cli.main"]
        subprocess.run(command, env={**os.environ, **values}, cwd=tmp_path, check=True, timeout=120)
        return answer.read_text().split("\n")

    return ask


def test_subcommands_and_options_are_completed(completions):
    assert completions("yolox-pose pre") == ["predict "]
    assert "--vid-stride " in completions("yolox-pose predict --vi")
    assert completions("yolox-pose weights ver") == ["verify "]
    assert {"box", "box_oks"} <= {word.strip() for word in completions("yolox-pose predict --nms-type ")}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell, capsys):
    pytest.importorskip("argcomplete")
    assert run(completion.main, [shell]) == 0
    assert "yolox-pose" in capsys.readouterr().out


def test_without_argcomplete(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert run(completion.main, ["bash"]) == 1
    assert capsys.readouterr().err == "error: shell completion needs argcomplete: pip install argcomplete\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_script_in_bash(tmp_path, repo_root):
    """Source the script and ask bash for the completions of a line, as the Tab key does."""
    pytest.importorskip("argcomplete")
    program = tmp_path / "yolox-pose"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m yolox_pose.cli.main "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(yolox-pose completion bash)"; COMP_WORDS=(yolox-pose predict --recu); COMP_CWORD=2; '
        'COMP_LINE="yolox-pose predict --recu"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; '
        'complete -p yolox-pose; _python_argcomplete yolox-pose; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(repo_root)}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120
    )
    assert "--recursive" in done.stdout, done.stdout + done.stderr
