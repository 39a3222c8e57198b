"""What a space file declares, as a run needs it."""

from pathlib import Path
from typing import Protocol

from spaces.space import Space


class SpaceDefinition(Protocol):
    """What a space file declares."""

    @property
    def name(self) -> str:
        """Name of the space."""

    @property
    def space(self) -> Space:
        """What is searched."""

    @property
    def folder(self) -> Path:
        """Where relative paths start."""
