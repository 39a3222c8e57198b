"""What a worker process shows: lines in its log for people, and events for its supervisor."""

import time
from collections.abc import Callable

from search.display.log_screen import LogScreen
from studies.events import DataProgress, DataReady, FeaturesProgress, StudyJoined, StudyOpened, WorkerLine
from studies.stop_request import StopReason
from studies.workers.event_pipe import EventWriter

SECONDS_BETWEEN_EVENTS = 0.25


class WorkerScreen(LogScreen):
    """Writes a line for each thing that happens, and sends the supervisor what it must know.

    Args:
        target: The space as typed.
        stop: Called with the reason when nobody reads the lines any more.
        events: Pipe to the supervisor.
        debug: Show everything that libraries write to standard error.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        target: str,
        stop: Callable[[StopReason], None],
        events: EventWriter,
        *,
        debug: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(target, stop, debug=debug, clock=clock)
        self._events, self._sent = events, -SECONDS_BETWEEN_EVENTS

    def on_data_progress(self, done: int, total: int) -> None:
        """Log and send it."""
        super().on_data_progress(done, total)
        self._send_progress(DataProgress(done, total))

    def on_data_ready(self, event: DataReady) -> None:
        """Log and send it."""
        super().on_data_ready(event)
        self._events.send(event)

    def on_features_progress(self, done: int, total: int) -> None:
        """Log and send it."""
        super().on_features_progress(done, total)
        self._send_progress(FeaturesProgress(done, total))

    def on_study_opened(self, event: StudyOpened) -> None:
        """Log it, and send what the supervisor does not know itself."""
        super().on_study_opened(event)
        self._events.send(StudyJoined(event.identity, event.notices))

    def on_worker_output(self, label: str, text: str) -> None:
        """Log and send it."""
        super().on_worker_output(label, text)
        self._events.send(WorkerLine(label, text))

    def _send_progress(self, event: DataProgress | FeaturesProgress) -> None:
        now = self._clock()
        if now - self._sent >= SECONDS_BETWEEN_EVENTS or event.done == event.total:
            self._sent = now
            self._events.send(event)
