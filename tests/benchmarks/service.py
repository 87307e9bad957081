"""The service as its users have it: granian with two workers, on 127.0.0.1, on a database of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from stewardship.db import AuditKeys, Sessions, connect, migrate, tables, transaction
from stewardship.domain.people import Principal, Role
from stewardship.services import organisations, tokens
from tests.benchmarks.served import FLOOR

HOST = "127.0.0.1"
ORGANISATION = "benchmark"
WORKERS = 2
_ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Service:
    """A running service: its port, an EHR's token, its process, its database as seen from here,
    and the key of its record."""

    port: int
    token: str
    process: subprocess.Popen[bytes]
    sessions: Sessions
    audit_key: str = field(repr=False)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """One request, without any load generator."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        connection.request("POST", path, body=body, headers=self.headers)
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    @property
    def headers(self) -> dict[str, str]:
        """What each request brings."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def cpu_seconds(self) -> float:
        """Processor time that the server's processes have used: their own, not the database server's."""
        return sum(_cpu_seconds(pid) for pid in _family(self.process.pid))

    def rows(self) -> dict[str, int]:
        """How many rows of each kind are stored: every answer that was counted must have left its own."""
        counted = {"decisions": tables.Decision.__table__, "audit": tables.AuditEvent.__table__}
        # One statement: between two, a request that is still at work may be stored.
        each = [
            select(func.count()).select_from(table).scalar_subquery().label(name)
            for name, table in {**counted, "floor": FLOOR}.items()
        ]
        with transaction(self.sessions, write=False) as session:
            return dict(session.connection().execute(select(*each)).one()._mapping)


@contextlib.contextmanager
def serving(database: str, folder: Path) -> Iterator[Service]:
    """Start the service on a database without any table, and stop it afterwards."""
    keys = {name: secrets.token_urlsafe(48) for name in ("STEWARDSHIP_SECRET_KEY", "STEWARDSHIP_AUDIT_KEY")}
    keys["STEWARDSHIP_CHECKPOINT_KEY"] = secrets.token_urlsafe(32)
    keys["STEWARDSHIP_CHECKPOINT_FILE"] = str(folder / "checkpoints.txt")
    sessions = connect(database, audit_keys=AuditKeys.single(keys["STEWARDSHIP_AUDIT_KEY"].encode()))
    token = _prepare(sessions)
    port = _free_port()
    environ = {"PATH": os.environ["PATH"], "STEWARDSHIP_DATABASE_URL": database, **keys}
    command = "import sys; from tests.benchmarks.service import serve; serve(int(sys.argv[1]))"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", command, str(port)], cwd=_ROOT, env=environ, stdout=log, stderr=log
        )
    service = Service(port, token, process, sessions, keys["STEWARDSHIP_AUDIT_KEY"])
    try:
        _wait_until_ready(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        sessions.kw["bind"].dispose()


def serve(port: int) -> None:
    """In the server's process: what ``stewardship serve`` does, with the floors beside it."""
    from stewardship.cli.serve import run

    run(host=HOST, port=port, workers=WORKERS, application="tests.benchmarks.served:application")


def _prepare(sessions: Sessions) -> str:
    engine = sessions.kw["bind"]
    migrate.upgrade(engine)
    FLOOR.metadata.create_all(engine)
    now, by = datetime.now(UTC), Principal("setup", ORGANISATION, Role.ADMIN)
    with transaction(sessions) as session:
        organisations.ensure(session, ORGANISATION, name=ORGANISATION, by=by, now=now)
        return tokens.issue(
            session,
            organisation_id=ORGANISATION,
            role=Role.EHR,
            scopes=(),
            expires_at=now + timedelta(days=1),
            by=by,
            now=now,
        )


def _wait_until_ready(service: Service) -> None:
    for _ in range(300):
        if service.process.poll() is not None:
            raise SystemExit("the service ended by itself; it says why in its log")
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection(HOST, service.port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the service does not get ready")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


# --- processor time, from /proc ---------------------------------------------------------------------------


def _family(pid: int) -> list[int]:
    """A process and its children, and theirs."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += _family(int(child))
    return found


def _cpu_seconds(pid: int) -> float:
    # The name, in brackets, may hold spaces; user and system time are the 12th and 13th field after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
