"""Entry point of `search` and `python -m search`: Ctrl-C during imports exits quietly."""

import os
import signal
import time
from types import FrameType


def main() -> None:
    """Load the command line, then run the typed command."""
    started = time.monotonic()
    # A shell starts background processes with Ctrl-C ignored; that must not change.
    if handles_ctrl_c := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)
    from search.cli import main as run

    if handles_ctrl_c:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run(started)
    except KeyboardInterrupt:
        _exit()


def _exit(signal_number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    """Exit at once: an exception could be caught or printed by the module being imported."""
    os._exit(128 + signal_number)


if __name__ == "__main__":
    main()
