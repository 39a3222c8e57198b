"""The handle of an open study, and the names of the attributes that describe it."""

from dataclasses import dataclass

import optuna

from studies.database.imported import Imports
from studies.database.stored_trials import progress
from studies.database.transactions import Database
from studies.outcome import Progress

SPACE, FINGERPRINT, SETTINGS, DATA = "search:space", "search:fingerprint", "search:settings", "search:data"


@dataclass(frozen=True)
class OpenStudy:
    """A study in its database.

    Args:
        study: Optuna's study, on a `WorkerStorage`.
        url: URL of its database.
        database: Its database, for transactions.
        identity: Identifier that no other study has, whatever its name and id. It is empty if the study was created by
            another program, or is a copy that no worker has opened yet.
        resumed: Whether the study existed before it was opened.
        imports: Trials that other programs have added; None if the study is not opened by a worker.
        notices: Warnings for the user about how it was opened.
    """

    study: optuna.Study
    url: str
    database: Database
    identity: str
    resumed: bool = True
    imports: Imports | None = None
    notices: tuple[str, ...] = ()

    @property
    def created_by_search(self) -> bool:
        """True if search created the study."""
        return bool(self.identity)

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.study.study_name

    @property
    def study_id(self) -> int:
        """Id of the study in the database."""
        return self.study._study_id

    def progress(self, trial_budget: int) -> Progress:
        """Return the progress towards the trial budget; added trials that do not fit the space count as failed."""
        now = progress(self.study, trial_budget)
        if self.imports is not None:
            self.imports.write(self.database)
        return now
