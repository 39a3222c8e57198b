"""Writes changes of a trial to PostgreSQL in one round trip; a transaction would need several."""

import enum
import json
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from studies.database.optuna_tables import TRIALS, now_utc
from studies.database.tables import CLAIMS, EPOCHS
from studies.database.trial_writes import KEYS, TOUCH_CLAIM, Claim, PendingWrites, TrialEnd


def write_if_claimed_postgresql(
    connection: sa.Connection, claim: Claim, changes: PendingWrites, end: TrialEnd | None = None
) -> bool:
    """Write changes of a trial as `write_if_claimed` does, in one statement that needs no transaction."""
    rows = {table.name: json.dumps(found, default=_json) for table, found in changes.rows(claim.trial_id).items()}
    values = claim.parameters | rows
    if end is not None:
        values |= {"end": end.state, "ended": now_utc(), "end_epochs": end.epochs}
    return bool(connection.scalar(_statement(is_end=end is not None), values))


@lru_cache
def _statement(*, is_end: bool) -> Any:
    held = TOUCH_CLAIM.returning(CLAIMS.c.trial_id).cte("held")
    parts = [_upserted(table, keys, held) for table, keys in KEYS.items()]
    if is_end:
        change = sa.update(TRIALS).where(TRIALS.c.trial_id == held.c.trial_id)
        end = change.values(state=sa.bindparam("end"), datetime_complete=sa.bindparam("ended"))
        beyond = (EPOCHS.c.trial_id == held.c.trial_id) & (EPOCHS.c.epoch > sa.bindparam("end_epochs"))
        parts += [end.cte("end"), sa.delete(EPOCHS).where(beyond).cte("beyond")]
    return sa.select(sa.func.count()).select_from(held).add_cte(*parts)


def _upserted(table: sa.Table, keys: tuple[str, ...], held: Any) -> Any:
    """Return the upsert of one table's rows, passed as JSON; it does nothing if the trial is not claimed."""
    columns = [column for column in table.c if column.name in keys or not column.primary_key]
    values = sa.func.json_to_recordset(sa.cast(sa.bindparam(table.name, type_=sa.Text), postgresql.JSON))
    rows = values.table_valued(*(sa.column(column.name, column.type) for column in columns))
    rows = rows.render_derived(with_types=True)
    insert = postgresql.insert(table).from_select(
        [column.name for column in columns], sa.select(*rows.c).where(rows.c.trial_id == held.c.trial_id)
    )
    changed = {column.name: insert.excluded[column.name] for column in columns if column.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=changed).cte(f"{table.name}_written")


def _json(value: Any) -> Any:
    """Return a value for JSON: enums by name; numbers may have NumPy types."""
    return value.name if isinstance(value, enum.Enum) else float(value)
