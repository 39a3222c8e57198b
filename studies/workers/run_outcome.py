"""The result of a search, before its best trial is exported."""

import time
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import TrialState

from spaces.errors import NoResultError
from spaces.space import Space
from spaces.training import METRICS
from studies.outcome import Progress, RunResult
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.trials.repeats import is_exhausted
from studies.trials.run_time_budget import time_limit_message

MAX_WAIT_SECONDS, MAX_WAIT_FRACTION, POLL_SECONDS = 5.0, 0.2, 0.2


def wait_for_others(study: optuna.Study, stop: StopRequest, wait: Callable[[float], None] = time.sleep) -> None:
    """Under a time limit, wait a little for the trials of other workers, one of which may be the best."""
    until = stop.clock() + min(MAX_WAIT_SECONDS, MAX_WAIT_FRACTION * stop.seconds_left)
    while stop.deadline is not None and not stop.requested and stop.clock() < until:
        if not study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            return
        wait(POLL_SECONDS)


def outcome(
    name: str, space: Space, settings: Study, now: Progress, before: Progress, stop: StopRequest, *, needs_best: bool
) -> RunResult:
    """Return the result of a search without an export.

    Args:
        name: Name of the study.
        space: Its space.
        settings: How it was searched.
        now: Progress of the study.
        before: Progress before this run.
        stop: Why the search stopped early, if it did.
        needs_best: Raise an error if no trial is complete.

    Raises:
        NoResultError: No trial is complete.
    """
    if now.best is None and not stop.requested and needs_best:
        raise no_result_error(name, settings.timeout, now, is_cut_short=now.done < now.trials)
    return RunResult(
        study=name,
        metric=space.metric,
        direction=METRICS[space.metric],
        progress=now,
        metrics=None,
        export=None,
        interrupted=stop.requested_by,
        timed_out=now.done < now.trials and not stop.requested,
        already_finished=before.done >= now.trials,
        is_exhausted=is_exhausted(space, now),
    )


def no_result_error(name: str, timeout: Any, now: Progress, *, is_cut_short: bool) -> NoResultError:
    """Return the error of a search without a complete trial.

    A limit was reached before all trials had ended if it `is_cut_short`; the time limit is in seconds, or None.
    """
    if is_cut_short:
        return NoResultError(time_limit_message(timeout, "before any trial completed"))
    ended = f"{now.pruned} pruned, {now.failed} failed"
    return NoResultError(f"no trial completed ({ended})\nhint: see `search trials {name}`")
