"""Deletes a study and everything that search has stored about it from the database."""

import sqlalchemy as sa

from spaces.errors import StudyError
from studies.database.connection import engine_of
from studies.database.errors import translate_errors
from studies.database.identities import forget
from studies.database.lost_workers import mark_dead_workers, mark_lost_workers
from studies.database.open_study import OpenStudy
from studies.database.workers import count_alive


def require_idle(study: OpenStudy) -> None:
    """Raise unless search created the study and no worker is alive.

    Raises:
        StudyError: Another program created it, or workers are running.
    """
    if not study.created_by_search:
        raise StudyError(f"study {study.name!r} was not created by search\nhint: delete it with `optuna delete-study`")

    def alive(connection: sa.Connection) -> int:
        mark_dead_workers(connection, study.study_id)
        mark_lost_workers(connection, study.study_id)
        return count_alive(connection, study.study_id)

    with translate_errors(study.url):
        if count := study.database.run(alive):
            workers = f"{count} worker{'' if count == 1 else 's'}"
            raise StudyError(f"study {study.name!r} has {workers} running\nhint: run `search stop {study.name}` first")


def delete_rows(study: OpenStudy) -> list[str]:
    """Delete a study; returns the names of the studies that remain in the same database."""
    with translate_errors(study.url):
        storage = study.study._storage
        name = study.name
        storage.delete_study(study.study_id)
        study.database.run(lambda connection: forget(connection, study.study_id))
        left = [study.study_name for study in storage.get_all_studies() if study.study_name != name]
        engine_of(study.study).dispose()
    return left
