"""Lets all threads of a process share one connection to a database server, which limits its connections."""

import math
import threading
import time
import weakref
from typing import Any

from sqlalchemy import Engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

PING_AFTER_SECONDS = 2.0
TURN_SECONDS = 20
"""Seconds for which a thread waits for the shared connection; longer than it takes to detect a cut link."""
LOCK_SECONDS, IDLE_TRANSACTION_SECONDS = 5, 15


class FewConnections(QueuePool):
    """A pool whose threads wait in turn.

    In SQLAlchemy's pool a thread waits for the whole timeout if another thread has failed to connect. Here the next
    one tries at once.
    """

    def __init__(self, creator: Any, pool_size: int = 1, max_overflow: int = 0, **settings: Any) -> None:
        super().__init__(creator, pool_size, max_overflow, **settings)
        self._turn = threading.Semaphore(pool_size + max_overflow)

    def keep_to_one(self) -> None:
        """Allow one connection from now on. Call this while none is in use."""
        while self._max_overflow > 0 and self._turn.acquire(blocking=False):
            self._max_overflow -= 1

    def _do_get(self) -> ConnectionPoolEntry:
        if not self._turn.acquire(timeout=self._timeout):
            raise exc.TimeoutError(
                f"another thread of this process has used the database connection for {self._timeout:g} s"
            )
        try:
            return super()._do_get()
        except BaseException:
            self._turn.release()
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            super()._do_return_conn(record)
        finally:
            self._turn.release()


def share_one_connection(engine: Engine) -> None:
    """Let all threads use one connection of an engine with `FewConnections`, with bounded waits for locks.

    Call it while none is in use: Optuna needs two while it creates its tables. A lock is waited for `LOCK_SECONDS`,
    and then tried again. The server ends a transaction that is idle for `IDLE_TRANSACTION_SECONDS`, since its process
    has been suspended.
    """
    engine.dispose()
    if isinstance(engine.pool, FewConnections):
        engine.pool.keep_to_one()
    event.listen(engine, "connect", _set_bounds)


def _set_bounds(connection: Any, record: Any) -> None:
    with connection.cursor() as cursor:
        if hasattr(connection, "get_server_info"):
            cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}")
            if "mariadb" in connection.get_server_info().lower():
                cursor.execute(f"SET SESSION idle_transaction_timeout = {IDLE_TRANSACTION_SECONDS}")
        else:
            cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_SECONDS}s'")
    connection.commit()


def ping_rarely(engine: Engine) -> None:
    """Check a connection only if the last check is some seconds old: a trial makes many small transactions."""
    ping = engine.dialect.do_ping
    pinged: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()

    def do_ping(connection: Any) -> bool:
        now = time.monotonic()
        if now - pinged.get(connection, -math.inf) < PING_AFTER_SECONDS:
            return True
        pinged[connection] = now
        return ping(connection)

    engine.dialect.do_ping = do_ping  # type: ignore[assignment, method-assign]
