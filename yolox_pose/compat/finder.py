"""Import a stand-in module of this package where an ``import`` would fail.

The finder is the last one on ``sys.meta_path``. Python calls it only if no installed package has the name, so that a real
package always comes first, even if it is installed later. Remove it with the last stand-in.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _StandInLoader(Loader):
    """Loader that copies the names of a source module. Classes keep the source as their module, so that they pickle."""

    def __init__(self, source: str) -> None:
        self.source = source

    def exec_module(self, module: ModuleType) -> None:
        names = vars(importlib.import_module(self.source))
        special = {"__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__"}
        vars(module).update({name: value for name, value in names.items() if name not in special})


class StandInFinder(MetaPathFinder):
    """Finder of stand-ins.

    Attributes:
        sources: Import name to the module that stands in.
    """

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a stand-in; None for another name. A name with submodules becomes a package."""
        if fullname not in self.sources:
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in self.sources)
        return ModuleSpec(fullname, _StandInLoader(self.sources[fullname]), is_package=is_package)

    def offer(self, sources: dict[str, str], replace: bool = False) -> None:
        """Register stand-ins for absent packages.

        Args:
            sources: Import name to stand-in module.
            replace: Whether to hide an installed package that cannot be imported.
        """
        self.sources.update(sources)
        for name in sources if replace else ():
            self._put(name)
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def _put(self, name: str) -> None:
        spec = self.find_spec(name)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


FINDER = StandInFinder()
