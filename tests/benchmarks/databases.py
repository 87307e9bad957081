"""A PostgreSQL for a benchmark: as the tests start one, but one that keeps what it has committed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import postgres

#: The tests' server does not wait for the disk; a commit that is timed has to.
_DURABLE = ["-c", "listen_addresses=", "-c", "max_connections=100"]


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database on a server of its own, stopped afterwards."""
    binaries = postgres._debian_binaries()
    if binaries is None:
        raise SystemExit("this machine has no PostgreSQL server; name one with --database")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    starting = postgres._start_debian(binaries, folder, settings=_DURABLE)
    server = next(starting)
    try:
        server.run("CREATE DATABASE benchmark")
        yield server.url("benchmark")
    finally:
        starting.close()
        shutil.rmtree(folder, ignore_errors=True)
