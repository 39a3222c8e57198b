"""A run as plain lines, for logs and pipes: no control codes, one line for each trial, each written at once."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from search.display import messages as facts
from search.display.screen import Screen, lines
from search.display.terminal import say
from search.formatting import clean, duration, metric, plural
from studies.events import DataReady, Retraining, StudyOpened, TrialEnded

if TYPE_CHECKING:
    from spaces.space import Space
    from studies.settings import Study

SECONDS_BETWEEN_LINES = 10.0


class Plain(Screen):
    """One line for each thing that happens.

    Args:
        target: The space as typed.
        stop: Called with `SIGPIPE` when nobody reads the lines any more.
        debug: Show everything that libraries write to standard error.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        target: str,
        stop: Callable[[str], None],
        *,
        debug: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(debug=debug)
        self._target, self._stop, self._clock = target, stop, clock
        self._decoding_told = self._computing_told = -SECONDS_BETWEEN_LINES
        self._closed = False

    def __enter__(self) -> Self:
        self._say(f"search {clean(self._target)}: loading Keras and Optuna")
        return super().__enter__()

    def space_loaded(self, space: "Space", study: "Study") -> None:
        """How large the space is, and how it is searched."""
        self._tell([*facts.of_space(space), *facts.of_search(study)])

    def data_progress(self, done: int, total: int) -> None:
        """A line now and then."""
        if self._clock() - self._decoding_told >= SECONDS_BETWEEN_LINES or done == total:
            self._decoding_told = self._clock()
            self._tell([("images", f"{done:,} of {total:,} decoded")])

    def data_ready(self, event: DataReady) -> None:
        """The images by split and class."""
        self._tell(facts.of_data(event))

    def study_opened(self, event: StudyOpened) -> None:
        """Where it is kept."""
        super().study_opened(event)
        self._tell(facts.of_study(event))

    def features_progress(self, done: int, total: int) -> None:
        """A line now and then."""
        if self._clock() - self._computing_told >= SECONDS_BETWEEN_LINES or done == total:
            self._computing_told = self._clock()
            self._tell([("features", f"{done:,} of {total:,} images through the frozen backbone")])

    def trial_ended(self, event: TrialEnded) -> None:
        """Its state, value and reason."""
        progress, best = event.progress, event.progress.best
        trained = plural(event.epochs, "epoch")
        epochs = f"at epoch {event.epoch} of {event.epochs}" if event.epoch else f"after {trained}"
        so_far = f"; best {metric(best.value)}, trial {best.number}" if best else ""
        reason = f"; {clean(event.reason)}" if event.reason else ""
        what = f"trial {event.number} {event.state} {metric(event.value)} {epochs}, {duration(event.seconds)}"
        self._tell([(f"{progress.done}/{progress.trials}", f"{what}{so_far}{reason}")])

    def worker_said(self, label: str, text: str) -> None:
        """As if it had happened here."""
        self._tell([(label, text)])

    def worker_ended(self, text: str) -> None:
        """In words."""
        self._tell([("worker", text)])

    def retraining(self, event: Retraining) -> None:
        """Which trial, for how long, on how many images."""
        epochs, images = plural(event.epochs, "epoch"), plural(event.images, "image")
        self._tell([("retraining", f"trial {event.number} for {epochs} on {images}, train and validation")])

    def exporting(self, trial: int | None = None) -> None:
        """That it has begun."""
        self._tell([("exporting", facts.of_export(trial))])

    def stopping(self, signal_name: str) -> None:
        """Past the buffered output, which may be in the middle of a line: this runs inside the signal handler."""
        os.write(2, f"{signal_name}: ending after this step; once more leaves at once\n".encode())

    def summary(self, facts: list[facts.Fact]) -> None:
        """The outcome, after an empty line."""
        self._say("")
        self._tell(facts)

    def _tell(self, told: list[facts.Fact]) -> None:
        for line in lines(told):
            self._say(line)

    def _say(self, line: str) -> None:
        if self._closed:
            return
        try:
            say(line)
        except BrokenPipeError:
            # The running trial is handed back rather than lost.
            self._closed = True
            self._stop("SIGPIPE")
