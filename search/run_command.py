"""A command line of `search run`, and the study settings that follow from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from search.formatting import format_command
from spaces.errors import SpaceError
from spaces.loading import LoadedSpace
from spaces.open_space import is_open
from studies.settings import Study

OPTIONS = {"name": "study"}
"""Settings whose option has another name."""

STORAGE = "SEARCH_STORAGE"
"""Environment variable with the database URL, used without `--storage`."""


@dataclass(frozen=True)
class RunCommand:
    """A typed `search run` command, from which the commands to type next are derived.

    Args:
        target: Space, as typed.
        settings: Typed settings of the study.
        output: Folder that contains the studies.
        export: Whether the best model is exported.
        data: Folder of images used instead of the space's data, or None.
        cache: Image cache folder, or None if not typed.
        test: Fraction of the images, or folder, used as test images instead of the space's own; or None.
    """

    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    output: Path = Path("runs")
    export: bool = True
    data: str | None = None
    cache: Path | None = None
    test: str | None = None

    def rerun_command(self, **changed: Any) -> str:
        """Return the same command with some settings changed."""
        settings = {**self.settings, **changed}
        if settings.get("storage") == os.environ.get(STORAGE):
            settings.pop("storage", None)
        typed = [word for name, value in settings.items() for word in (option_name(name), str(value))]
        no_export = [] if self.export else ["--no-export"]
        return format_command(
            "search", "run", self.target, *self.data_options(), *typed, *self.location_options(), *no_export
        )

    def location_options(self) -> list[str]:
        """Return the option for the folder of studies, if it was typed."""
        return location_options(self.output, None)

    def data_options(self) -> list[str]:
        """Return the options for the images and their cache, if they were typed."""
        data = [] if self.data is None else ["--data", self.data]
        data += [] if self.test is None else ["--test", self.test]
        return data if self.cache is None else [*data, "--cache", str(self.cache)]


def option_name(setting: str) -> str:
    """Return the command-line option for a setting of `Study`."""
    return f"--{OPTIONS.get(setting, setting).replace('_', '-')}"


def location_options(output: Path, storage: str | None) -> list[str]:
    """Return the options for the folder of studies and the database, if they were typed.

    The URL may still contain a password, which `format_command` redacts.
    """
    where = [] if output == Path("runs") else ["--output", str(output)]
    return where if storage in (None, os.environ.get(STORAGE)) else [*where, "--storage", str(storage)]


def settings_of(loaded: LoadedSpace, typed: Mapping[str, Any] | None = None) -> Study:
    """Return the settings of the space file, or the defaults, overridden by the typed ones.

    Raises:
        SpaceError: `study` in the file is not a `Study`, or the settings contradict each other.
    """
    declared = Study() if loaded.study is None else loaded.study
    if not isinstance(declared, Study):
        raise SpaceError(f"study: got {declared!r}, expected a Study(...) from studies")
    if is_open(loaded.space) and declared.sampler == Study.sampler:
        declared = replace(declared, sampler="stepwise")
    return replace(declared, **(typed or {}))
