"""Scripts outside the package use names that exist, including those that they import inside functions."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "tools", "demo", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "peers" not in path.parts
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_imported_names_exist(script):
    missing = []
    for node in ast.walk(ast.parse((ROOT / script).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "yolox_pose":
            module = importlib.import_module(node.module)
            names = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            missing += [name for name in names if not _is_module(f"{node.module}.{name}")]
    assert missing == []


def _is_module(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True
