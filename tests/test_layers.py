"""The directions in which the parts of the package may import each other, and what each may import from outside."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.layers import ANY, BEGIN, DESIGN, END, EXCEPTIONS, LAYERS, between, table, with_table

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "yolox_pose"
OPENMMLAB = {"mmengine", "mmcv", "mmdet", "mmpose"}
STANDARD = set(sys.stdlib_module_names)


def imports(file):
    """Return (line, dotted module, whether it runs on import) for every import of a file, relative ones resolved.

    Imports inside functions count, those under ``if TYPE_CHECKING`` do not.
    """
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    found = []

    def visit(node, on_import):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            return
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name, on_import) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            own = module.partition(".")[0] == "yolox_pose"
            names = [f"{module}.{alias.name}" for alias in node.names] if own else [module]
            found.extend((node.lineno, name, on_import) for name in names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, on_import and not inside)

    visit(ast.parse(file.read_text(encoding="utf-8")), True)
    return found


def files():
    return sorted(PACKAGE.rglob("*.py"))


def part_of(module):
    """Return the part that a module of the package belongs to; its own face (``__init__``) belongs to none."""
    names = module.split(".")
    return names[1] if len(names) > 1 and names[1] in {layer.name for layer in LAYERS} else None


def module_name(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def offences(layers=LAYERS):
    """Return one line for every import that the table does not allow."""
    order = {layer.name: i for i, layer in enumerate(layers)}
    packages = {layer.name: layer.packages for layer in layers}
    lines = []
    for file in files():
        own = part_of(module_name(file))
        if own is None:
            continue
        key = file.relative_to(PACKAGE).with_suffix("").as_posix()
        allowed = EXCEPTIONS.get(key, packages[own])
        for line, module, _ in imports(file):
            top, part = module.partition(".")[0], part_of(module)
            above = top == "yolox_pose" and (part is None or order[part] <= order[own])
            outside = top in STANDARD or allowed == ANY or top in allowed
            if not (above if top == "yolox_pose" else outside):
                lines.append(f"{file.relative_to(ROOT).as_posix()}:{line} imports {module}")
    return lines


def test_every_part_stands_in_the_table():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - {"__init__"} == {layer.name for layer in LAYERS}


def test_parts_import_only_what_the_table_allows():
    assert offences() == []


def test_files_import_each_other_without_cycles():
    names = {module_name(file): file for file in files()}
    graph = {name: {_resolve(module, names) for _, module, _ in imports(file)} for name, file in names.items()}
    try:
        TopologicalSorter({name: found - {None, name} for name, found in graph.items()}).prepare()
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


def _resolve(module, names):
    """Return the file of the package that an import names, which may be a name inside a file."""
    while module and module not in names:
        module = module.rpartition(".")[0]
    return module or None


def test_the_guide_shows_the_table():
    assert between(DESIGN.read_text(encoding="utf-8")) == table(), "run: python -m tests.layers"


def test_writing_the_table_changes_nothing_else_in_the_guide():
    assert with_table(f"a box\n{BEGIN}\nx\n{END}\nexport\n") == f"a box\n{BEGIN}\n{table()}\n{END}\nexport\n"


def test_commands_import_nothing_heavy_before_they_run():
    heavy = {"torch", *OPENMMLAB}
    parts = {"registry", "checkpoints", "datasets", "models", "engine", "inference"}
    lines = [
        f"{file.name}:{line} {module}"
        for file in sorted((PACKAGE / "cli").glob("*.py"))
        for line, module, on_import in imports(file)
        if on_import and (module.partition(".")[0] in heavy or part_of(module) in parts)
    ]
    assert lines == []


def test_the_checks_see_what_they_look_for(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "yolox_pose")
    folder = tmp_path / "yolox_pose" / "geometry"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(
        "import torch\nfrom ..datasets import coco\nfrom yolox_pose import datasets\nfrom . import nms\nimport numpy\n"
        "def late():\n    import yolox_pose.datasets.coco\n"
    )
    assert offences() == [
        "yolox_pose/geometry/bad.py:1 imports torch",
        "yolox_pose/geometry/bad.py:2 imports yolox_pose.datasets.coco",
        "yolox_pose/geometry/bad.py:3 imports yolox_pose.datasets",
        "yolox_pose/geometry/bad.py:7 imports yolox_pose.datasets.coco",
    ]
    (folder / "bad.py").write_text("from yolox_pose.geometry import worse\n")
    (folder / "worse.py").write_text("def late():\n    from yolox_pose.geometry.bad import x\n")
    with pytest.raises(pytest.fail.Exception, match="cycle"):
        test_files_import_each_other_without_cycles()


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, yolox_pose, yolox_pose.cli.main, yolox_pose.geometry, yolox_pose.structures.skeleton;"
        f"print(*sorted({OPENMMLAB | {'torch', 'scipy', 'matplotlib'}} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
