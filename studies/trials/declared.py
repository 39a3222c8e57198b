"""Protocol of a loaded space, as a run needs it."""

from pathlib import Path
from typing import Protocol

from spaces.space import Space


class SpaceDefinition(Protocol):
    """A space, its name and its folder."""

    @property
    def name(self) -> str:
        """Name of the space."""

    @property
    def space(self) -> Space:
        """The space."""

    @property
    def folder(self) -> Path:
        """Folder where relative paths start."""
