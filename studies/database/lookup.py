"""Finds studies that are there, and opens them without creating anything."""

from dataclasses import dataclass
from pathlib import Path

import optuna

from spaces.errors import StudyError
from studies.database.connection import open_storage
from studies.database.create_study import FINGERPRINT
from studies.database.errors import translate_errors
from studies.database.identities import identity_of
from studies.database.tables import has_tables
from studies.database.transactions import Database
from studies.database.worker_storage import WorkerStorage

RETRY_TIMEOUT = 5.0


@dataclass(frozen=True)
class FoundStudy:
    """A study that is there.

    Args:
        study: Optuna's study, to be read.
        url: URL of its database.
        database: Its database.
        identity: What no other study has, if search made it; else it is plain Optuna's, or a copy that search has not
            opened yet, perhaps in a database that has the tables of search.
    """

    study: optuna.Study
    url: str
    database: Database
    identity: str | None

    @property
    def is_ours(self) -> bool:
        """Whether search made it."""
        return self.identity is not None

    @property
    def name(self) -> str:
        """Its name."""
        return self.study.study_name

    @property
    def study_id(self) -> int:
        """Its id in the database."""
        return self.study._study_id


def find(name_or_folder: str, output: Path, storage: str | None, *, reading: bool = True) -> FoundStudy:
    """Open a study as it is typed.

    Args:
        name_or_folder: Name of the study, or its folder, which may have been renamed.
        output: Folder of all studies.
        storage: URL of the database; None takes `study.db` in the study's folder.
        reading: Only read; nothing can be written then.

    Raises:
        StudyError: There is no such study, or its database cannot be used.
    """
    name, url = located(name_or_folder, output, storage)
    return find_study(url, name, reading=reading, or_only=storage is None)


def find_study(url: str, name: str, *, reading: bool = True, or_only: bool = False) -> FoundStudy:
    """Open a study that is there.

    Args:
        url: URL of its database.
        name: Its name.
        reading: Only read; nothing can be written then.
        or_only: Where there is none of that name, take the only one that the database has.

    Raises:
        StudyError: The database cannot be used, was made by another version, or has no study of that name, or one that
            search cannot read.
    """
    storage, is_ours = open_existing(url)
    with translate_errors(url):
        names = optuna.get_all_study_names(storage)
        if name not in names and or_only and len(names) == 1:
            (name,) = names
        if name not in names:
            known = f"it has {', '.join(sorted(names))}" if names else "it has none"
            raise StudyError(f"there is no study {name!r} in the database: {known}")
        if not reading:
            storage.engine.dispose()
            storage = open_storage(url)
        database = Database(storage.engine, retry_timeout=lambda: RETRY_TIMEOUT)
        own_id = storage.get_study_id_from_name(name)
        own = WorkerStorage(storage, database, own_id)
        study = optuna.load_study(study_name=name, storage=own)
        _refuse_several_objectives(study)
        identity = database.read(lambda connection: identity_of(connection, own_id)) if is_ours else None
        return FoundStudy(study, url, database, identity if FINGERPRINT in study.user_attrs else None)


def _refuse_several_objectives(study: optuna.Study) -> None:
    if len(study.directions) > 1:
        raise StudyError(
            f"the study {study.study_name!r} was not made by search: it has {len(study.directions)} objectives, search "
            "reads studies of one: look at it with optuna-dashboard"
        )


def open_existing(url: str) -> tuple[optuna.storages.RDBStorage, bool]:
    """Open a database to read it; returns also whether it has the tables of search.

    Raises:
        StudyError: It cannot be used, holds no studies, or was made by another version.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(url, reading=True)
    with translate_errors(url), storage.engine.connect() as connection:
        return storage, has_tables(connection)


def located(name_or_folder: str, output: Path, storage: str | None) -> tuple[str, str]:
    """The study's name and the URL of its database.

    Args:
        name_or_folder: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database; None takes `study.db` in the study's folder.

    Raises:
        StudyError: There is no such folder.
    """
    from studies.database.urls import sqlite_url

    if storage is not None:
        return Path(name_or_folder).name, storage
    folder = next((f for f in (output / name_or_folder, Path(name_or_folder)) if (f / "study.db").is_file()), None)
    if folder is None:
        known = sorted(file.parent.name for file in output.glob("*/study.db"))
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise StudyError(f"there is no study {name_or_folder!r} in {output}: {there}")
    return folder.absolute().name, sqlite_url(folder / "study.db")
