"""Reserves a recipe for one trial, so that no two workers evaluate the same one."""

import json

import sqlalchemy as sa

from studies.database.optuna_tables import TRIALS, USER_ATTRIBUTES
from studies.database.stored_trials import RECIPE
from studies.database.tables import STUDIES
from studies.database.transactions import Database, upsert
from studies.database.trial_writes import Claim


def reserve(database: Database, study_id: int, claim: Claim, recipe: str, *, is_requested: bool) -> bool:
    """Reserve the key of a recipe for a trial; returns False if another trial of the study has it.

    One that a user has requested by enqueuing it is reserved anyway.
    """

    def work(connection: sa.Connection) -> bool:
        connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
        joined = sa.join(USER_ATTRIBUTES, TRIALS, USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
        same = (USER_ATTRIBUTES.c.key == RECIPE) & (USER_ATTRIBUTES.c.value_json == json.dumps(recipe))
        others = (TRIALS.c.study_id == study_id) & (TRIALS.c.trial_id != claim.trial_id)
        found = connection.scalar(sa.select(sa.func.count()).select_from(joined).where(same, others))
        if found and not is_requested:
            return False
        row = {"trial_id": claim.trial_id, "key": RECIPE, "value_json": json.dumps(recipe)}
        upsert(connection, USER_ATTRIBUTES, [row], keys=("trial_id", "key"))
        return True

    return database.run(work)
