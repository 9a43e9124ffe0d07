"""Load the scripts of ``benchmarks/`` as modules."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def load_benchmark(name: str) -> ModuleType:
    """Return ``benchmarks/NAME.py`` as a module, with the scripts that it imports.

    Scripts import each other by plain names (``common``), because Python puts their folder first on the path when one is
    run. The names are removed afterwards, so that no other test sees them.
    """
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        spec = spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
        module = module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look up their module while it is loaded
        spec.loader.exec_module(module)
    for added in set(sys.modules) - before:
        if Path(getattr(sys.modules[added], "__file__", None) or "").parent == BENCHMARKS:
            del sys.modules[added]
    return module
