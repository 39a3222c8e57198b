"""When the best trial is exported before the end of the search."""

from types import SimpleNamespace

import pytest

from spaces import Digits, Linear, Pretrained, Space
from spaces.errors import ExportError
from studies.export.early_export import FIRST_AFTER_SECONDS, EarlyExports
from studies.outcome import Best, Progress
from tests.support.fakes import run_context
from tests.support.fitting import SMALL

LINEAR = Space(data=Digits(), backbone=Pretrained("MobileNetV2", head=Linear()))


class Exports(EarlyExports):
    """Notes what is exported, for a number of seconds each."""

    seconds = 1.0

    def _export(self, progress, recipe):
        self.done = [*getattr(self, "done", []), progress.best.number]
        self.now += self.seconds
        if progress.best.number == 13:
            raise ExportError("for a test")


@pytest.fixture
def early(tmp_path):
    """Return a function that makes early exports whose clock is set by hand."""

    def make(space):
        clock = SimpleNamespace(now=0.0)
        opened = SimpleNamespace(identity="me", name="tiny", study=None)
        made = Exports(opened, space, tmp_path / "best", run_context(), clock=lambda: clock.now)
        type(made).now = property(lambda self: clock.now, lambda self, value: setattr(clock, "now", value))
        made.done = []
        return made

    return make


def ended(made, number, seconds, trials=10):
    """Let the clock reach a time, at which a trial is the best."""
    made.now = seconds
    made.trial_ended(Progress(trials, complete=number + 1, best=Best(number, 0.9, 1, {})))


def test_linear_head_is_exported_at_once_and_a_network_later(early):
    """A model that took long to train is not exported in the first seconds, which may be all."""
    linear, network = early(LINEAR), early(SMALL)
    for made in (linear, network):
        ended(made, 0, 1.0)
        ended(made, 0, FIRST_AFTER_SECONDS + 1)
    assert (linear.done, network.done) == ([0], [0])


def test_each_best_trial_is_exported_once_and_the_last_trial_not_at_all(early):
    """The export at the end follows the last trial."""
    made = early(LINEAR)
    for number, seconds in ((0, 0.0), (0, 20.0), (1, 40.0), (9, 60.0)):
        ended(made, number, seconds)
    assert made.done == [0, 1]


def test_early_exports_take_a_fifth_of_the_run(early):
    """After an expensive export the next one waits."""
    made = early(LINEAR)
    made.seconds = 5.0
    for number, seconds in ((0, 1.0), (1, 20.0), (2, 60.0)):
        ended(made, number, seconds)
    assert made.done == [0, 2]


def test_error_of_an_early_export_does_not_end_the_search(early, caplog):
    """It is logged, and the next best trial is exported."""
    made = early(LINEAR)
    ended(made, 13, 0.0, trials=50)
    ended(made, 14, 60.0, trials=50)
    assert made.done == [13, 14]
    assert "could not export trial 13 before the end of the search: for a test" in caplog.text


def test_tested_export_is_kept(early, tmp_path):
    """An export of this study that was tested is not replaced by one that is not."""
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "metrics.json").write_text('{"study_id": "me", "test": {"accuracy": 1.0}}')
    made = early(LINEAR)
    ended(made, 0, 0.0)
    assert made.done == []
