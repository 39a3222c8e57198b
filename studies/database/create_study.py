"""Creates a study, or loads it and makes sure that it searches the same space in the same way."""

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
WAY_OUT = "give the new search a name of its own: --study NEWNAME"

Identity: TypeAlias = Mapping[str, Any]


def create_study(
    url: str,
    name: str,
    space: Space,
    settings: Study,
    data: Identity,
    patience: Callable[[], float] = lambda: RETRY_TIMEOUT,
    expected: str | None = None,
    *,
    corrects: bool = False,
) -> OpenStudy:
    """Create the study in the database, or load it.

    Args:
        url: URL of the database.
        name: Name of the study.
        space: What is searched.
        settings: How; seed, sampler and pruner stay those of the first run.
        data: What tells the images from others.
        patience: How many seconds to wait for a database that is away, once the study is open.
        expected: Identity of the study that must be there, so that nothing is created; None where any will do.
        corrects: A study of which no trial has been evaluated is started again when its space, images or settings
            differ.

    Raises:
        StudyDeleted: The expected study is gone.
        StudyError: The database cannot be used, or the study of that name is another one.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    until, delay = math.inf, FIRST_DELAY_SECONDS
    while True:
        try:
            return _open(url, name, space, settings, data, patience, expected, corrects=corrects)
        except StudyError as error:
            until = min(until, time.monotonic() + OPENING_SECONDS)
            if time.monotonic() + delay > until or not _may_pass_soon(error):
                raise
        time.sleep(delay)
        delay *= 2


def _may_pass_soon(error: StudyError) -> bool:
    """Whether a server is perhaps just being restarted; a wrong address is told soon, and locks were waited for."""
    cause = error.__cause__
    return cause is not None and is_transient(cause) and "locked" not in str(cause)


def _open(
    url: str,
    name: str,
    space: Space,
    settings: Study,
    data: Identity,
    patience: Callable[[], float],
    expected: str | None,
    *,
    corrects: bool,
) -> OpenStudy:
    notices: tuple[str, ...] = ()
    with translate_errors(url), schema_lock(url), _storage(url) as storage:
        # Many may start at once on an empty database: one at a time creates what is missing.
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
        database = Database(storage.engine, retry_timeout=patience)
        identity = Database(storage.engine).run(lambda connection: identify(connection, plain._study_id))
    imports = Imports(space, lambda trial_id: is_claimed(database, trial_id))
    own = WorkerStorage(storage, database, plain._study_id, imports.seen, imports.taken)
    return OpenStudy(
        optuna.load_study(study_name=name, storage=own), url, database, identity, resumed, imports, notices
    )


@contextlib.contextmanager
def _storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """The storage of the database, whose connections are closed if the study is refused."""
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
    # Written last: a study without it was never finished being described.
    study.set_user_attr(FINGERPRINT, fingerprint(space))


def _is_undescribed(study: optuna.Study, space: Space) -> bool:
    """Whether it is new, or whoever created it died before it was described; never somebody else's."""
    return (
        FINGERPRINT not in study.user_attrs
        and _is_compared_alike(study, space)
        and not study.get_trials(deepcopy=False)
    )


def _is_compared_alike(study: optuna.Study, space: Space) -> bool:
    return [direction.name.lower() for direction in study.directions] == [METRICS[space.metric]]


def _fixed(settings: Study) -> dict[str, Any]:
    """What must stay as it was for a study to remain one."""
    return {"seed": settings.seed, "sampler": settings.sampler, "pruner": settings.pruner}


class _Changed(StudyError):
    """The study was made for another space, other images or other settings."""

    def __init__(self, name: str, what: str, lines: str, remedy: str) -> None:
        verb = "has" if what == "space" else "have"
        super().__init__(f"the {what} of study {name!r} {verb} changed:\n{lines}\n{remedy}, or {WAY_OUT}")
        changes = "; ".join(line.strip() for line in lines.splitlines())
        begun = f"No trial of study {name!r} had been evaluated, so it was started again"
        self.correction = f"{begun}: its {what} {verb} changed: {changes}"


def _refuse_another(study: optuna.Study, name: str, space: Space, settings: Study, data: Identity) -> None:
    attributes = study.user_attrs
    is_alike = _is_compared_alike(study, space)
    if not _is_described(attributes) or (not is_alike and attributes[FINGERPRINT] == fingerprint(space)):
        raise StudyError(f"the study {name!r} in this database was not made by search: {WAY_OUT}")
    # The images first: what is left to us in a space follows from their number.
    if lines := _changed(attributes[DATA], data):
        raise _Changed(name, "images", lines, "Put the old ones back")
    if attributes[FINGERPRINT] != fingerprint(space):
        changed = differences(json.loads(attributes[SPACE]), to_json(space), places(space))
        raise _Changed(name, "space", "\n".join(f"    {line}" for line in changed), "Undo the change")
    if lines := _changed(attributes[SETTINGS], _fixed(settings)):
        raise _Changed(name, "settings", lines, "Use the old ones")


def _is_described(attributes: Mapping[str, Any]) -> bool:
    """Whether they are of the kind that `_describe` writes."""
    try:
        space = json.loads(attributes[SPACE])
    except (KeyError, TypeError, ValueError):
        return False
    records = (space, attributes.get(SETTINGS), attributes.get(DATA))
    return FINGERPRINT in attributes and all(isinstance(each, dict) for each in records)


def _changed(before: Identity, now: Identity) -> str:
    return "\n".join(f"    - {k} = {before.get(k)}\n    + {k} = {now[k]}" for k in now if before.get(k) != now[k])
