"""Stand in for the parts of ``pkg_resources`` that MMEngine and pytest use, over ``importlib.metadata``.

setuptools 82 no longer has ``pkg_resources``, and MMEngine uses it to locate packages. Remove this file when MMEngine uses
``importlib.metadata``.
"""

from __future__ import annotations

from importlib import metadata

DistributionNotFound = metadata.PackageNotFoundError


class Distribution:
    """Installed distribution.

    Args:
        name: Name of the distribution, as for pip.

    Raises:
        DistributionNotFound: If it is not installed.
    """

    def __init__(self, name: str) -> None:
        self._distribution = metadata.distribution(name)
        self.project_name: str = self._distribution.metadata["Name"]
        self.version = self._distribution.version
        self.location = str(self._distribution.locate_file(""))

    def has_metadata(self, name: str) -> bool:
        """Tell whether the metadata folder holds the file ``name``."""
        return self._distribution.read_text(name) is not None

    def get_metadata(self, name: str) -> str:
        """Return the text of the metadata file ``name``; empty if it does not exist."""
        return self._distribution.read_text(name) or ""


def get_distribution(name: str) -> Distribution:
    """Return an installed distribution, or raise :exc:`DistributionNotFound`."""
    return Distribution(name)


def fixup_namespace_packages(path_item: str, parent: str | None = None) -> None:
    """Do nothing: pytest's ``monkeypatch.syspath_prepend`` calls it, and without setuptools' namespaces there is nothing to mend."""
