"""The directions in which the parts of the package may import each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "yolox_pose"
OPENMMLAB = {"mmengine", "mmcv", "mmdet", "mmpose"}
STANDARD = set(sys.stdlib_module_names)
LIGHT = {
    "yolox_pose.classes",
    "yolox_pose.errors",
    "yolox_pose.files",
    "yolox_pose.skeleton",
    "yolox_pose.version",
    "yolox_pose.weights",
}


def imports(file):
    """Return (line, dotted module, whether it runs on import) for every import of a file, relative ones resolved.

    What stands under ``if TYPE_CHECKING`` is left out.
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
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "yolox_pose" else [module]
            found.extend((node.lineno, name, on_import) for name in names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, on_import and not inside)

    visit(ast.parse(file.read_text(encoding="utf-8")), True)
    return found


def files(part):
    path = PACKAGE / part
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def offences(part, is_wrong):
    return [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in files(part)
        if file.exists()
        for line, module, on_import in imports(file)
        if is_wrong(module, on_import)
    ]


def outside(allowed, own):
    """Return a test for modules that are neither standard, nor in ``allowed``, nor within one of ``own``."""

    def is_wrong(module, on_import):
        top = module.partition(".")[0]
        if top == "yolox_pose":
            return module not in LIGHT and not any(f"{module}.".startswith(f"yolox_pose.{part}.") for part in own)
        return top not in STANDARD | allowed

    return is_wrong


def within(*parts):
    return lambda module, on_import: any(f"{module}.".startswith(f"{part}.") for part in parts)


@pytest.mark.parametrize(
    ("part", "is_wrong"),
    [
        ("errors", outside(set(), ["errors"])),
        ("files", outside(set(), ["files", "errors"])),
        ("version", outside(set(), ["version"])),
        ("weights", outside(set(), ["weights", "errors"])),
        ("classes", outside(set(), ["classes"])),
        ("skeleton", outside({"numpy"}, ["skeleton"])),
        ("dependencies", outside(set(), ["errors"])),
        ("geometry", outside({"numpy", "cv2"}, ["geometry"])),
        ("tracking", outside({"numpy"}, ["tracking", "geometry"])),
        ("ops", outside({"torch"}, ["ops"])),
        (
            "runtime",
            outside(
                {"numpy", "cv2", "onnxruntime", "openvino", "ncnn"},
                ["runtime", "geometry", "tracking", "progress", "dependencies", "apis.inferencer"],
            ),
        ),
        ("apis/results", outside({"numpy", "cv2"}, ["geometry"])),
        ("apis/sources", outside({"numpy", "cv2", "PIL"}, ["geometry", "background", "apis.video"])),
        (
            "apis/inferencer",
            outside(
                {"numpy"},
                ["runtime", "geometry", "tracking", "background"]
                + [f"apis.{part}" for part in ("results", "sequence", "sources", "torch_network")],
            ),
        ),
        ("models", within("yolox_pose.datasets", "yolox_pose.apis", "yolox_pose.cli", "yolox_pose.evaluation")),
        (
            "checkpoints",
            within(*(f"yolox_pose.{part}" for part in ("models", "datasets", "evaluation", "engine", "apis", "cli"))),
        ),
        ("datasets", within("yolox_pose.models", "yolox_pose.apis", "yolox_pose.cli", "yolox_pose.ops")),
        ("evaluation", within("yolox_pose.models", "yolox_pose.apis", "yolox_pose.cli")),
        ("compat", within(*(f"yolox_pose.{part}" for part in ("models", "datasets", "evaluation", "engine", "apis")))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_part_imports_only_what_it_may(part, is_wrong):
    assert offences(part, is_wrong) == []


def test_commands_import_nothing_heavy_before_they_run():
    heavy = within("torch", *OPENMMLAB, "yolox_pose.registry", "yolox_pose.models", "yolox_pose.apis")
    assert offences("cli", lambda module, on_import: on_import and heavy(module, on_import)) == []


def test_the_checks_see_what_they_look_for(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "yolox_pose")
    folder = tmp_path / "yolox_pose" / "models"
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text(
        "import torch\nfrom ..datasets import coco\nfrom yolox_pose import datasets\nfrom . import head\n"
        "def late():\n    import yolox_pose.datasets.coco\n"
    )
    assert offences("models", within("yolox_pose.datasets")) == [
        "yolox_pose/models/bad.py:2 imports yolox_pose.datasets",
        "yolox_pose/models/bad.py:3 imports yolox_pose.datasets",
        "yolox_pose/models/bad.py:6 imports yolox_pose.datasets.coco",
    ]
    assert len(offences("models", outside({"numpy"}, ["models"]))) == 4


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, yolox_pose, yolox_pose.cli.main, yolox_pose.geometry, yolox_pose.skeleton;"
        f"print(*sorted({OPENMMLAB | {'torch', 'scipy', 'matplotlib'}} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
