"""The loop of a worker: exactly the trials of the study, whatever happens in between."""

import pytest
from optuna.trial import TrialState

from spaces import baseline
from spaces.errors import ModelError, NoResultError
from studies import Study
from studies.database.claims import ClaimLostError, TrialQueue
from studies.database.lost_workers import end_worker
from studies.database.stored_trials import progress
from studies.database.workers import WorkerRegistration
from studies.events import TrialEnded
from studies.outcome import FAILED, WAITING, TrialOutcome
from studies.stop_request import StopReason, StopRequest
from tests.support.fakes import EPOCHS, TINY, CurveObjective, Recorder, claim_trial, joined, opened_tiny, run_tiny


def test_trial_zero_is_the_baseline_and_never_pruned(tmp_path):
    """The first trial has every default, so that the gain is known."""
    study = run_tiny(tmp_path, Study(trials=12))
    assert study.trials[0].params == baseline(TINY)
    assert study.trials[0].state == TrialState.COMPLETE


@pytest.mark.parametrize("pruner", ["hyperband", "asha", "median"])
def test_pruners_prune_but_not_in_the_last_epoch(tmp_path, pruner):
    """A pruned trial has fewer epochs than a complete one."""
    study = run_tiny(tmp_path, Study(trials=30, pruner=pruner))
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert pruned
    assert all(len(t.intermediate_values) < EPOCHS for t in pruned)


def test_without_a_pruner_every_trial_is_complete(tmp_path):
    """`none` prunes nothing."""
    assert progress(run_tiny(tmp_path, Study(trials=12, pruner="none")), 12).complete == 12


def test_second_run_adds_exactly_the_missing_trials(tmp_path):
    """5 trials, then 12 in total: the second run evaluates 7, the same ones as a single run of 12."""
    run_tiny(tmp_path, Study(trials=5))
    again = CurveObjective()
    study = run_tiny(tmp_path, Study(trials=12), again)
    (tmp_path / "one").mkdir()
    undisturbed = run_tiny(tmp_path / "one", Study(trials=12))
    assert again.calls == list(range(5, 12))
    assert [t.params for t in study.trials] == [t.params for t in undisturbed.trials]


def test_finished_study_evaluates_nothing(tmp_path):
    """The same command finds nothing left to do."""
    run_tiny(tmp_path, Study(trials=3))
    again = CurveObjective()
    run_tiny(tmp_path, Study(trials=3), again)
    assert again.calls == []


class Killed(BaseException):
    """The process was killed."""


def test_trial_of_killed_worker_is_retried_with_its_parameters(tmp_path):
    """A crash loses no trial and duplicates none."""
    opened = opened_tiny(tmp_path, Study(trials=6))
    queue = joined(opened, Study(trials=6))
    killed = claim_trial(opened.study, queue)
    killed.trial.suggest_int("backbone.filters", 2, 8, step=2)
    killed.report(0.1, 1)
    killed.write()
    queue.worker.deregister(opened.database)
    calls = CurveObjective(), CurveObjective()

    def evaluate(trial, recipe, before):
        if trial.number == 0 and len(calls[0].calls) == 0:
            calls[0].calls.append(0)
            return TrialOutcome("complete", 0.5, 1, 1, 0.0)
        return calls[1](trial, recipe, before)

    study = run_tiny(tmp_path, Study(trials=6), evaluate)
    assert [t.number for t in study.trials] == list(range(6))
    assert all(t.state.is_finished() for t in study.trials)
    assert study.trials[0].params == baseline(TINY)


def test_error_that_ends_the_run_requeues_its_trial(tmp_path):
    """An error that the user can fix costs no trial."""

    def broken(trial, recipe, before):
        raise ModelError("weights are absent")

    with pytest.raises(ModelError):
        run_tiny(tmp_path, Study(trials=3), broken)
    study = run_tiny(tmp_path, Study(trials=3))
    assert [t.state.is_finished() for t in study.trials] == [True] * 3


def run_interrupted(folder, number, recorder=None):
    """Run a study of 5 trials that a signal interrupts in one of them."""
    stop = StopRequest()

    def interrupted(trial, recipe, before):
        if trial.number == number:
            stop.request(StopReason.SIGINT)
            return TrialOutcome(WAITING, None, None, 0, 0.0, StopReason.SIGINT)
        return CurveObjective()(trial, recipe, before)

    return run_tiny(folder, Study(trials=5), interrupted, stop=stop, listener=recorder)


def test_interrupted_trial_is_resumed_first(tmp_path):
    """After a signal no further trial starts, and the next run claims the waiting one first."""
    recorder = Recorder()
    study = run_interrupted(tmp_path, 2, recorder)
    params = study.trials[2].params
    assert [event.outcome.state for event in recorder.of(TrialEnded)][-1] == WAITING
    again = CurveObjective()
    study = run_tiny(tmp_path, Study(trials=5), again)
    assert again.calls == [2, 3, 4]
    assert study.trials[2].params == params


def test_no_trial_starts_after_the_deadline(tmp_path):
    """A limit that is reached before a trial prevents it."""
    calls = CurveObjective()
    run_tiny(tmp_path, Study(trials=5), calls, stop=StopRequest(deadline=1.0, clock=lambda: 2.0))
    assert calls.calls == []


def test_budget_below_the_ended_trials_evaluates_nothing(tmp_path):
    """A waiting trial is not claimed if enough trials have ended."""
    run_interrupted(tmp_path, 3)
    again = CurveObjective()
    run_tiny(tmp_path, Study(trials=2), again)
    assert again.calls == []


def test_failed_trial_counts_and_keeps_its_reason(tmp_path):
    """The database stores why it failed."""

    def sometimes(trial, recipe, before):
        if trial.number == 1:
            return TrialOutcome(FAILED, None, None, 0, 0.0, "ValueError: no")
        return CurveObjective()(trial, recipe, before)

    study = run_tiny(tmp_path, Study(trials=4), sometimes)
    assert progress(study, 4).failed == 1
    assert study.trials[1].user_attrs["search:outcome"]["reason"] == "ValueError: no"
    assert len(study.trials) == 4


def test_search_ends_early_if_its_first_trials_all_fail(tmp_path):
    """After five failures the reason is shown, and no further trial is wasted."""
    with pytest.raises(NoResultError, match="ValueError: broken"):
        run_tiny(tmp_path, Study(trials=50), lambda *_: TrialOutcome(FAILED, None, None, 0, 0.0, "ValueError: broken"))


def test_lower_loss_decides_between_equal_trials(tmp_path):
    """Equal accuracies are common with few validation images; then the loss decides, then the number."""

    def equal(trial, recipe, before):
        return TrialOutcome("complete", 0.5, 1, 1, 0.0, loss=0.25 if trial.number in (2, 3) else 0.75)

    assert progress(run_tiny(tmp_path, Study(trials=5), equal), 5).best.number == 2


@pytest.mark.slow
def test_trial_of_lost_worker_is_resumed(tmp_path):
    """Missing heartbeats are enough, and the trial keeps its number and parameters."""
    settings = Study(trials=3, heartbeat_seconds=0.1, lost_after_seconds=0.5)
    opened = opened_tiny(tmp_path, settings)
    lost = WorkerRegistration(opened.study_id, "fake", lost_after_seconds=0.5)
    lost.register(opened.database)
    claimed = claim_trial(opened.study, TrialQueue(opened.database, lost))
    filters = claimed.trial.suggest_int("backbone.filters", 2, 8, step=2)
    claimed.write()
    calls = CurveObjective()
    study = run_tiny(tmp_path, settings, calls)
    assert sorted(calls.calls) == [0, 1, 2]
    assert study.trials[0].params["backbone.filters"] == filters
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    with pytest.raises(ClaimLostError, match="lost the claim"):
        claimed.end(TrialOutcome("complete", 0.1, 1, 1, 0.0))


def test_worker_that_lost_its_claim_continues_with_another_trial(tmp_path):
    """Its result is dropped, so that the trial counts once."""
    opened = opened_tiny(tmp_path, Study(trials=3))

    def loses_claim(trial, recipe, before):
        if trial.number == 1 and trial.claim.attempt == 1:
            opened.database.run(lambda connection: end_worker(connection, trial.queue.worker.worker_id, "lost"))
            trial.storage.record_epoch(1, {"loss": 1.0})
            assert not trial.write()
            raise trial.claim_lost
        return CurveObjective()(trial, recipe, before)

    recorder = Recorder()
    study = run_tiny(tmp_path, Study(trials=3), loses_claim, listener=recorder)
    ended = [(event.number, event.outcome.state) for event in recorder.of(TrialEnded)]
    assert ended == [(0, "complete"), (1, "waiting"), (1, "complete"), (2, "complete")]
    assert "lost the claim on trial 1" in recorder.of(TrialEnded)[1].outcome.reason
    assert len(study.trials) == 3
