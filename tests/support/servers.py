"""Real servers for tests and benchmarks: a PostgreSQL and an S3 store of our own, and a MariaDB that is given."""

import atexit
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import sqlalchemy as sa

MYSQL_VARIABLE = "SEARCH_TEST_MYSQL"
_NUMBERS = itertools.count()
GUARD = """
while kill -0 "$1" 2>/dev/null && [ -d "$2" ]; do sleep 1; done
[ ! -f "$2/data/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$2/data/postmaster.pid")"
rm -rf "$2"
"""
"""Ends a server whose owner was killed; pytest's workers are, when their machine is slow."""


@dataclass
class Postgres:
    """A PostgreSQL of our own, run by this user or by another, on a socket in its folder and on one port."""

    folder: Path
    user: str | None
    address: str = "127.0.0.1"
    port: int = field(default_factory=lambda: free_port())
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"max_connections": "300", **self.settings}
        given = " ".join(f"-c {name}={value}" for name, value in settings.items())
        options = f"-h {self.address} -p {self.port} -k {self.folder} {given}"
        self._control("-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is as a crash."""
        self._control("-w", "-m", mode, "stop")

    def allow(self, network: str) -> None:
        """Accept connections from a network without a password."""
        with (self.folder / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {network} trust\n")
        self._control("reload")

    def url(self, database: str, *, over: str = "socket") -> str:
        """The URL of a database, over its `socket` or over `tcp`."""
        if over == "tcp":
            return f"postgresql+psycopg://postgres@{self.address}:{self.port}/{database}"
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}&port={self.port}"

    def new_database(self) -> str:
        """The URL of a database that is empty."""
        return self.url(new_database(self.url("postgres")))

    def _control(self, *arguments: str) -> None:
        _pgserver()._commands.pg_ctl([*arguments], pgdata=self.folder, user=self.user, timeout=60)


@contextlib.contextmanager
def postgres(address: str = "127.0.0.1", settings: Mapping[str, str] | None = None) -> Iterator[Postgres]:
    """A PostgreSQL that lives as long as the block."""
    pgserver = _pgserver()
    # Not in pytest's folder, which only its owner may enter: as root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="search-postgres-"))
    guard = subprocess.Popen(["sh", "-c", GUARD, "guard", str(os.getpid()), str(folder)], start_new_session=True)
    made = pgserver.get_server(folder / "data", cleanup_mode=None)
    atexit.unregister(made._cleanup)
    server = Postgres(made.pgdata, made.system_user, address, settings=settings or {})
    try:
        server.stop("fast")
        server.start()
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
        guard.wait(10)


def new_database(server_url: str) -> str:
    """Create an empty database on a server; returns its name."""
    name = f"search_{os.getpid()}_{next(_NUMBERS)}"
    _execute(server_url, f"CREATE DATABASE {name}")
    return name


def drop_database(server_url: str, name: str) -> None:
    """Drop a database."""
    _execute(server_url, f"DROP DATABASE {name}")


def _execute(server_url: str, statement: str) -> None:
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def with_database(server_url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def s3_bucket() -> Iterator[str]:
    """The URL of a bucket in an S3 server of our own; meanwhile the environment names the server and its keys."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "key"}
    try:
        with mock.patch.dict(os.environ, environment):
            _await_answer(port, process)
            fsspec.filesystem("s3").mkdir("bucket")
            yield "s3://bucket"
    finally:
        process.kill()
        process.wait()


def _await_answer(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the S3 server did not start")


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _pgserver() -> Any:
    with warnings.catch_warnings():
        # It looks for the user's run-time folder, which root and containers may not have.
        warnings.simplefilter("ignore")
        import pgserver
        import pgserver._commands
    return pgserver
