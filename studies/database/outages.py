"""Notices when no worker of a study reached the database for a while, so that nobody counts as lost for that.

The database may have been away, the machine suspended, or the database's clock set. All three look alike: the time
since the last heartbeat of any worker is longer than it ever is while they work. From then on every worker has its full
time to be heard again.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from studies.database.tables import STUDIES, WORKERS
from studies.database.transactions import database_seconds

LOST_AFTER_SECONDS = 10.0
MOST_MISSED_OUTAGES = 10
"""A worker that missed more of them counts as lost although each began its time again: others came back each time."""


@dataclass(frozen=True)
class Look:
    """What a transaction saw when it looked for an outage.

    Args:
        outages: How many the study has had.
        now: The database's clock. Whom this same transaction gives up is judged at that time: its process may be
            suspended at any moment, with a lock for which the others wait.
    """

    outages: int
    now: float


def notice_outage(connection: sa.Connection, study_id: int) -> Look:
    """Note an outage of the database that has just ended.

    To be called before a heartbeat is written, which hides the gap.

    Args:
        connection: Inside a transaction that has locked no worker and no trial yet.
        study_id: The study.
    """
    found = connection.execute(_since_the_last_heartbeat(study_id)).one_or_none()
    if found is None:
        return Look(0, 0.0)
    heard_at = found.reachable_since if found.heard_at is None else found.heard_at
    shortest = found.shortest if found.shortest is not None else LOST_AFTER_SECONDS
    # Workers beat at least twice in that time. The clock may also have been set back.
    if abs(float(found.now) - heard_at) <= shortest / 2:
        return Look(int(found.outages), float(found.now))
    change = sa.update(STUDIES).where(STUDIES.c.study_id == study_id, STUDIES.c.outages == found.outages)
    connection.execute(change.values(outages=found.outages + 1, reachable_since=database_seconds()))
    return Look(int(found.outages) + 1, float(found.now))


def _since_the_last_heartbeat(study_id: int) -> Any:
    of_study = WORKERS.c.study_id == study_id
    heard_at = sa.select(sa.func.max(WORKERS.c.heartbeat_at)).where(of_study, WORKERS.c.outages == STUDIES.c.outages)
    shortest = sa.select(sa.func.min(WORKERS.c.lost_after_seconds)).where(of_study, WORKERS.c.state == "alive")
    return sa.select(
        STUDIES.c.outages,
        STUDIES.c.reachable_since,
        database_seconds().label("now"),
        heard_at.correlate(STUDIES).scalar_subquery().label("heard_at"),
        shortest.scalar_subquery().label("shortest"),
    ).where(STUDIES.c.study_id == study_id)
