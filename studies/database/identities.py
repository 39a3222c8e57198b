"""The identity of a study. Names, study ids and trial ids are used again after a deletion; an identity never is."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from spaces.errors import StudyError
from studies.database.optuna_tables import OPTUNA_STUDIES, OPTUNA_STUDY_ATTRIBUTES, TRIALS
from studies.database.tables import CLAIMS, EPOCHS, IDENTITIES, STUDIES, WORKERS
from studies.database.transactions import Database, upsert

IDENTITY = "search:identity"
"""The attribute of Optuna's study that holds its identity: Optuna and its dashboard delete it with the study."""


class StudyDeletedError(StudyError):
    """The study was deleted, by Optuna or its dashboard, while this process used it."""

    def __init__(self) -> None:
        super().__init__(
            "the study was deleted from its database while this process was working on it: its trials are gone; run "
            "the same command again to start a new study"
        )


def identify(connection: sa.Connection, study_id: int) -> str:
    """Return the identity of a study, and give it one where it has none or carries that of another study.

    A study that was copied carries the identity of the first one. Rows that a deleted study has left under the same
    study id are removed.

    Args:
        connection: Inside a transaction, alone in the schema.
        study_id: The study in the database.
    """
    known = identity_of(connection, study_id)
    if known is not None:
        return known
    identity = str(uuid.uuid4())
    forget(connection, study_id)
    _forget_deleted(connection)
    attribute = {"study_id": study_id, "key": IDENTITY, "value_json": json.dumps(identity)}
    upsert(connection, OPTUNA_STUDY_ATTRIBUTES, [attribute], keys=("study_id", "key"))
    connection.execute(sa.insert(IDENTITIES).values(study_id=study_id, identity=identity))
    return identity


def identity_of(connection: sa.Connection, study_id: int) -> str | None:
    """Return the identity of a study; None if there is no such study, or none that search has identified."""
    query = sa.select(IDENTITIES.c.identity).where(IDENTITIES.c.study_id == study_id)
    return connection.scalar(query.where(is_carried(IDENTITIES)))


def identities(connection: sa.Connection) -> dict[int, str]:
    """Return the identities of all studies that have one, by study id."""
    query = sa.select(IDENTITIES.c.study_id, IDENTITIES.c.identity).where(is_carried(IDENTITIES))
    return {study_id: identity for study_id, identity in connection.execute(query)}


def is_carried(table: sa.Table) -> Any:
    """The condition that Optuna's row of a study carries the identity that a row of ours has.

    Args:
        table: One with `study_id` and `identity`.
    """
    carried = sa.exists().where(
        OPTUNA_STUDY_ATTRIBUTES.c.study_id == table.c.study_id, OPTUNA_STUDY_ATTRIBUTES.c.key == IDENTITY
    )
    return carried.where(OPTUNA_STUDY_ATTRIBUTES.c.value_json == sa.literal('"') + table.c.identity + sa.literal('"'))


def is_employed(worker_id: str) -> Any:
    """The condition that the study which a worker has joined is still there."""
    return sa.exists().where(WORKERS.c.worker_id == worker_id, is_carried(WORKERS))


def is_of_trial() -> Any:
    """The condition that joins trials with their claims, but not with those of a deleted study's trials."""
    return (TRIALS.c.trial_id == CLAIMS.c.trial_id) & (TRIALS.c.study_id == CLAIMS.c.study_id)


def is_of_its_study() -> Any:
    """The condition that a claim is of a trial, and held by a worker, of the study for which it was made."""
    held = sa.exists().where(is_of_trial())
    return held.where(WORKERS.c.worker_id == CLAIMS.c.worker_id, is_carried(WORKERS))


def require(connection: sa.Connection, study_id: int, identity: str | None) -> str:
    """Return the identity of a study.

    Args:
        connection: Inside a transaction.
        study_id: The study in the database.
        identity: What it must be; None for any.

    Raises:
        StudyDeleted: The study is gone, or another one has taken its place.
    """
    found = identity_of(connection, study_id)
    if found is None or identity not in (None, found):
        raise StudyDeletedError
    return found


@contextlib.contextmanager
def explain_deletion(database: Database, study_id: int, identity: str) -> Iterator[None]:
    """Turn whatever fails because the study was deleted into one message.

    Raises:
        StudyDeleted: Something failed inside, and the study is gone.
    """
    try:
        yield
    except StudyDeletedError:
        raise
    except Exception as error:
        # A missing row breaks Optuna and SQLAlchemy in many ways.
        if _is_deleted(database, study_id, identity):
            raise StudyDeletedError from error
        raise


def _is_deleted(database: Database, study_id: int, identity: str) -> bool:
    """Return True if the database answers, and has no such study any more."""
    try:
        impatient = Database(database.engine, retry_timeout=lambda: 0.0)
        return impatient.read(lambda connection: identity_of(connection, study_id)) != identity
    except sa.exc.SQLAlchemyError:
        return False


def forget(connection: sa.Connection, study_id: int) -> None:
    """Remove all rows of ours under a study id."""
    claimed = sa.select(CLAIMS.c.trial_id).where(CLAIMS.c.study_id == study_id)
    connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.trial_id.in_(claimed)))
    for table in (CLAIMS, WORKERS, STUDIES, IDENTITIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def _forget_deleted(connection: sa.Connection) -> None:
    """Remove what deleted studies have left, whatever Optuna now stores under their trial ids."""
    there = sa.select(OPTUNA_STUDIES.c.study_id)
    gone = connection.scalars(sa.select(IDENTITIES.c.study_id).where(IDENTITIES.c.study_id.not_in(there))).all()
    for study_id in gone:
        forget(connection, study_id)
