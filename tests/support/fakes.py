"""Small real fakes: a tiny space, a study in a temporary database, and a recorder of events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import sqlalchemy as sa

from spaces import CNN, Choice, Constant, Digits, Float, Int, Space
from spaces.loading import LoadedSpace
from studies import Study
from studies.database.claims import TrialQueue
from studies.database.connection import open_storage
from studies.database.create_study import create_study
from studies.database.lost_workers import end_worker
from studies.database.open_study import OpenStudy
from studies.database.study_control import Limits, set_limits
from studies.database.tables import WORKERS
from studies.database.transactions import database_seconds
from studies.database.urls import sqlite_url
from studies.database.workers import WorkerActivity, WorkerRegistration, send_heartbeat
from studies.events import RunListener
from studies.features.inputs import FeatureInputs
from studies.outcome import COMPLETE, LOST, PRUNED, Progress, RunResult, TrialOutcome
from studies.run import run
from studies.stop_request import StopRequest
from studies.trials.claimed_trial import ClaimedTrial, claim_next_trial
from studies.trials.run_context import RunContext
from studies.trials.samplers import initial_assignments, make_sampler
from studies.workers.worker import Worker

EPOCHS = 9
DATA = {"classes": ["a", "b"], "images": [80, 20, 20], "digest": "0"}
TINY = Space(
    data=Digits(),
    backbone=CNN(filters=Int(2, 8, step=2), blocks=1, batch_norm=False),
    augment=None,
    dropout=Float(0.0, 0.5, default=0.1),
    learning_rate=Float(1e-3, 1e-1, log=True),
    batch_size=Choice(64, 128),
    schedule=Constant(),
    epochs=EPOCHS,
)


@dataclass
class Recorder(RunListener):
    """Records all events."""

    events: list[object] = field(default_factory=list)

    def on_study_opened(self, event: object) -> None:
        self.events.append(event)

    on_trial_started = on_epoch_ended = on_trial_ended = on_retraining = on_study_opened

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class CurveObjective:
    """An objective without Keras: the value follows from the recipe, and grows with every epoch."""

    calls: list[int] = field(default_factory=list)

    def __call__(self, trial: ClaimedTrial, recipe: Space, before: Progress) -> TrialOutcome:
        self.calls.append(trial.number)
        value = 0.0
        for epoch in range(1, EPOCHS + 1):
            value = 1.0 - recipe.dropout - abs(recipe.learning_rate - 0.01) - 1 / (epoch + 1)
            trial.report(value, epoch)
            if trial.number and epoch < EPOCHS and trial.trial.should_prune():
                return TrialOutcome(PRUNED, value, epoch, epoch, 0.0, "pruned")
        return TrialOutcome(COMPLETE, value, EPOCHS, EPOCHS, 0.0)


def opened_tiny(
    folder: Path, settings: Study, space: Space = TINY, name: str = "tiny", data: Mapping[str, object] = DATA
) -> OpenStudy:
    """Create or resume a study, and return it with its database."""
    opened = create_study(sqlite_url(folder / "study.db"), name, space, settings, data)
    set_limits(opened.database, opened.study_id, Limits(settings.trials))
    return opened


def load_plainly(folder: Path) -> optuna.Study:
    """The study `tiny` of a folder, as Optuna alone loads it."""
    return optuna.load_study(study_name="tiny", storage=open_storage(sqlite_url(folder / "study.db")))


def joined(opened: OpenStudy, settings: Study, space: Space = TINY) -> TrialQueue:
    """Register a worker of the study and return its queue."""
    member = WorkerRegistration(opened.study_id, "fake")
    member.register(opened.database)
    return TrialQueue(
        opened.database, member, initial_assignments(space, settings.sampler, settings.seed, settings.first)
    )


def beat(opened: OpenStudy, queue: TrialQueue, activity: WorkerActivity | None = None, **options) -> sa.Row:
    """Send a heartbeat of a worker; returns what the database answers."""
    activity = activity or WorkerActivity()
    return opened.database.run(lambda connection: send_heartbeat(connection, queue.worker, activity, **options))


def silence(opened: OpenStudy, *queues: TrialQueue, seconds: float = 11.0) -> None:
    """Set the last heartbeat of workers to some seconds ago."""
    these = WORKERS.c.worker_id.in_([queue.worker.worker_id for queue in queues])
    change(opened, sa.update(WORKERS).where(these).values(heartbeat_at=database_seconds() - seconds))


def lose(opened: OpenStudy, queue: TrialQueue) -> None:
    """Mark a worker as lost."""
    opened.database.run(lambda connection: end_worker(connection, queue.worker.worker_id, LOST))


def change(opened: OpenStudy, statement: sa.Executable) -> None:
    """Change rows of a study's database."""
    opened.database.run(lambda connection: connection.execute(statement))


def claim_trial(study: optuna.Study, queue: TrialQueue, sampler: str = "random") -> ClaimedTrial:
    """Claim a trial for a worker."""
    trial = claim_next_trial(study, queue, lambda number: make_sampler(sampler, number))
    assert isinstance(trial, ClaimedTrial)
    return trial


def run_context(
    listener: RunListener | None = None, stop: StopRequest | None = None, dataset=None, folder: Path = Path(), **more
) -> RunContext:
    """Return the context of a run on a data set in memory."""
    more = {"seed": 0, "features": FeatureInputs(folder)} | more
    return RunContext(
        folder, listener=listener or Recorder(), stop=stop or StopRequest(), datasets=lambda recipe: dataset, **more
    )


def run_space(
    output: Path, space: Space, settings: Study, listener=None, stop=None, *, name="tiny", export=True, **more
) -> tuple[RunResult, Recorder]:
    """Run a study as `search run` does; returns its result and its listener."""
    listener = listener or Recorder()
    options = {"output": output, "export": export, "listener": listener, "stop": stop or StopRequest(), **more}
    return run(LoadedSpace(name, space, None, Path()), settings, **options), listener


def run_tiny(
    folder: Path, settings: Study, evaluate=None, space: Space = TINY, stop: StopRequest | None = None, listener=None
) -> optuna.Study:
    """Run a study with an objective that costs nothing."""
    opened = opened_tiny(folder, settings, space)
    queue = joined(opened, settings, space)
    worker = Worker(opened, space, settings, queue, evaluate or CurveObjective(), run_context(listener, stop))
    try:
        worker.run()
    finally:
        queue.worker.deregister(opened.database)
    return opened.study
