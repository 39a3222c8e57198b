"""Notices outages, in which no worker of a study reached the database, so that none counts as lost because of one.

The database may have been unreachable, the machine suspended, or the database's clock changed. All three look alike:
the time since the last heartbeat of any worker is longer than it is while they run. After an outage every worker has
its full time for the next heartbeat.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from studies.database.tables import STUDIES, WORKERS
from studies.database.transactions import database_seconds

LOST_AFTER_SECONDS = 10.0
MOST_MISSED_OUTAGES = 10
"""A worker that missed more outages counts as lost: other workers returned after each of them."""


@dataclass(frozen=True)
class OutageCheck:
    """State of a study when a transaction checked for an outage.

    Args:
        outages: Number of outages of the study.
        now: Time on the database's clock. The same transaction judges other workers at that time, since its process
            may be suspended at any moment while others wait for its locks.
    """

    outages: int
    now: float


def notice_outage(connection: sa.Connection, study_id: int) -> OutageCheck:
    """Record an outage that has just ended.

    Call this before writing a heartbeat, which hides the gap, in a transaction that has not locked any worker or trial.
    """
    found = connection.execute(_last_heartbeat(study_id)).one_or_none()
    if found is None:
        return OutageCheck(0, 0.0)
    heartbeat_at = found.reachable_since if found.heartbeat_at is None else found.heartbeat_at
    shortest = found.shortest if found.shortest is not None else LOST_AFTER_SECONDS
    # Every worker sends at least two heartbeats in that time. The clock may also have been set back.
    if abs(float(found.now) - heartbeat_at) <= shortest / 2:
        return OutageCheck(int(found.outages), float(found.now))
    change = sa.update(STUDIES).where(STUDIES.c.study_id == study_id, STUDIES.c.outages == found.outages)
    connection.execute(change.values(outages=found.outages + 1, reachable_since=database_seconds()))
    return OutageCheck(int(found.outages) + 1, float(found.now))


def _last_heartbeat(study_id: int) -> Any:
    of_study = WORKERS.c.study_id == study_id
    latest = sa.select(sa.func.max(WORKERS.c.heartbeat_at)).where(of_study, WORKERS.c.outages == STUDIES.c.outages)
    shortest = sa.select(sa.func.min(WORKERS.c.lost_after_seconds)).where(of_study, WORKERS.c.state == "alive")
    return sa.select(
        STUDIES.c.outages,
        STUDIES.c.reachable_since,
        database_seconds().label("now"),
        latest.correlate(STUDIES).scalar_subquery().label("heartbeat_at"),
        shortest.scalar_subquery().label("shortest"),
    ).where(STUDIES.c.study_id == study_id)
