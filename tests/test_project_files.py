"""The files around the package: pinned tools, workflow, issue forms and citation agree with each other."""

import re
from pathlib import Path

import pytest
import yaml

from yolox_pose.version import __version__

ROOT = Path(__file__).resolve().parents[1]
YAML_FILES = [
    *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / ".github").rglob("*.yml"))),
    ".pre-commit-config.yaml",
    "CITATION.cff",
]
HOOKS = {"ruff": "ruff-pre-commit", "codespell": "codespell", "mypy": "mirrors-mypy"}
"""Tool -> repository of its hook."""


def load(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def dev_requirements():
    """Return the lines of requirements/dev.txt without comments."""
    lines = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("name", YAML_FILES)
def test_yaml_files_parse(name):
    assert isinstance(load(name), dict)


def test_every_development_tool_is_pinned():
    pins = [
        line
        for line in dev_requirements()
        if re.fullmatch(r"[\w-]+==[\d.]+(; python_version [<>=]+ \"3\.\d+\")?", line)
    ]
    assert pins == dev_requirements()


def test_hooks_use_the_pinned_versions():
    pins = dict(line.split("==") for line in dev_requirements() if ";" not in line)
    revisions = {repo["repo"].rpartition("/")[2]: repo["rev"] for repo in load(".pre-commit-config.yaml")["repos"]}
    assert revisions == {HOOKS[tool]: f"v{pins[tool]}" for tool in HOOKS}


def test_the_workflow_runs_every_part_of_the_ci_script_on_every_supported_python():
    parts = set(re.findall(r"^ +(\w+)\) make", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    matrix = load(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert parts == {*matrix["part"], *(entry["part"] for entry in matrix["include"])}
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "setup.py").read_text(encoding="utf-8"))
    assert matrix["python"] == supported


def test_make_has_every_target_that_ci_calls():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = [(ROOT / name).read_text(encoding="utf-8") for name in (".ci/run", ".github/workflows/ci.yml")]
    assert set(re.findall(r"make ([\w-]+)", "\n".join(called))) <= targets


def test_the_citation_names_the_version():
    assert load("CITATION.cff")["version"] == __version__
