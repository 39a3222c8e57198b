"""A run as plain lines, for logs and pipes: no control codes, one line for each trial, each written at once."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from search.display import messages as facts
from search.display.screen import Screen, plain_lines
from search.display.terminal import print_line
from search.formatting import escape_text, format_count, format_duration, format_metric, stop_text
from studies.events import DataReady, RetrainingStarted, StudyOpened, TrialEnded
from studies.stop_request import StopReason

if TYPE_CHECKING:
    from spaces.space import Space
    from studies.settings import Study

SECONDS_BETWEEN_LINES = 10.0


class LogScreen(Screen):
    """One line for each thing that happens.

    Args:
        target: The space as typed.
        stop: Called with the reason when nobody reads the lines any more.
        debug: Show everything that libraries write to standard error.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        target: str,
        stop: Callable[[StopReason], None],
        *,
        debug: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(debug=debug)
        self._target, self._stop, self._clock = target, stop, clock
        self._decoding_told = self._computing_told = -SECONDS_BETWEEN_LINES
        self._closed = False

    def __enter__(self) -> Self:
        self._say(f"search {escape_text(self._target)}: loading Keras and Optuna")
        return super().__enter__()

    def on_space_loaded(self, space: "Space", study: "Study") -> None:
        """How large the space is, and how it is searched."""
        self._tell([*facts.space_lines(space), *facts.search_lines(study)])

    def on_data_progress(self, done: int, total: int) -> None:
        """A line now and then."""
        if self._clock() - self._decoding_told >= SECONDS_BETWEEN_LINES or done == total:
            self._decoding_told = self._clock()
            self._tell([("images", f"{done:,} of {total:,} decoded")])

    def on_data_ready(self, event: DataReady) -> None:
        """The images by split and class."""
        self._tell(facts.data_lines(event))

    def on_study_opened(self, event: StudyOpened) -> None:
        """Where it is kept."""
        super().on_study_opened(event)
        self._tell(facts.study_lines(event))

    def on_features_progress(self, done: int, total: int) -> None:
        """A line now and then."""
        if self._clock() - self._computing_told >= SECONDS_BETWEEN_LINES or done == total:
            self._computing_told = self._clock()
            self._tell([("features", f"{done:,} of {total:,} images through the frozen backbone")])

    def on_trial_ended(self, event: TrialEnded) -> None:
        """Its state, value and reason."""
        progress, best = event.progress, event.progress.best
        trained = format_count(event.epochs, "epoch")
        epochs = f"at epoch {event.epoch} of {event.epochs}" if event.epoch else f"after {trained}"
        so_far = f"; best {format_metric(best.value)}, trial {best.number}" if best else ""
        reason = f"; {stop_text(event.reason)}" if event.reason else ""
        value, seconds = format_metric(event.value), format_duration(event.seconds)
        what = f"trial {event.number} {event.state} {value} {epochs}, {seconds}"
        self._tell([(f"{progress.done}/{progress.trials}", f"{what}{so_far}{reason}")])

    def on_worker_output(self, label: str, text: str) -> None:
        """As if it had happened here."""
        self._tell([(label, text)])

    def on_worker_lost(self, text: str) -> None:
        """In words."""
        self._tell([("worker", text)])

    def on_retraining(self, event: RetrainingStarted) -> None:
        """Which trial, for how long, on how many images."""
        epochs, images = format_count(event.epochs, "epoch"), format_count(event.images, "image")
        self._tell([("retraining", f"trial {event.number} for {epochs} on {images}, train and validation")])

    def on_exporting(self, trial: int | None = None) -> None:
        """That it has begun."""
        self._tell([("exporting", facts.export_lines(trial))])

    def on_stopping(self, reason: StopReason) -> None:
        """Past the buffered output, which may be in the middle of a line: this runs inside the signal handler."""
        os.write(2, f"{stop_text(reason)}: ending after this step; once more leaves at once\n".encode())

    def summary(self, facts: list[facts.Line]) -> None:
        """The outcome, after an empty line."""
        self._say("")
        self._tell(facts)

    def _tell(self, told: list[facts.Line]) -> None:
        for line in plain_lines(told):
            self._say(line)

    def _say(self, line: str) -> None:
        if self._closed:
            return
        try:
            print_line(line)
        except BrokenPipeError:
            # The running trial is handed back rather than lost.
            self._closed = True
            self._stop(StopReason.SIGPIPE)
