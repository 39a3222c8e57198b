"""One trial with Keras: what it stores, and how it ends when something breaks."""

from dataclasses import dataclass, field, replace

import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from spaces import SGD, Float
from spaces.errors import ModelError
from spaces.training import METRICS
from studies import Study
from studies.data.dataset import Dataset
from studies.database.claims import TrialQueue
from studies.database.connection import engine_of
from studies.database.stored_trials import outcome_of, progress
from studies.database.tables import read_epochs
from studies.events import EpochEnded, TrialEnded
from studies.outcome import COMPLETE, FAILED, PRUNED, WAITING, TrialOutcome
from studies.stop_request import StopReason, StopRequest
from studies.training import result
from studies.trials import evaluate
from studies.trials.evaluate import TrialEvaluator
from studies.trials.recipe_training import train_recipe
from tests.studies.training.test_fit import TRAIN, VALIDATION
from tests.support.fakes import TINY, Recorder, run_context, run_tiny

SPACE = replace(TINY, epochs=3, batch_size=32, learning_rate=Float(1e-3, 1e-1, log=True))
DATASET = Dataset(TRAIN, VALIDATION, VALIDATION, ("dark", "bright"))


def search(folder, space=SPACE, trials=1, stop=None, recorder=None, seed=0):
    """Run trials that train for real, on images that cost nothing to load."""
    stop, recorder = stop or StopRequest(), recorder or Recorder()
    evaluate = TrialEvaluator(run_context(recorder, stop, DATASET, seed=seed))
    return run_tiny(folder, Study(trials=trials, pruner="none", seed=seed), evaluate, space, stop, recorder)


def outcome(study, number=0) -> TrialOutcome:
    return outcome_of(study.trials[number])


def test_a_trial_stores_every_epoch_and_its_best(tmp_path):
    """The database holds the curve, all metrics of each epoch, and the best epoch as the value."""
    recorder = Recorder()
    study = search(tmp_path, recorder=recorder)
    trial = study.trials[0]
    assert sorted(trial.intermediate_values) == [1, 2, 3]
    assert trial.value == max(trial.intermediate_values.values()) == outcome(study).value
    epochs = read_epochs(engine_of(study), trial._trial_id)
    assert [set(metrics) for metrics in epochs] == [{"accuracy", "loss", *METRICS} - {"val_top_5_accuracy"}] * 3
    assert [event.epoch for event in recorder.of(EpochEnded)] == [1, 2, 3]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_values(tmp_path):
    """Two studies of one seed agree trial by trial."""
    studies = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        studies.append(search(tmp_path / name, trials=2, seed=5))
    one, two = ([trial.intermediate_values for trial in study.trials] for study in studies)
    assert one == two


def test_a_loss_that_is_not_finite_prunes_the_trial_with_its_reason(tmp_path):
    """A diverged trial teaches the sampler: it is pruned, not failed, and the search goes on."""
    study = search(tmp_path, replace(SPACE, learning_rate=1e30, optimizer=SGD()), trials=2)
    assert outcome(study).state == PRUNED
    assert "diverged: the loss was not finite in epoch" in outcome(study).reason
    assert progress(study, 2).pruned == 2


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (MemoryError("no memory"), PRUNED, "out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating"), PRUNED, "out of memory"),
        (ValueError("a broken layer"), FAILED, "ValueError: a broken layer"),
    ],
)
def test_what_breaks_a_trial_ends_it_alone(tmp_path, monkeypatch, error, state, reason):
    """Out of memory is told to the sampler as pruned, any other error as failed; both keep their reason."""
    calls = iter(range(9))

    def breaks_once(*arguments, **named):
        if next(calls) == 1:
            raise error
        return train_recipe(*arguments, **named)

    monkeypatch.setattr(evaluate, "train_recipe", breaks_once)
    study = search(tmp_path, trials=3)
    assert [outcome(study, n).state for n in range(3)] == [COMPLETE, state, COMPLETE]
    assert reason in outcome(study, 1).reason


def test_a_recipe_that_cannot_be_built_ends_the_run_only_at_first(tmp_path, monkeypatch):
    """When nothing has worked yet the user is asked to mend it, and no trial is lost; later the trial fails."""

    def unbuildable(*arguments, **named):
        raise ModelError("the weights do not fit")

    monkeypatch.setattr(evaluate, "train_recipe", unbuildable)
    with pytest.raises(ModelError, match="do not fit"):
        search(tmp_path, trials=2)
    monkeypatch.setattr(evaluate, "train_recipe", train_recipe)
    search(tmp_path, trials=1)
    monkeypatch.setattr(evaluate, "train_recipe", unbuildable)
    study = search(tmp_path, trials=2)
    seconds = outcome(study, 1).seconds
    assert outcome(study, 1) == TrialOutcome(
        FAILED, None, None, 0, seconds, "the weights do not fit", trained_on="images"
    )
    assert progress(study, 2).done == 2


def test_an_error_of_the_database_costs_no_trial(tmp_path, monkeypatch):
    """The run ends, and the trial waits for the next one."""

    def locked(*_):
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    monkeypatch.setattr(TrialQueue, "save", locked)
    with pytest.raises(OperationalError):
        search(tmp_path)
    monkeypatch.undo()
    study = search(tmp_path)
    assert outcome(study).state == COMPLETE
    assert len(study.trials) == 1


def test_a_recipe_that_cannot_be_built_does_not_block_a_study_without_complete_trials(tmp_path, monkeypatch):
    """Once a trial has ended, pruned or not, later ones fail alone."""
    calls = iter(range(9))

    def breaks(*arguments, **named):
        number = next(calls)
        if number == 0:
            raise MemoryError
        if number == 1:
            raise ModelError("too deep")
        return train_recipe(*arguments, **named)

    monkeypatch.setattr(evaluate, "train_recipe", breaks)
    study = search(tmp_path, trials=3)
    assert [outcome(study, n).state for n in range(3)] == [PRUNED, FAILED, COMPLETE]


@dataclass
class StopAfter(Recorder):
    """Asks for an end, or lets time run out, after some epochs."""

    stop: StopRequest = field(default_factory=StopRequest)
    epochs: int = 2
    by_signal: bool = True

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == self.epochs:
            if self.by_signal:
                self.stop.request(StopReason.SIGINT)
            else:
                self.stop.deadline = 0.0


def test_an_interrupted_trial_ends_as_an_undisturbed_one(tmp_path):
    """After a signal the trial waits; run again it has the same curve, without gaps or doubles."""
    stopper = StopAfter()
    study = search(tmp_path, stop=stopper.stop, recorder=stopper)
    assert study.trials[0].state == TrialState.WAITING
    assert sorted(study.trials[0].intermediate_values) == [1, 2]
    study = search(tmp_path)
    (tmp_path / "undisturbed").mkdir()
    undisturbed = search(tmp_path / "undisturbed")
    assert study.trials[0].intermediate_values == undisturbed.trials[0].intermediate_values
    assert len(read_epochs(engine_of(study), study.trials[0]._trial_id)) == 3
    assert len(study.trials) == 1


def test_when_time_is_over_the_first_trial_counts_with_what_it_reached(tmp_path):
    """A time limit shorter than one trial still gives a result."""
    stopper = StopAfter(by_signal=False)
    study = search(tmp_path, stop=stopper.stop, recorder=stopper)
    assert outcome(study).state == COMPLETE
    assert outcome(study).epochs == 2
    assert outcome(study).reason == "cut short by the time limit"


def test_when_time_is_over_a_later_trial_counts_if_it_is_the_best(tmp_path, monkeypatch):
    """What the time was spent on is not thrown away: the better model of the two is the result."""
    stop = StopRequest()
    ends = iter([(0.25, result.EndReason.FINISHED), (0.5, result.EndReason.STOPPED)])

    def timed(*arguments, **named):
        value, ended = next(ends)
        trained = train_recipe(*arguments, **named)
        if ended == result.EndReason.STOPPED:
            stop.deadline = 0.0
        return replace(trained, best_value=value, end_reason=ended)

    monkeypatch.setattr(evaluate, "train_recipe", timed)
    study = search(tmp_path, trials=3, stop=stop)
    assert [(outcome(study, n).state, outcome(study, n).value) for n in range(2)] == [(COMPLETE, 0.25), (COMPLETE, 0.5)]
    assert len(study.trials) == 2


def test_when_time_is_over_a_later_trial_that_is_not_the_best_waits(tmp_path):
    """Once there is a better result, a trial that cannot be ended is kept for the next run."""
    stopper = StopAfter(by_signal=False, epochs=4)
    study = search(tmp_path, trials=2, stop=stopper.stop, recorder=stopper)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert stopper.of(TrialEnded)[-1].state == WAITING
