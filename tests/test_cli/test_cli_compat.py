"""``python -m yolox_pose.compat``."""

import subprocess
import sys

import pytest

from yolox_pose import compat
from yolox_pose.cli import compat as command
from yolox_pose.cli import run
from yolox_pose.utils import dependencies


@pytest.mark.slow
def test_it_prints_versions_and_gaps(repo_root):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "yolox_pose.compat"], cwd=repo_root, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line.startswith("  "))
    assert rows["torch"] == dependencies.look_up(dependencies.TRAINING[2]).version
    assert {gap: rows[gap] for gap in compat.install()} == compat.install()


def test_what_is_missing_is_shown_and_named(monkeypatch, capsys):
    absent = dependencies.Dependency("no_such_module", "1.0", ("no-such-distribution",))
    monkeypatch.setattr(dependencies, "TRAINING", (absent,))
    monkeypatch.setattr(dependencies.require, "__defaults__", ((absent,),))
    assert run(command.main, []) == 1
    captured = capsys.readouterr()
    assert "no-such-distribution     missing" in captured.out
    assert captured.err.startswith("error: no-such-distribution is missing; install with: yolox-pose install")
