"""A command line of `search run`: what was typed, and the settings of a study that follow from it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.formatting import format_command
from spaces.errors import SpaceError
from studies.settings import Study

if TYPE_CHECKING:
    from spaces.loading import LoadedSpace


OPTIONS = {"name": "study"}


STORAGE = "SEARCH_STORAGE"
"""The variable that gives the database where `--storage` does not."""


@dataclass(frozen=True)
class RunCommand:
    """What the user typed, to be able to say what to type next.

    Args:
        target: The space, as typed.
        settings: The typed settings of the study.
        output: Where studies are kept.
        export: Whether the best model is exported.
        data: The folder of images in place of the space's own, or None.
        cache: The folder of decoded images, if it was typed.
        test: A share of the images, or a folder, to test with in place of the space's own; or None.
    """

    target: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    output: Path = Path("runs")
    export: bool = True
    data: str | None = None
    cache: Path | None = None
    test: str | None = None

    def rerun_command(self, **changed: Any) -> str:
        """The same command, with other settings."""
        settings = {**self.settings, **changed}
        if settings.get("storage") == os.environ.get(STORAGE):
            settings.pop("storage", None)
        typed = [
            word
            for name, value in settings.items()
            for word in (f"--{OPTIONS.get(name, name).replace('_', '-')}", str(value))
        ]
        left_out = [] if self.export else ["--no-export"]
        return format_command(
            "search", "run", self.target, *self.data_options(), *typed, *self.location_options(), *left_out
        )

    def location_options(self) -> list[str]:
        """The option that says where studies are kept, if it was typed."""
        return location_options(self.output, None)

    def data_options(self) -> list[str]:
        """The options that say where images come from and are kept, if they were typed."""
        data = [] if self.data is None else ["--data", self.data]
        data += [] if self.test is None else ["--test", self.test]
        return data if self.cache is None else [*data, "--cache", str(self.cache)]


def location_options(output: Path, storage: str | None) -> list[str]:
    """The options that say where studies are kept, if they were typed; `command` shows no password."""
    where = [] if output == Path("runs") else ["--output", str(output)]
    return where if storage in (None, os.environ.get(STORAGE)) else [*where, "--storage", str(storage)]


def settings_of(loaded: "LoadedSpace", typed: Mapping[str, Any] | None = None) -> Study:
    """The settings of the file, or the usual ones, with the typed ones in their place.

    Raises:
        SpaceError: The file's `study` is no `Study`, or the settings exclude each other.
    """
    declared = Study() if loaded.study is None else loaded.study
    if not isinstance(declared, Study):
        raise SpaceError(f"study: must be a Study(...) from studies, got {declared!r}")
    return replace(declared, **(typed or {}))
