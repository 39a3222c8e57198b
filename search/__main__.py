"""The command `search`, also as `python -m search`: ends quietly when Ctrl-C comes before it is loaded."""

import os
import signal
import time
from types import FrameType


def main() -> None:
    """Load the command line, then run what was typed."""
    started = time.monotonic()
    # A shell that starts it in the background has it ignore Ctrl-C, which stays so.
    if heeds := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from search.cli import main as run

    if heeds:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(started)
    except KeyboardInterrupt:
        _leave()


def _leave(signal_number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """End at once: an exception may be caught, or shown, by whatever is being imported."""
    os._exit(128 + signal_number)


if __name__ == "__main__":
    main()
