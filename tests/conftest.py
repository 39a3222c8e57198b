"""What every test is run with."""

from hypothesis import settings

# The same examples in every run, and no time limit for one: machines are shared.
settings.register_profile("here", derandomize=True, deadline=None)
settings.load_profile("here")
