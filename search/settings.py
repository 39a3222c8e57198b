"""How a loaded space is searched: what its file says, overridden by what was typed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spaces.errors import SpaceError
from studies.settings import Study

if TYPE_CHECKING:
    from spaces.files import Loaded


def settings_of(loaded: "Loaded", typed: Mapping[str, Any] | None = None) -> Study:
    """The settings of the file, or the usual ones, with the typed ones in their place.

    Raises:
        SpaceError: The file's `study` is no `Study`, or the settings exclude each other.
    """
    declared = Study() if loaded.study is None else loaded.study
    if not isinstance(declared, Study):
        raise SpaceError(f"study: must be a Study(...) from studies, got {declared!r}")
    return replace(declared, **(typed or {}))
