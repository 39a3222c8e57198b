"""The running trial next to the best so far: their parameters, with differences emphasized."""

from collections.abc import Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from search.display.messages import NO_BEST
from search.display.run_state import Running, RunState
from search.formatting import escape_text, format_metric, format_value, shorten_name
from spaces.parameters import MISSING, Scalar
from studies.outcome import Best

WIDE = 120
ABSENT = "-"


def comparison(state: RunState, width: int, rows: int) -> list[RenderableType]:
    """Return the table and a count of hidden parameters, at most `width` columns wide and `rows` lines high."""
    running, best = state.running, state.progress.best
    names = _names(state)
    blocks = 2 if width >= WIDE and len(names) + 2 > rows else 1
    shown, hidden = _select(names, running, best, blocks, rows - 2)
    table = _frame(width, blocks, max((len(name) for name in shown), default=0))
    table.add_row(*_headings(running, best) * blocks)
    table.add_row(*_values(state), *([""] * 3 if blocks == 2 else []))
    for cells in _in_blocks([_row(name, running, best, table) for name in shown], blocks):
        table.add_row(*cells)
    return (
        [table, Text(_hidden_count(hidden, running, best), "dim", no_wrap=True, overflow="ellipsis")]
        if hidden
        else [table]
    )


def _names(state: RunState) -> list[str]:
    """Return the parameters of either trial, in the order of the space."""
    running, best = state.running, state.progress.best
    either = {**(running.params if running else {}), **(best.params if best else {})}
    return [name for name in dict.fromkeys((*state.names, *either)) if name in either]


def _select(
    names: list[str], running: Running | None, best: Best | None, blocks: int, rows: int
) -> tuple[list[str], list[str]]:
    """Return the names to show and those to hide; parameters with equal values are hidden first."""
    if len(names) <= blocks * rows:
        return names, []
    differing_first = sorted(names, key=lambda name: not _differs(name, running, best))
    shown = set(differing_first[: max(0, blocks * (rows - 1))])
    return [name for name in names if name in shown], [name for name in names if name not in shown]


def _differs(name: str, running: Running | None, best: Best | None) -> bool:
    if running is None or best is None:
        return False
    return running.params.get(name, MISSING) != best.params.get(name, MISSING)


def _frame(width: int, blocks: int, longest: int) -> Table:
    room = width // blocks
    values = max(8, min(24, room // 4))
    names = max(10, min(longest, room - 2 * values - 7))
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(blocks):
        table.add_column(width=names + 1, no_wrap=True, overflow="ellipsis")
        table.add_column(width=values, no_wrap=True, overflow="ellipsis")
        table.add_column(width=values, no_wrap=True, overflow="ellipsis")
    return table


def _headings(running: Running | None, best: Best | None) -> list[Text]:
    left = "" if running is None else f"trial {running.number}"
    if running and running.images:
        return [Text(), Text(f"{left}, retraining", "bold cyan"), Text()]
    right = f"best: trial {best.number}" if best else NO_BEST
    return [Text(), Text(left, "bold cyan"), Text(right, "bold green" if best else "dim")]


def _values(state: RunState) -> list[Text]:
    name = state.study.metric if state.study else ""
    running, best = state.running, state.progress.best
    now = running.metrics.get(name) if running else None
    value = Text(format_metric(best.value) if best else "")
    if running and running.images:
        value = Text()
    return [Text(f" {escape_text(name)}"), Text(format_metric(now)), value]


def _row(name: str, running: Running | None, best: Best | None, table: Table) -> list[Text]:
    width = (table.columns[0].width or 0) - 1
    ours = _value(running.params if running else {}, name)
    if running and running.images:
        return [Text(f" {shorten_name(escape_text(name), width)}"), Text(ours), Text()]
    emphasised = _differs(name, running, best)
    theirs = _value(best.params, name) if best else ""
    return [
        Text(f" {shorten_name(escape_text(name), width)}", "" if emphasised else "dim"),
        Text(ours, "bold cyan" if emphasised else "dim"),
        Text(theirs, "bold green" if emphasised else "dim"),
    ]


def _value(params: Mapping[str, Scalar], name: str) -> str:
    return format_value(params[name]) if name in params else ABSENT


def _in_blocks(rows: list[list[Text]], blocks: int) -> list[list[Text]]:
    height = -(-len(rows) // blocks)
    return [[cell for row in rows[index::height] for cell in row] for index in range(height)]


def _hidden_count(hidden: list[str], running: Running | None, best: Best | None) -> str:
    if running is None or best is None or running.images:
        return f" … {len(hidden)} more"
    differing = sum(_differs(name, running, best) for name in hidden)
    return f" … {len(hidden)} more, " + (f"{differing} of them different" if differing else "all equal")
