"""The versions that a result was made with."""

import platform
from importlib import metadata

PACKAGES = ("search", "keras", "tensorflow", "jax", "optuna", "numpy", "scikit-learn")


def installed() -> dict[str, str]:
    """The version of Python and of each package that is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
