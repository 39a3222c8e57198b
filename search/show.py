"""`search show`: what a space holds."""

from typing import TYPE_CHECKING

from search.environment import quieten
from search.facts import of_baseline, of_search, of_space
from search.formats import clean
from search.screen import show
from search.settings import settings_of
from search.terminal import say, show_table

if TYPE_CHECKING:
    from spaces.space import Space


def show_space(target: str) -> None:
    """Write a space's parameters, baseline and size to standard output.

    Raises:
        SpaceError: The space cannot be loaded.
    """
    quieten()
    from spaces.files import load

    loaded = load(target)
    show([("name", clean(loaded.name)), ("data", clean(repr(loaded.space.data)))])
    show([*of_space(loaded.space), *of_search(settings_of(loaded))])
    say()
    _table(loaded.space)
    say()
    show(of_baseline(loaded.space))


def _table(space: "Space") -> None:
    from rich.table import Table
    from rich.text import Text

    from spaces.table import rows

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("parameter", "values", "default", "only when"):
        table.add_column(heading, overflow="fold")
    for row in rows(space):
        cells = [clean(cell) for cell in (row.name, row.values, row.default, row.condition or "")]
        table.add_row(*(Text(cell, style) for cell, style in zip(cells, ("bold", "", "", "dim"), strict=True)))
    show_table(table)
