"""Optuna's view of a study inside one worker: finished trials are read once, its own trial is kept in memory."""

import copy
import threading
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from studies.database.distributions import Agreement
from studies.database.optuna_tables import read_trials
from studies.database.transactions import Database
from studies.database.trial_writes import Claim, PendingWrites


def _delegated(name: str, *, retries: bool = True) -> Any:
    """Return a method that calls that of Optuna's storage, again while the database is unreachable if it `retries`."""

    def method(storage: "WorkerStorage", *args: Any, **named: Any) -> Any:
        call = partial(getattr(storage._backend, name), *args, **named)
        return storage._database.retry(call) if retries else call()

    return method


class WorkerStorage(BaseStorage):
    """Reads all trials of one study, and collects the changes of the claimed trial.

    It writes only attributes of the study. `pop_changes` returns the changes of the trial, which are written under its
    claim. Optuna's checks of distributions and states stay in force, since its samplers and pruners see the trial in
    memory.

    Args:
        backend: Optuna's storage of the same database, for the study itself.
        database: The database.
        study_id: The study.
        convert: Maps each trial that is read, since other programs may have added it with other distributions.
        convert_claimed: Maps a trial at its first claim.
    """

    def __init__(
        self,
        backend: optuna.storages.RDBStorage,
        database: Database,
        study_id: int,
        convert: Callable[[FrozenTrial], FrozenTrial] = lambda trial: trial,
        convert_claimed: Callable[[FrozenTrial], FrozenTrial] = lambda trial: trial,
    ) -> None:
        self._backend, self._database, self._study_id = backend, database, study_id
        self._convert, self._convert_claimed = convert, convert_claimed
        self._known: dict[int, FrozenTrial] = {}
        self._agreement = Agreement()
        self._unfinished: set[int] = set()
        self._newest = -1
        self._is_fresh = False
        self._own: FrozenTrial | None = None
        self._changes = PendingWrites()
        self._lock = threading.RLock()

    def attach_claim(self, claim: Claim) -> None:
        """Start recording changes of a claimed trial."""
        with self._lock:
            self._own, self._is_fresh = None, False
            self._unfinished.add(claim.trial_id)
            self._refresh()
            own = self._known[claim.trial_id]
            self._own = copy.deepcopy(self._convert_claimed(own) if claim.attempt == 1 else own)
            self._changes = PendingWrites()

    def pop_changes(self) -> PendingWrites:
        """Return the changes of the claimed trial since the last call."""
        with self._lock:
            changes, self._changes = self._changes, PendingWrites()
            return changes

    def record_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of an epoch of the claimed trial, counted from 1."""
        with self._lock:
            self._changes.epochs[epoch] = metrics

    def forget_params(self, *attributes: str) -> None:
        """Remove the unwritten parameters of the claimed trial, and some of its attributes."""
        with self._lock:
            if self._own is not None:
                kept = {key: value for key, value in self._own.user_attrs.items() if key not in attributes}
                self._own.params, self._own.distributions, self._own.user_attrs = {}, {}, kept
            self._changes.params.clear()
            for key in attributes:
                self._changes.user_attrs.pop(key, None)

    def refresh_later(self) -> None:
        """Read the trials again at the next access."""
        with self._lock:
            self._is_fresh = False

    def detach_trial(self) -> None:
        """Stop recording: the claimed trial is finished or released."""
        with self._lock:
            self._own, self._is_fresh = None, False

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return all trials by number, the claimed one as it is in memory."""
        with self._lock:
            self._refresh_once()
            # A copy: a pruner adds the value that it is about to write to the trial that it has read.
            own = {self._own._trial_id: copy.copy(self._own)} if self._own else {}
            trials = self._agreement.of(sorted((self._known | own).values(), key=lambda trial: trial.number))
        chosen = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return one trial; the claimed one may change later."""
        with self._lock:
            if self._own is not None and self._own._trial_id == trial_id:
                return copy.copy(self._own)
            if trial_id not in self._known or trial_id in self._unfinished:
                self._refresh_once()
            return self._known[trial_id]

    def _refresh_once(self) -> None:
        """Read the trials again: once between two steps of the claimed trial, always between trials."""
        if self._own is None or not self._is_fresh:
            self._refresh()

    def _refresh(self) -> None:
        # The claimed trial is in memory.
        others = self._unfinished - ({self._own._trial_id} if self._own else set())
        found = self._database.read(
            lambda connection: read_trials(connection, self._study_id, after=self._newest, among=others)
        )
        self._is_fresh = True
        for trial in found:
            self._known[trial._trial_id] = self._convert(trial)
            (self._unfinished.discard if trial.state.is_finished() else self._unfinished.add)(trial._trial_id)
            self._newest = max(self._newest, trial._trial_id)
        self._agreement.note([self._known[trial._trial_id] for trial in found], self._known.values())

    def _mine(self, trial_id: int) -> FrozenTrial:
        if self._own is None or self._own._trial_id != trial_id:
            raise optuna.exceptions.UpdateFinishedTrialError(f"trial {trial_id} is not claimed by this worker")
        return self._own

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Record a parameter of the claimed trial, if its distribution is compatible with the other trials."""
        with self._lock:
            own = self._mine(trial_id)
            if (before := self._agreement.distribution(param_name)) is not None:
                optuna.distributions.check_distribution_compatibility(before, distribution)
            own.params = {**own.params, param_name: distribution.to_external_repr(param_value_internal)}
            own.distributions = {**own.distributions, param_name: distribution}
            self._changes.params[param_name] = (param_value_internal, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Record a reported value of the claimed trial."""
        with self._lock:
            own = self._mine(trial_id)
            self._is_fresh = False
            own.intermediate_values = {**own.intermediate_values, step: intermediate_value}
            self._changes.steps[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Record an attribute of the claimed trial."""
        with self._lock:
            own = self._mine(trial_id)
            own.user_attrs = {**own.user_attrs, key: value}
            self._changes.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Record an attribute of the claimed trial."""
        with self._lock:
            own = self._mine(trial_id)
            own.system_attrs = {**own.system_attrs, key: value}
            self._changes.system_attrs[key] = value

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Refuse: a trial ends through its claim."""
        raise RuntimeError("a trial of this study is ended through its claim, not by study.tell")

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create an unclaimed trial, such as an enqueued one."""
        return self._database.retry(lambda: self._backend.create_new_trial(study_id, template_trial))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions; they never change."""
        if not hasattr(self, "_directions"):
            self._directions = self._database.retry(lambda: self._backend.get_study_directions(study_id))
        return self._directions

    create_new_study = _delegated("create_new_study", retries=False)
    delete_study = _delegated("delete_study", retries=False)
    set_study_user_attr = _delegated("set_study_user_attr")
    set_study_system_attr = _delegated("set_study_system_attr")
    get_study_id_from_name = _delegated("get_study_id_from_name")
    get_study_name_from_id = _delegated("get_study_name_from_id")
    get_study_user_attrs = _delegated("get_study_user_attrs")
    get_study_system_attrs = _delegated("get_study_system_attrs")
    get_all_studies = _delegated("get_all_studies")
