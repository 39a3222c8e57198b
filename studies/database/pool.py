"""Lets all threads of a process share one connection to a database server, whose connections are counted."""

import math
import threading
import time
import weakref
from typing import Any

from sqlalchemy import Engine, event, exc
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

PING_AFTER_SECONDS = 2.0
TURN_SECONDS = 20
"""How long a thread waits while another one of its process uses their connection; longer than a link takes to break."""
LOCK_SECONDS, IDLE_TRANSACTION_SECONDS = 5, 15


class FewConnections(QueuePool):
    """Connections for which threads wait in turn.

    SQLAlchemy's own pool lets a thread wait for its whole time-out when another one has failed to connect: nothing is
    given back then. Here the next in turn tries at once.
    """

    def __init__(self, creator: Any, pool_size: int = 1, max_overflow: int = 0, **settings: Any) -> None:
        super().__init__(creator, pool_size, max_overflow, **settings)
        self._turn = threading.Semaphore(pool_size + max_overflow)

    def keep_to_one(self) -> None:
        """Allow one connection from now on; to be called while none is in use."""
        while self._max_overflow > 0 and self._turn.acquire(blocking=False):
            self._max_overflow -= 1

    def _do_get(self) -> ConnectionPoolEntry:
        if not self._turn.acquire(timeout=self._timeout):
            raise exc.TimeoutError(
                f"another thread of this process has used its connection to the database for {self._timeout:g} seconds"
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
    """Let all threads use one connection, of which neither the owner nor others wait for locks without end.

    A lock is waited for `LOCK_SECONDS`, and then tried again. The server ends a transaction that says nothing for
    `IDLE_TRANSACTION_SECONDS`: its process was suspended in the middle of it.

    Args:
        engine: One whose connections none uses, with `FewConnections`. Optuna needs two while it creates its tables.
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
    """Ask a connection whether it lives only after a while: a trial makes many small transactions."""
    ping = engine.dialect.do_ping
    pinged: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()

    def do_ping(connection: Any) -> bool:
        now = time.monotonic()
        if now - pinged.get(connection, -math.inf) < PING_AFTER_SECONDS:
            return True
        pinged[connection] = now
        return ping(connection)

    engine.dialect.do_ping = do_ping  # type: ignore[assignment, method-assign]
