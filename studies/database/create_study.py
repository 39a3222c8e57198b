"""Creates a study, or loads it and checks that its space, images and settings are unchanged."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import optuna
from optuna.study import StudyDirection

from spaces.canonical import differences, fingerprint, to_json
from spaces.errors import StudyError
from spaces.source_fingerprint import places
from spaces.space import Space
from spaces.training import METRICS
from studies.database.claims import is_claimed
from studies.database.connection import open_storage
from studies.database.corrections import can_be_corrected, start_again
from studies.database.errors import translate_errors
from studies.database.identities import StudyDeletedError, identify, identity_of
from studies.database.imported import Imports
from studies.database.open_study import DATA, FINGERPRINT, SETTINGS, SPACE, OpenStudy
from studies.database.schema_lock import schema_lock
from studies.database.tables import create_tables
from studies.database.transactions import FIRST_DELAY_SECONDS, RETRY_TIMEOUT, Database, is_transient
from studies.database.worker_storage import WorkerStorage
from studies.settings import Study

OPENING_SECONDS = 10.0
HINT = "start a new study with --study NEWNAME"

Identity: TypeAlias = Mapping[str, Any]


def create_study(
    url: str,
    name: str,
    space: Space,
    settings: Study,
    data: Identity,
    retry_timeout: Callable[[], float] = lambda: RETRY_TIMEOUT,
    expected: str | None = None,
    *,
    corrects: bool = False,
) -> OpenStudy:
    """Create the study in the database, or load it.

    Args:
        url: URL of the database.
        name: Name of the study.
        space: The search space.
        settings: Settings of the run; seed, sampler and pruner must stay those of the first run.
        data: Description of the images that changes with them.
        retry_timeout: Returns the seconds to wait for an unreachable database, once the study is open.
        expected: Identity of the study that must exist, so that nothing is created; None for any study.
        corrects: Whether a study without evaluated trials is restarted when its space, images or settings differ.

    Raises:
        StudyDeletedError: The expected study has been deleted.
        StudyError: The database cannot be used, or the study of that name is a different one.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    until, delay = math.inf, FIRST_DELAY_SECONDS
    while True:
        try:
            return _open(url, name, space, settings, data, retry_timeout, expected, corrects=corrects)
        except StudyError as error:
            until = min(until, time.monotonic() + OPENING_SECONDS)
            if time.monotonic() + delay > until or not _is_restarting(error):
                raise
        time.sleep(delay)
        delay *= 2


def _is_restarting(error: StudyError) -> bool:
    """Return True if the server may just be restarting; lock timeouts have been waited for already."""
    cause = error.__cause__
    return cause is not None and is_transient(cause) and "locked" not in str(cause)


def _open(
    url: str,
    name: str,
    space: Space,
    settings: Study,
    data: Identity,
    retry_timeout: Callable[[], float],
    expected: str | None,
    *,
    corrects: bool,
) -> OpenStudy:
    notices: tuple[str, ...] = ()
    with translate_errors(url), schema_lock(url), _storage(url) as storage:
        # Many workers may start on an empty database at once: one at a time creates what is missing.
        create_tables(storage.engine)
        resumed = name in optuna.get_all_study_names(storage)
        if expected is not None:
            _require(storage, name if resumed else None, expected)
        if not resumed:
            direction = StudyDirection[METRICS[space.metric].upper()]
            optuna.create_study(study_name=name, storage=storage, direction=direction)
        plain = optuna.load_study(study_name=name, storage=storage)
        if _is_undescribed(plain, space):
            _describe(plain, space, settings, data)
        try:
            _refuse_another(plain, name, space, settings, data)
        except _Changed as changed:
            if not corrects or expected is not None or not can_be_corrected(storage, plain):
                raise
            plain = start_again(storage, plain, space, StudyDirection[METRICS[space.metric].upper()])
            _describe(plain, space, settings, data)
            notices, resumed = (changed.correction,), False
        database = Database(storage.engine, retry_timeout=retry_timeout)
        identity = Database(storage.engine).run(lambda connection: identify(connection, plain._study_id))
    imports = Imports(space, lambda trial_id: is_claimed(database, trial_id))
    own = WorkerStorage(storage, database, plain._study_id, imports.convert, imports.convert_claimed)
    return OpenStudy(
        optuna.load_study(study_name=name, storage=own), url, database, identity, resumed, imports, notices
    )


@contextlib.contextmanager
def _storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """Open the database; its connections are closed if the study is refused."""
    storage = open_storage(url)
    try:
        yield storage
    except BaseException:
        storage.engine.dispose()
        raise


def _require(storage: optuna.storages.RDBStorage, name: str | None, expected: str) -> None:
    """Raise unless the study of that name has the expected identity."""
    study_id = None if name is None else storage.get_study_id_from_name(name)
    with storage.engine.connect() as connection:
        if study_id is None or identity_of(connection, study_id) != expected:
            raise StudyDeletedError


def _describe(study: optuna.Study, space: Space, settings: Study, data: Identity) -> None:
    study.set_user_attr(SPACE, json.dumps(to_json(space), ensure_ascii=False))
    study.set_user_attr(SETTINGS, _fixed(settings))
    study.set_user_attr(DATA, dict(data))
    # Written last: without it the description is incomplete.
    study.set_user_attr(FINGERPRINT, fingerprint(space))


def _is_undescribed(study: optuna.Study, space: Space) -> bool:
    """Return True if the study is new, or its creator crashed before it was described."""
    return (
        FINGERPRINT not in study.user_attrs
        and _is_compared_alike(study, space)
        and not study.get_trials(deepcopy=False)
    )


def _is_compared_alike(study: optuna.Study, space: Space) -> bool:
    return [direction.name.lower() for direction in study.directions] == [METRICS[space.metric]]


def _fixed(settings: Study) -> dict[str, Any]:
    """Return the settings that must not change between runs of a study."""
    return {"seed": settings.seed, "sampler": settings.sampler, "pruner": settings.pruner}


class _Changed(StudyError):
    """The study has another space, other images or other settings."""

    def __init__(self, name: str, what: str, lines: str) -> None:
        verb = "has" if what == "space" else "have"
        super().__init__(f"the {what} of study {name!r} {verb} changed:\n{lines}\nhint: revert the change, or {HINT}")
        changes = "; ".join(line.strip() for line in lines.splitlines())
        self.correction = (
            f"restarted study {name!r}, which had no evaluated trials: its {what} {verb} changed: {changes}"
        )


def _refuse_another(study: optuna.Study, name: str, space: Space, settings: Study, data: Identity) -> None:
    attributes = study.user_attrs
    is_alike = _is_compared_alike(study, space)
    if not _is_described(attributes) or (not is_alike and attributes[FINGERPRINT] == fingerprint(space)):
        raise StudyError(f"study {name!r} in this database was not created by search\nhint: {HINT}")
    # The images first: automatic fields of the space depend on their number.
    if lines := _changed(attributes[DATA], data):
        raise _Changed(name, "images", lines)
    if attributes[FINGERPRINT] != fingerprint(space):
        changed = differences(json.loads(attributes[SPACE]), to_json(space), places(space))
        raise _Changed(name, "space", "\n".join(f"    {line}" for line in changed))
    if lines := _changed(attributes[SETTINGS], _fixed(settings)):
        raise _Changed(name, "settings", lines)


def _is_described(attributes: Mapping[str, Any]) -> bool:
    """Return True if the attributes have the form that `_describe` writes."""
    try:
        space = json.loads(attributes[SPACE])
    except (KeyError, TypeError, ValueError):
        return False
    records = (space, attributes.get(SETTINGS), attributes.get(DATA))
    return FINGERPRINT in attributes and all(isinstance(each, dict) for each in records)


def _changed(before: Identity, now: Identity) -> str:
    return "\n".join(f"    - {k} = {before.get(k)}\n    + {k} = {now[k]}" for k in now if before.get(k) != now[k])
