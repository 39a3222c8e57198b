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


@pytest.mark.parametrize("pruner", ["hyperband", "asha", "median", "none"])
def test_pruners_prune_but_not_in_the_last_epoch(tmp_path, pruner):
    """A pruned trial has fewer epochs than a complete one; `none` prunes nothing."""
    study = run_tiny(tmp_path, Study(trials=30, pruner=pruner))
    pruned = [t for t in study.trials if t.state == TrialState.PRUNED]
    assert bool(pruned) == (pruner != "none")
    assert all(len(t.intermediate_values) < EPOCHS for t in pruned)
    assert len(pruned) + progress(study, 30).complete == 30


def test_second_run_adds_exactly_the_missing_trials(tmp_path):
    """5 trials, then 12 in total: the second run evaluates 7, the same ones as a single run of 12; a third one none."""
    run_tiny(tmp_path, Study(trials=5))
    second, third = CurveObjective(), CurveObjective()
    study = run_tiny(tmp_path, Study(trials=12), second)
    (tmp_path / "one").mkdir()
    undisturbed = run_tiny(tmp_path / "one", Study(trials=12))
    assert second.calls == list(range(5, 12))
    assert [t.params for t in study.trials] == [t.params for t in undisturbed.trials]
    run_tiny(tmp_path, Study(trials=12), third)
    assert third.calls == []


def with_ends(ends):
    """Return an objective by which some trials end otherwise, or raise an error."""

    def evaluate(trial, recipe, before):
        end = ends.get(trial.number)
        if isinstance(end, Exception):
            raise end
        return end or CurveObjective()(trial, recipe, before)

    return evaluate


def test_trial_of_killed_worker_is_retried_with_its_parameters(tmp_path):
    """A crash loses no trial and duplicates none."""
    opened = opened_tiny(tmp_path, Study(trials=6))
    queue = joined(opened, Study(trials=6))
    killed = claim_trial(opened.study, queue)
    killed.trial.suggest_int("backbone.filters", 2, 8, step=2)
    killed.report(0.1, 1)
    killed.write()
    queue.worker.deregister(opened.database)
    study = run_tiny(tmp_path, Study(trials=6), with_ends({0: TrialOutcome("complete", 0.5, 1, 1, 0.0)}))
    assert [(t.number, t.state.is_finished()) for t in study.trials] == [(number, True) for number in range(6)]
    assert study.trials[0].params == baseline(TINY)


def test_error_that_ends_the_run_requeues_its_trial(tmp_path):
    """An error that the user can fix costs no trial."""
    with pytest.raises(ModelError):
        run_tiny(tmp_path, Study(trials=3), with_ends({0: ModelError("weights are absent")}))
    study = run_tiny(tmp_path, Study(trials=3))
    assert [t.state.is_finished() for t in study.trials] == [True] * 3


def test_interrupted_trial_is_resumed_first(tmp_path):
    """After a signal no further trial starts; the next run claims the waiting one first, if the limit needs another."""
    stop, recorder = StopRequest(), Recorder()

    def interrupted(trial, recipe, before):
        if trial.number < 3:
            return CurveObjective()(trial, recipe, before)
        stop.request(StopReason.SIGINT)
        return TrialOutcome(WAITING, None, None, 0, 0.0, StopReason.SIGINT)

    study = run_tiny(tmp_path, Study(trials=5), interrupted, stop=stop, listener=recorder)
    params = study.trials[3].params
    assert recorder.of(TrialEnded)[-1].outcome.state == WAITING
    again = CurveObjective()
    run_tiny(tmp_path, Study(trials=2), again)
    assert again.calls == []
    study = run_tiny(tmp_path, Study(trials=5), again)
    assert again.calls == [3, 4]
    assert study.trials[3].params == params


def test_no_trial_starts_after_the_deadline(tmp_path):
    """A limit that is reached before a trial prevents it."""
    calls = CurveObjective()
    run_tiny(tmp_path, Study(trials=5), calls, stop=StopRequest(deadline=1.0, clock=lambda: 2.0))
    assert calls.calls == []


FAILURE = TrialOutcome(FAILED, None, None, 0, 0.0, "ValueError: broken")


def test_failed_trial_counts_and_keeps_its_reason(tmp_path):
    """The database stores why it failed."""
    study = run_tiny(tmp_path, Study(trials=4), with_ends({1: FAILURE}))
    assert (progress(study, 4).failed, len(study.trials)) == (1, 4)
    assert study.trials[1].user_attrs["search:outcome"]["reason"] == FAILURE.reason


def test_search_ends_early_if_its_first_trials_all_fail(tmp_path):
    """After five failures the reason is shown, and no further trial is wasted."""
    with pytest.raises(NoResultError, match=FAILURE.reason):
        run_tiny(tmp_path, Study(trials=50), with_ends(dict.fromkeys(range(5), FAILURE)))


def test_lower_loss_decides_between_equal_trials(tmp_path):
    """Equal accuracies are common with few validation images; then the loss decides, then the number."""
    losses = enumerate([0.75, 0.75, 0.25, 0.25, 0.75])
    ends = {number: TrialOutcome("complete", 0.5, 1, 1, 0.0, loss=loss) for number, loss in losses}
    assert progress(run_tiny(tmp_path, Study(trials=5), with_ends(ends)), 5).best.number == 2


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
