"""Identities of studies: unlike names, study ids and trial ids, they are never reused after a deletion."""

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
"""Attribute of Optuna's study that stores its identity; Optuna and its dashboard delete it with the study."""


class StudyDeletedError(StudyError):
    """Another program, such as Optuna's dashboard, has deleted the study while this process used it."""

    def __init__(self) -> None:
        super().__init__(
            "the study was deleted from its database while this process was working on it\n"
            "hint: run the same command again to start a new study"
        )


def identify(connection: sa.Connection, study_id: int) -> str:
    """Return the identity of a study; a study without one, or with that of another study, gets a new one.

    A copied study carries the identity of the original. Rows of a deleted study with the same study id are removed.
    Call it under `schema_lock`.
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
    """Return the identity of a study; None if it does not exist or search has not opened it."""
    query = sa.select(IDENTITIES.c.identity).where(IDENTITIES.c.study_id == study_id)
    return connection.scalar(query.where(is_carried(IDENTITIES)))


def identities(connection: sa.Connection) -> dict[int, str]:
    """Return the identities of all studies that have one, by study id."""
    query = sa.select(IDENTITIES.c.study_id, IDENTITIES.c.identity).where(is_carried(IDENTITIES))
    return {study_id: identity for study_id, identity in connection.execute(query)}


def is_carried(table: sa.Table) -> Any:
    """Return the SQL condition that Optuna's study has the `study_id` and the `identity` of a row of search."""
    carried = sa.exists().where(
        OPTUNA_STUDY_ATTRIBUTES.c.study_id == table.c.study_id, OPTUNA_STUDY_ATTRIBUTES.c.key == IDENTITY
    )
    return carried.where(OPTUNA_STUDY_ATTRIBUTES.c.value_json == sa.literal('"') + table.c.identity + sa.literal('"'))


def is_employed(worker_id: str) -> Any:
    """Return the SQL condition that the study of a worker still exists."""
    return sa.exists().where(WORKERS.c.worker_id == worker_id, is_carried(WORKERS))


def is_of_trial() -> Any:
    """Return the SQL condition that joins trials with their claims, without claims of deleted studies."""
    return (TRIALS.c.trial_id == CLAIMS.c.trial_id) & (TRIALS.c.study_id == CLAIMS.c.study_id)


def is_of_its_study() -> Any:
    """Return the SQL condition that the trial and the worker of a claim belong to its study."""
    held = sa.exists().where(is_of_trial())
    return held.where(WORKERS.c.worker_id == CLAIMS.c.worker_id, is_carried(WORKERS))


def require(connection: sa.Connection, study_id: int, identity: str | None) -> str:
    """Return the identity of a study, which must be the expected one unless that is None.

    Raises:
        StudyDeletedError: The study has been deleted, or another one has its id.
    """
    found = identity_of(connection, study_id)
    if found is None or identity not in (None, found):
        raise StudyDeletedError
    return found


@contextlib.contextmanager
def explain_deletion(database: Database, study_id: int, identity: str) -> Iterator[None]:
    """Turn any error caused by the deletion of the study into one message.

    Raises:
        StudyDeletedError: The block failed, and the study has been deleted.
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
    """Return True if the database is reachable and no longer has the study."""
    try:
        without_retry = Database(database.engine, retry_timeout=lambda: 0.0)
        return without_retry.read(lambda connection: identity_of(connection, study_id)) != identity
    except sa.exc.SQLAlchemyError:
        return False


def forget(connection: sa.Connection, study_id: int) -> None:
    """Delete all rows of search with a study id."""
    claimed = sa.select(CLAIMS.c.trial_id).where(CLAIMS.c.study_id == study_id)
    connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.trial_id.in_(claimed)))
    for table in (CLAIMS, WORKERS, STUDIES, IDENTITIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def _forget_deleted(connection: sa.Connection) -> None:
    """Delete the rows of deleted studies, even if Optuna has reused their trial ids."""
    there = sa.select(OPTUNA_STUDIES.c.study_id)
    gone = connection.scalars(sa.select(IDENTITIES.c.study_id).where(IDENTITIES.c.study_id.not_in(there))).all()
    for study_id in gone:
        forget(connection, study_id)
