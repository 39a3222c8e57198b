"""Finds existing studies and opens them without creating anything."""

import contextlib
import json
from pathlib import Path

import optuna

from spaces.canonical import from_json
from spaces.errors import SpaceError, StudyError
from spaces.space import Space
from studies.database.connection import open_storage
from studies.database.errors import translate_errors
from studies.database.identities import identity_of
from studies.database.open_study import FINGERPRINT, SETTINGS, SPACE, OpenStudy
from studies.database.tables import has_tables
from studies.database.transactions import Database
from studies.database.urls import sqlite_url
from studies.database.worker_storage import WorkerStorage
from studies.study_folder import DATABASE_FILE, StudyRef, find_study_folder

RETRY_TIMEOUT = 5.0


class StudyNotFoundError(StudyError):
    """There is no study of that name."""


def resolve_study(text: str, runs: Path, storage: str | None) -> StudyRef:
    """Return where a study is stored.

    Args:
        text: Name of the study, or its folder, which may have been renamed.
        runs: Folder of all studies.
        storage: URL of the database; None for `study.db` in the study's folder.

    Raises:
        StudyNotFoundError: No URL is given, and there is no such folder.
    """
    if storage is not None:
        name = Path(text).name
        return StudyRef(name, storage, find_study_folder(text, runs) or runs / name)
    folder = find_study_folder(text, runs, (DATABASE_FILE,))
    if folder is None:
        raise _not_found(text, str(runs), [file.parent.name for file in runs.glob(f"*/{DATABASE_FILE}")])
    return StudyRef(folder.absolute().name, sqlite_url(folder / DATABASE_FILE), folder, accept_single_study=True)


def open_study(ref: StudyRef, *, readonly: bool = True, retry_timeout: float = RETRY_TIMEOUT) -> OpenStudy:
    """Open an existing study.

    Args:
        ref: Where it is stored.
        readonly: Whether a database file is opened so that it cannot be written.
        retry_timeout: Seconds to wait for an unreachable database, once the study is open.

    Raises:
        StudyNotFoundError: The database has no study of that name.
        StudyError: The database cannot be used, has another schema version, or the study has several objectives.
    """
    with contextlib.ExitStack() as on_error:
        storage, has_own_tables = open_database(ref.url)
        on_error.callback(storage.engine.dispose)
        with translate_errors(ref.url):
            name = _name_in(optuna.get_all_study_names(storage), ref)
            study_id = storage.get_study_id_from_name(name)
            if not readonly:
                storage.engine.dispose()
                storage = open_storage(ref.url)
                on_error.callback(storage.engine.dispose)
            database = Database(storage.engine, retry_timeout=lambda: retry_timeout)
            study = optuna.load_study(study_name=name, storage=WorkerStorage(storage, database, study_id))
            _require_one_objective(study)
            identity = database.read(lambda connection: identity_of(connection, study_id)) if has_own_tables else None
            on_error.pop_all()
            return OpenStudy(study, ref.url, database, (identity if FINGERPRINT in study.user_attrs else None) or "")


def stored_space(ref: StudyRef) -> tuple[Space, str] | None:
    """Return the space and the sampler of a study; None if they cannot be read, or if the space holds functions."""
    try:
        opened = open_study(ref)
    except StudyError:
        return None
    try:
        attributes = opened.study.user_attrs
        return from_json(json.loads(attributes[SPACE])), str(attributes[SETTINGS]["sampler"])
    except (KeyError, TypeError, ValueError, SpaceError):
        return None
    finally:
        opened.database.engine.dispose()


def open_database(url: str) -> tuple[optuna.storages.RDBStorage, bool]:
    """Open a database for reading; returns also whether it has the tables of search.

    Raises:
        StudyError: It cannot be used, holds no studies, or has another schema version.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(url, reading=True)
    with translate_errors(url), storage.engine.connect() as connection:
        return storage, has_tables(connection)


def _name_in(names: list[str], ref: StudyRef) -> str:
    if ref.name in names:
        return ref.name
    if ref.accept_single_study and len(names) == 1:
        return names[0]
    raise _not_found(ref.name, "the database", names)


def _not_found(name: str, place: str, others: list[str]) -> StudyNotFoundError:
    known = f"existing studies: {', '.join(sorted(others))}" if others else "create one with `search run`"
    return StudyNotFoundError(f"study {name!r} not found in {place}\nhint: {known}")


def _require_one_objective(study: optuna.Study) -> None:
    if len(study.directions) > 1:
        raise StudyError(
            f"study {study.study_name!r} was not created by search and has {len(study.directions)} objectives\n"
            "hint: inspect it with optuna-dashboard; search supports a single objective"
        )
