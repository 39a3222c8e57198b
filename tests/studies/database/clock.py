"""A database clock that a test can set, for all its workers."""

import time
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import event

from studies.database.transactions import database_seconds

DIALECTS: Mapping[str, str] = {"sqlite": "julianday('now')", "postgresql": "clock_timestamp()", "mysql": "SYSDATE(6)"}
"""What each database's own clock is called."""


class SetClock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now = time.time()

    def move(self, seconds: float) -> None:
        """Move the clock by a number of seconds, back if negative."""
        self.now += seconds

    def govern(self, engine: sa.Engine) -> None:
        """Make it the clock of an engine from now on."""
        dialect = "mysql" if engine.dialect.name == "mariadb" else engine.dialect.name
        now = (
            str(sa.select(database_seconds()).compile(dialect=engine.dialect))
            .removeprefix("SELECT ")
            .partition(" AS ")[0]
        )
        assert DIALECTS[dialect] in now

        def moved(connection, cursor, statement, parameters, context, executemany):
            return statement.replace(now, f"({self.now!r} + 0.0)"), parameters

        event.listen(engine, "before_cursor_execute", moved, retval=True)
