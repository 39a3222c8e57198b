"""Which epochs of a training are saved, and what a checkpoint holds."""

import contextlib
import itertools
from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from spaces import SGD
from studies.checkpoints import study_checkpoints
from studies.checkpoints.checkpoint_file import decode
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.training.callbacks import checkpoint
from studies.training.result import EndReason
from tests.support.resumable import AUGMENTED, CASES, Case, assert_equal, train_case, uninterrupted


@pytest.fixture
def always_due(monkeypatch):
    """Take a checkpoint of every epoch, however long it takes."""
    monkeypatch.setattr(study_checkpoints, "MIN_INTERVAL_FACTOR", 0)


@pytest.mark.slow
@pytest.mark.parametrize("end", [KeyboardInterrupt, False], ids=["killed", "pruned"])
def test_epoch_is_saved_only_after_it_is_recorded(tmp_path, always_due, end):
    """The database is never behind a checkpoint, and the epoch that prunes a trial needs none."""
    checkpoints = StudyCheckpoints(tmp_path).for_trial(0)
    with contextlib.suppress(KeyboardInterrupt):
        train_case(CASES["augmented"], checkpoints, on_epoch=Mock(side_effect=[True, True, end]))
    assert checkpoints.load().epoch == 2


def test_diverged_epoch_is_not_saved(tmp_path, always_due):
    """Weights that are not finite are of no use."""
    checkpoints = StudyCheckpoints(tmp_path).for_trial(0)
    case = Case(replace(AUGMENTED, learning_rate=1e30, optimizer=SGD(), batch_size=40), 4)
    assert train_case(case, checkpoints).end_reason == EndReason.DIVERGED
    saved = checkpoints.load()
    assert saved is None or np.isfinite(saved.arrays["model/0"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epochs", "copy_interval", "seconds", "saved"),
    [(3, 0, 0.01, 3), (3, 1e9, 0.01, 1), (3, 0, 9.0, 1), (2, 0, 0.01, 2)],
    ids=["saved", "copying is slow", "writing is slow", "before the second phase"],
)
def test_stop_request_saves_the_last_epoch(tmp_path, monkeypatch, epochs, copy_interval, seconds, saved):
    """It is saved before it is due, unless copying costs too much or writing takes too long, and resumed."""
    monkeypatch.setattr(checkpoint, "MIN_COPY_INTERVAL_FACTOR", copy_interval)
    ticks, recorded = itertools.count(0.0, seconds), []
    stopped = train_case(
        CASES["fine-tuned"],
        StudyCheckpoints(tmp_path, clock=lambda: next(ticks)).for_trial(0),
        on_epoch=lambda epoch, metrics: recorded.append(epoch) or True,
        stop=lambda: len(recorded) == epochs,
    )
    assert (stopped.end_reason, len(stopped.history)) == (EndReason.STOPPED, epochs)
    checkpoints = StudyCheckpoints(tmp_path).for_trial(0)
    assert checkpoints.load().epoch == saved
    assert_equal(train_case(CASES["fine-tuned"], checkpoints), uninterrupted("fine-tuned")[0])


@pytest.mark.slow
def test_best_weights_are_stored_only_where_they_differ():
    """After a best epoch its weights are the last ones; later, a checkpoint adds only those that have changed."""
    whole, saved = uninterrupted("fine-tuned")
    best = [sum(name.startswith("best/") for name in decode(saved[epoch], "").arrays) for epoch in range(1, 6)]
    assert whole.best_epoch == 2
    assert best[:2] == [0, 0]
    assert all(0 < count < len(whole.model.weights) for count in best[2:])
