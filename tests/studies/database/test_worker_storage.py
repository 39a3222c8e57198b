"""Samplers and pruners see the trials of other workers as in Optuna."""

import optuna
import pytest
from optuna.trial import TrialState

from studies.database.worker_storage import WorkerStorage
from studies.outcome import TrialOutcome
from studies.settings import Study
from studies.trials.claimed_trial import claim_next_trial
from tests.support.fakes import joined


@pytest.fixture
def worker(open_worker):
    """Create a worker that claims the next trial with a sampler and a pruner."""

    def new(sampler=None, pruner=None):
        opened = open_worker(50)
        opened.study.pruner = pruner or optuna.pruners.NopPruner()
        queue = joined(opened, Study())
        return lambda: claim_next_trial(
            opened.study, queue, lambda number: sampler or optuna.samplers.RandomSampler(seed=number)
        )

    return new


def test_parameters_of_running_trials_are_visible(worker):
    """TPE's constant liar needs them."""
    mine, others = worker()(), worker()
    mine.trial.suggest_float("dropout", 0.0, 0.5)
    mine.write()
    seen = others().trial.study.get_trials(deepcopy=False)
    assert [(trial.state.name, [*trial.params]) for trial in seen] == [("RUNNING", ["dropout"]), ("RUNNING", [])]


def test_reports_of_others_are_read_once_per_step(worker):
    """They become visible with the next report."""
    mine, other = worker()(), worker()()
    mine.report(0.5, 1)
    assert not mine.trial.should_prune()
    other.report(0.25, 1)
    other.write()
    mine.report(0.5, 2)
    seen = {trial.number: trial.intermediate_values for trial in mine.trial.study.get_trials(deepcopy=False)}
    assert seen == {0: {1: 0.5, 2: 0.5}, 1: {1: 0.25}}


@pytest.mark.slow
@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9, reduction_factor=3),
    ],
)
def test_pruners_decide_as_in_optuna(worker, open_plainly, pruner):
    """Equal reports lead to the same pruned steps."""
    plain = optuna.create_study(study_name="tiny", direction="maximize", pruner=pruner)
    ours, theirs = [], []
    take_next = worker(pruner=pruner)
    for number in range(10):
        taken, trial = take_next(), plain.ask()
        for step in range(1, 9):
            value = ((number * 7) % 10) / 10 + step / 100
            taken.report(value, step)
            trial.report(value, step)
            ours.append(taken.trial.should_prune())
            theirs.append(trial.should_prune())
            taken.write()
            if ours[-1] or theirs[-1]:
                break
        taken.end(TrialOutcome("pruned" if ours[-1] else "complete", value, step, step, 0.0))
        plain.tell(trial, None if theirs[-1] else value, state=TrialState.PRUNED if theirs[-1] else None)
    assert any(ours)
    assert (ours, [t.state for t in open_plainly().trials]) == (theirs, [t.state for t in plain.trials])


def test_sampler_suggests_as_in_optuna(worker):
    """TPE suggests the same parameters, past its random start."""
    plain = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    take_next = worker(optuna.samplers.TPESampler(seed=0))
    for _ in range(15):
        taken, trial = take_next(), plain.ask()
        found = [each.suggest_float("x", 0.0, 1.0) - each.suggest_int("n", 1, 9) for each in (taken.trial, trial)]
        assert found[0] == found[1]
        taken.write()
        taken.end(TrialOutcome("complete", found[0], 1, 1, 0.0))
        plain.tell(trial, found[1])


def test_distribution_is_fixed_across_workers(worker):
    """Incompatible distributions are refused, as in Optuna's storage."""
    mine, other = worker()(), worker()
    mine.trial.suggest_categorical("kind", ("a", "b"))
    mine.write()
    with pytest.raises(ValueError, match="dynamic value space"):
        other().trial.suggest_categorical("kind", ("a", "c"))


def test_trial_ends_only_through_claim(worker):
    """`study.tell` is refused."""
    taken = worker()()
    with pytest.raises(RuntimeError, match="claim"):
        taken.trial.study.tell(taken.trial, 1.0)
    assert isinstance(taken.trial.study._storage, WorkerStorage)
