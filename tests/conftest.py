"""What every test is run with."""

import signal

from hypothesis import settings

# The same examples in every run, and no time limit for one: machines are shared.
settings.register_profile("here", derandomize=True, deadline=None)
settings.load_profile("here")

# A shell has what it starts in the background ignore Ctrl-C, and so would all programs that tests start and end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
