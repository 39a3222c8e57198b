"""Distinguishes the user's own modules, classes and files from those of Python, search and installed packages."""

import importlib.machinery
import sys
from pathlib import Path
from typing import Any

from spaces.error_location import OWN_PACKAGES, STANDARD_LIBRARY

EXAMPLES = Path(__file__).parent / "examples"


def is_users_file(file: str) -> bool:
    """Return True if a source file is the user's own, not that of Python, search or an installed package."""
    path = Path(file)
    if file.startswith("<frozen") or not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return False
    if path.is_relative_to(EXAMPLES):
        return True
    return not any(path.is_relative_to(folder) for folder in (*OWN_PACKAGES, STANDARD_LIBRARY))


def is_users_module(module: Any) -> bool:
    """Return True if a module or package is the user's own."""
    file = getattr(module, "__file__", None)
    if file:
        return is_users_file(file)
    return any(is_users_file(str(folder)) for folder in getattr(module, "__path__", ()))


def is_users_class(kind: type) -> bool:
    """Return True if one of the user's modules defines a class."""
    module = sys.modules.get(kind.__module__)
    if kind.__module__ == "__main__":
        return True
    return module is not None and is_users_module(module)


def prefix(module: str | None) -> str:
    """Return the prefix of a part's name: its module, but for a space file, whose module name depends on its path."""
    return "" if not module or module == "__main__" or module.startswith("space_") else f"{module}."


def module_file(name: str) -> str | None:
    """Return the file of one of the user's modules without importing it, or None for any other module."""
    first, *rest = name.split(".")
    spec = importlib.machinery.PathFinder.find_spec(first)
    folders = [Path(each) for each in (spec.submodule_search_locations or ())] if spec else []
    file = Path(spec.origin) if spec and spec.origin else None
    for part in rest:
        file = next((f for d in folders for f in (d / part / "__init__.py", d / f"{part}.py") if f.is_file()), None)
        folders = [folder / part for folder in folders if (folder / part).is_dir()]
    return str(file) if file and file.suffix == ".py" and is_users_file(str(file)) else None
