"""Small real stand-ins: a tiny space, a study in a temporary database, and a recorder of what happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from spaces import CNN, Choice, Constant, Digits, Float, Int, Space
from studies import Study
from studies.database.claims import Ledger
from studies.database.create_study import OpenStudy, open_study
from studies.database.study_control import Limits, steer
from studies.database.urls import sqlite_url
from studies.database.workers import Member
from studies.events import EpochEnded, Retraining, StudyOpened, TrialEnded, TrialStarted, Watcher
from studies.outcome import COMPLETE, PRUNED, Outcome, Progress
from studies.stop_request import StopRequest
from studies.trials.claimed_trial import TakenTrial, take
from studies.trials.samplers import laid_down, make_sampler
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
class Recorder(Watcher):
    """Keeps everything that happens."""

    events: list[object] = field(default_factory=list)

    def study_opened(self, event: StudyOpened) -> None:
        self.events.append(event)

    def trial_started(self, event: TrialStarted) -> None:
        self.events.append(event)

    def epoch_ended(self, event: EpochEnded) -> None:
        self.events.append(event)

    def trial_ended(self, event: TrialEnded) -> None:
        self.events.append(event)

    def retraining(self, event: Retraining) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@dataclass
class CurveObjective:
    """An objective without Keras: the value follows from the recipe, and grows with every epoch."""

    calls: list[int] = field(default_factory=list)

    def __call__(self, trial: TakenTrial, recipe: Space, before: Progress) -> Outcome:
        self.calls.append(trial.number)
        value = 0.0
        for epoch in range(1, EPOCHS + 1):
            value = 1.0 - recipe.dropout - abs(recipe.learning_rate - 0.01) - 1 / (epoch + 1)
            trial.report(value, epoch)
            if trial.number and epoch < EPOCHS and trial.should_prune():
                return Outcome(PRUNED, value, epoch, epoch, 0.0, "pruned")
        return Outcome(COMPLETE, value, EPOCHS, EPOCHS, 0.0)


def open_tiny(
    folder: Path, settings: Study, space: Space = TINY, name: str = "tiny", data: Mapping[str, object] = DATA
) -> optuna.Study:
    """The study of that name in the folder's database, created or resumed."""
    return opened_tiny(folder, settings, space, name, data).study


def opened_tiny(
    folder: Path, settings: Study, space: Space = TINY, name: str = "tiny", data: Mapping[str, object] = DATA
) -> OpenStudy:
    """As `open_tiny`, with its database."""
    opened = open_study(sqlite_url(folder / "study.db"), name, space, settings, data)
    steer(opened.database, opened.study_id, Limits(settings.trials))
    return opened


def joined(opened: OpenStudy, settings: Study, space: Space = TINY) -> Ledger:
    """The ledger of a new worker of the study."""
    member = Member(opened.study_id, "fake")
    member.join(opened.database)
    return Ledger(opened.database, member, laid_down(space, settings.sampler, settings.seed))


def taken_from(study: optuna.Study, ledger: Ledger, sampler: str = "random") -> TakenTrial:
    """A trial that a worker has taken."""
    taken = take(study, ledger, lambda number: make_sampler(sampler, number))
    assert isinstance(taken, TakenTrial)
    return taken


def run_tiny(
    folder: Path, settings: Study, evaluate=None, space: Space = TINY, stop: StopRequest | None = None, watcher=None
) -> optuna.Study:
    """Run a study with an objective that costs nothing."""
    opened = opened_tiny(folder, settings, space)
    ledger = joined(opened, settings, space)
    worker = Worker(
        opened.study,
        space,
        settings,
        ledger,
        evaluate or CurveObjective(),
        watcher or Recorder(),
        stop or StopRequest(),
        imports=opened.imports,
    )
    try:
        worker.run()
    finally:
        ledger.member.leave(opened.database)
    return opened.study
