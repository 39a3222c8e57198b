"""The live view: one frame of a run's state, sized to the terminal."""

from collections.abc import Mapping

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from search.display.comparison import comparison
from search.display.messages import stopping_line
from search.display.run_state import DECODING, Running, RunState, seconds_left
from search.display.terminal import SPINNER, STATES
from search.display.worker_table import best_trial_lines, worker_table
from search.formatting import escape_text, format_count, format_duration, format_elapsed, format_metric, stop_text
from studies.events import TrialEnded

MAX_RECENT_TRIALS = 4
_FIRST_METRICS = ("val_accuracy", "val_loss", "accuracy", "loss")


class LiveView:
    """One frame, at most as wide and high as the terminal."""

    def __init__(self, name: str, state: RunState, now: float) -> None:
        self.name, self.state, self.now = name, state, now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = max(3, console.size.height - 1)
        state = self.state
        searching = state.study is not None and (state.running is not None or state.recent or state.workers)
        parts = self._search(options.max_width, height) if searching else self._before(height)
        # Keep an empty line for the cursor: the terminal echoes ^C there.
        yield Group(*parts, Text())

    def _before(self, height: int) -> list[RenderableType]:
        done, total = self.state.images
        if total and self.state.phase == DECODING:
            note = f"{done:,}/{total:,}  {self._decoding_time(done, total)}"
            return [_bar("images", done, total, note), *self._stopping()][:height]
        return [self._phase(), *self._stopping()][:height]

    def _decoding_time(self, done: int, total: int) -> str:
        spent = self.now - self.state.since
        left = (
            f", about {format_duration(spent / done * (total - done))} left" if 0 < done < total and spent > 2 else ""
        )
        return f"{format_elapsed(spent)}{left}"

    def _search(self, width: int, height: int) -> list[RenderableType]:
        state = self.state
        head: list[RenderableType] = [_title(self.name, state, self.now), _trials(state)]
        head += [] if state.workers else self._training()
        head += self._stopping()
        free = height - len(head) - 1
        recent = list(state.recent[: min(MAX_RECENT_TRIALS, max(0, free - 6))])
        rows = free - (len(recent) + 1 if recent else 0)
        parts = [*head]
        if state.workers:
            best = best_trial_lines(state, width) if rows > 4 else []
            parts += [Text(), *worker_table(state.workers, rows - len(best)), *best]
        elif rows > 2:
            parts += [Text(), *comparison(state, width, rows)]
        return [*parts, Text(), _recent(recent)] if recent else parts

    def _training(self) -> list[RenderableType]:
        running = self.state.running
        if running is None or self.state.phase:
            return [self._phase()]
        metric = self.state.study.metric if self.state.study else ""
        return [_epochs(running, self.now), _metrics(running, metric)]

    def _phase(self) -> Text:
        spinner = SPINNER[int(self.now * 4) % len(SPINNER)]
        spent = format_elapsed(self.now - self.state.since)
        return _line((f" {spinner} ", "cyan"), self.state.phase, (f"  {spent}", "dim"))

    def _stopping(self) -> list[RenderableType]:
        if self.state.stopping is None:
            return []
        return [_line((f" {stopping_line(self.state.stopping)}", "bold yellow"))]


def _line(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _title(name: str, state: RunState, now: float) -> Table:
    left = Text.assemble(" ", (escape_text(name), "bold"), no_wrap=True, overflow="ellipsis")
    for word, count in state.progress.counts.items():
        left.append("  ").append(f"{count} {word}", STATES[word] if count else "dim")
    title = Table.grid(expand=True, padding=(0, 1))
    title.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    title.add_column(justify="right", no_wrap=True)
    title.add_row(left, _time(state, now))
    return title


def _time(state: RunState, now: float) -> Text:
    spent = format_elapsed(now - state.opened)
    left = seconds_left(state, now)
    if left is None or (state.running and state.running.images):
        return Text(spent)
    return Text.assemble(spent, (f", about {format_elapsed(left)} left", "dim"))


def _trials(state: RunState) -> Table:
    progress = state.progress
    workers = f"  {format_count(state.alive, 'worker')}" if state.alive > 1 or state.workers else ""
    return _bar("trials", progress.done, progress.trials, f"{progress.done}/{progress.trials}{workers}")


def _epochs(running: Running, now: float) -> Table:
    label = "epochs" if running.images is None else "retraining"
    note = f"{running.epoch}/{running.epochs}  {format_elapsed(now - running.since)}"
    return _bar(label, running.epoch, running.epochs, note)


def _metrics(running: Running, metric: str) -> Text:
    """Return the metrics of the last epoch, except the one that the comparison shows."""
    if not running.metrics:
        images = "" if running.images is None else f" ({format_count(running.images, 'image')})"
        return _line((f" {'':10} compiling the model and training the first epoch{images}", "dim"))
    others = [(name, value) for name, value in _sorted(running.metrics) if name != metric]
    return _line(
        f" {'':10} ", (" · ".join(f"{escape_text(name)} {format_metric(value)}" for name, value in others), "dim")
    )


def _sorted(metrics: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return metrics sorted by importance: a narrow terminal shows only the first ones."""
    order = {name: index for index, name in enumerate(_FIRST_METRICS)}
    return sorted(metrics.items(), key=lambda item: (order.get(item[0], len(order)), item[0]))


def _bar(label: str, done: int, total: int, note: str) -> Table:
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(width=11, no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="left", no_wrap=True, min_width=12)
    bar.add_row(f" {label}", ProgressBar(total=max(1, total), completed=min(done, max(1, total))), note)
    return bar


def _recent(trials: list[TrialEnded]) -> Table:
    table = Table.grid(expand=True, padding=(0, 2))
    for justify in ("right", "left", "right", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for trial in trials:
        ended = trial.outcome
        table.add_row(
            f" #{trial.number}",
            Text(ended.state, STATES.get(ended.state, "")),
            format_metric(ended.value),
            f"epoch {ended.epoch}/{ended.epochs}" if ended.epoch else format_count(ended.epochs, "epoch"),
            format_duration(ended.seconds),
            Text(stop_text(ended.reason).removeprefix(f"{ended.state} "), "dim"),
        )
    return table
