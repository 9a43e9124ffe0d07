"""Lets an ``import`` that would fail be answered by a stand-in module of this package.

The finder is the last one on ``sys.meta_path``: Python asks it only when nothing installed has the name, so that a real
package, also one that is installed later, always wins. It goes when the last stand-in goes.
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
    """Fills a new module with the names of ``source``; classes keep ``source`` as their module, so they pickle."""

    def __init__(self, source: str) -> None:
        self.source = source

    def exec_module(self, module: ModuleType) -> None:
        names = vars(importlib.import_module(self.source))
        own = {"__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__"}
        vars(module).update({name: value for name, value in names.items() if name not in own})


class StandInFinder(MetaPathFinder):
    """Answers for the names in ``sources``, which maps an import name to the module that stands in for it."""

    def __init__(self) -> None:
        self.sources: dict[str, str] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the stand-in's spec, or None for a name that has none. A name with submodules is a package."""
        if fullname not in self.sources:
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in self.sources)
        return ModuleSpec(fullname, _StandInLoader(self.sources[fullname]), is_package=is_package)

    def offer(self, sources: dict[str, str], replace: bool = False) -> None:
        """Let ``sources`` be imported where the real thing is absent.

        Args:
            sources: Import name to stand-in module.
            replace: Also hide an installed package that cannot be imported.
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
