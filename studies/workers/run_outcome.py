"""What came of a search, before its best trial is exported."""

import time
from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from spaces.errors import NoResultError
from spaces.space import Space
from spaces.training import METRICS
from studies.outcome import Progress, RunResult
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.trials.repeats import is_exhausted
from studies.trials.time_budget import too_short

MOST_SECONDS, SHARE, SECONDS_BETWEEN_LOOKS = 5.0, 0.2, 0.2


def wait_for_others(study: optuna.Study, stop: StopRequest, wait: Callable[[float], None] = time.sleep) -> None:
    """Under a time limit, wait a little for the trials of the other workers, one of which may be the best.

    Args:
        study: The study.
        stop: Says how much time is left.
        wait: Waits so many seconds.
    """
    until = stop.clock() + min(MOST_SECONDS, SHARE * stop.seconds_left)
    while stop.deadline is not None and not stop.requested and stop.clock() < until:
        if not study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            return
        wait(SECONDS_BETWEEN_LOOKS)


def outcome(
    name: str, space: Space, settings: Study, now: Progress, before: Progress, stop: StopRequest, *, needs_best: bool
) -> RunResult:
    """The result of a search without an export.

    Args:
        name: Name of the study.
        space: What was searched.
        settings: How.
        now: How far the study is.
        before: How far it was before this run.
        stop: Why the search ended, if not by itself.
        needs_best: Whether a search without a complete trial is an error.

    Raises:
        NoResultError: No trial is complete.
    """
    if now.best is None and not stop.requested and needs_best:
        if now.done < now.trials:
            raise NoResultError(too_short(settings.timeout, "before one trial was complete"))
        ended = f"{now.pruned} pruned, {now.failed} failed"
        raise NoResultError(f"the search ended without one complete trial ({ended}): see search trials {name}")
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
