"""The workers of a study: who is alive, what each one does, and whom to give up for lost."""

import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.identities import is_of_trial, require
from studies.database.losses import let_wait
from studies.database.reading import TRIALS
from studies.database.tables import CLAIMS, STUDIES, WORKERS
from studies.database.transactions import Database, database_seconds

ALIVE, ENDED, LOST = "alive", "ended", "lost"
ENDING = "ending, as it was told to"
"""What a worker does that may be killed before it is done: it is not lost by its trial."""

HEARTBEAT_SECONDS, LOST_AFTER_SECONDS = 2.0, 10.0


@dataclass
class Activity:
    """What a worker is doing now; its training changes it, its heartbeat stores it.

    Args:
        doing: In words.
        trial: Number of the trial, or None.
        epoch: Epochs of it that have ended.
        epochs: Most epochs of it.
        value: Its metric after the last epoch.
        workers_alive: How many workers share the study, as the last heartbeat found.
    """

    doing: str = "starting"
    trial: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    value: float | None = None
    workers_alive: int = 1

    def columns(self) -> dict[str, Any]:
        """For the table of workers; a value that is not finite is left out."""
        value = self.value if self.value is not None and abs(self.value) < float("inf") else None
        return {
            "doing": self.doing[:200],
            "trial": self.trial,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "value": value,
        }


@dataclass(frozen=True)
class Member:
    """This process as a worker of a study.

    Args:
        study_id: The study in the database.
        device: What it trains on, in words.
        device_share: Its part of that device: 0.5 where two workers share a GPU.
        lost_after_seconds: Silence after which others give it up for lost.
        log: Its log file, or None.
        worker_id: Unique over all machines.
        identity: Identity of the study; None to join whatever study has that id.
    """

    study_id: int
    device: str
    device_share: float = 1.0
    lost_after_seconds: float = LOST_AFTER_SECONDS
    log: str | None = None
    worker_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    identity: str | None = None

    def join(self, database: Database) -> None:
        """Enter the study's workers.

        Raises:
            StudyDeleted: The study is gone.
        """

        def enter(connection: sa.Connection) -> None:
            identity = require(connection, self.study_id, self.identity)
            if connection.scalar(sa.select(WORKERS.c.pid).where(WORKERS.c.worker_id == self.worker_id)) is None:
                connection.execute(sa.insert(WORKERS).values(identity=identity, **self._columns()))

        database.run(enter)

    def _columns(self) -> dict[str, Any]:
        return {
            "worker_id": self.worker_id,
            "study_id": self.study_id,
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "device": self.device[:255],
            "device_share": self.device_share,
            "started_at": database_seconds(),
            "heartbeat_at": database_seconds(),
            "lost_after": self.lost_after_seconds,
            "state": ALIVE,
            "log": self.log,
            **Activity().columns(),
        }

    def leave(self, database: Database) -> None:
        """Leave the study's workers; a trial that was not handed back waits for another worker."""
        database.run(lambda connection: retire(connection, self.worker_id, ENDED))


def beat(connection: sa.Connection, member: Member, activity: Activity, *, is_ending: bool = False) -> Any:
    """Say that a worker lives, give up others for lost, and read how the study is steered.

    Returns:
        The study's row, with the database's `now`, what its workers have `used` of their devices in seconds, and how
        many are `alive`.
    """
    is_alive(connection, member, **activity.columns() | ({"doing": ENDING} if is_ending else {}))
    give_up_silent(connection, member.study_id)
    used = device_seconds(member.study_id)
    lives = (WORKERS.c.study_id == member.study_id) & (WORKERS.c.state == ALIVE)
    alive = sa.select(sa.func.count()).where(lives).scalar_subquery()
    query = sa.select(STUDIES, database_seconds().label("now"), used.label("used"), alive.label("alive"))
    return connection.execute(query.where(STUDIES.c.study_id == member.study_id)).one()


def is_alive(connection: sa.Connection, member: Member, **changes: Any) -> None:
    """Note that a worker lives, even if it had been given up for lost."""
    row = sa.update(WORKERS).where(WORKERS.c.worker_id == member.worker_id)
    connection.execute(row.values(heartbeat_at=database_seconds(), state=ALIVE, **changes))


def device_seconds(study_id: int) -> Any:
    """What the workers of a study have used of their devices, in seconds, as a subquery."""
    spent = (WORKERS.c.heartbeat_at - WORKERS.c.started_at) * WORKERS.c.device_share
    return sa.select(sa.func.coalesce(sa.func.sum(spent), 0.0)).where(WORKERS.c.study_id == study_id).scalar_subquery()


def give_up_silent(connection: sa.Connection, study_id: int) -> None:
    """Mark the workers that were not heard of for too long as lost, and let their trials wait for others."""
    is_silent = WORKERS.c.heartbeat_at < database_seconds() - WORKERS.c.lost_after
    silent = sa.select(WORKERS.c.worker_id).where(WORKERS.c.study_id == study_id, WORKERS.c.state == ALIVE, is_silent)
    # In one order everywhere: two workers that give up the same others must not wait for each other.
    for worker_id in connection.scalars(silent.order_by(WORKERS.c.worker_id)).all():
        retire(connection, worker_id, LOST, is_silent)


def retire(connection: sa.Connection, worker_id: str, state: str, still: Any = sa.true()) -> None:  # noqa: B008
    """Mark a worker as ended or lost, and let its trial wait for others.

    Args:
        connection: Inside a transaction.
        worker_id: The worker.
        state: `ended` or `lost`.
        still: What must hold of its row at the moment of the change; of several who try at once, one succeeds.
    """
    lives = (WORKERS.c.worker_id == worker_id) & (WORKERS.c.state == ALIVE) & still
    if connection.execute(sa.update(WORKERS).where(lives).values(state=state)).rowcount:
        joined = sa.join(TRIALS, CLAIMS, is_of_trial())
        running = sa.select(TRIALS.c.trial_id).select_from(joined).where(TRIALS.c.state == TrialState.RUNNING)
        found = connection.scalars(running.where(CLAIMS.c.worker_id == worker_id)).all()
        doing = connection.scalar(sa.select(WORKERS.c.doing).where(WORKERS.c.worker_id == worker_id))
        let_wait(connection, found, is_loss=state == LOST and doing != ENDING)


def hand_back_ownerless(connection: sa.Connection, study_id: int) -> None:
    """Let trials wait that run without a worker who lives: it left without a word, or never was one of ours.

    To be called by one worker of the study at a time.
    """
    joined = sa.outerjoin(TRIALS, CLAIMS, is_of_trial())
    joined = sa.outerjoin(joined, WORKERS, CLAIMS.c.worker_id == WORKERS.c.worker_id)
    ownerless = sa.or_(WORKERS.c.worker_id.is_(None), WORKERS.c.state != ALIVE)
    running = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.RUNNING)
    found = sa.select(TRIALS.c.trial_id).select_from(joined).where(running, ownerless)
    let_wait(connection, connection.scalars(found).all(), is_loss=True)
