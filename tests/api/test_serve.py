"""The service as a process: started by its command, asked over a socket, told to stop."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stewardship.db import AuditKeys, connect, migrate, transaction
from stewardship.domain.people import Principal, Role
from stewardship.intake.strict_json import dumps
from stewardship.services import organisations, tokens
from tests.api.conftest import a_case

AUDIT_KEY = "Zk8vT1nR5uXo2bYw7qJc4eLh9mPf6gDs"


@dataclass
class Served:
    """A running service: its port, its process, and a prescriber's token."""

    port: int
    token: str
    process: subprocess.Popen[bytes]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(
            method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer


def prepared(database: str) -> str:
    """A migrated database with one organisation; a prescriber's token."""
    sessions = connect(database, audit_keys=AuditKeys.single(AUDIT_KEY.encode()))
    migrate.upgrade(sessions.kw["bind"])
    now, by = datetime.now(UTC), Principal("setup", "org", Role.ADMIN)
    with transaction(sessions) as session:
        organisations.ensure(session, "org", name="One", by=by, now=now)
        token = tokens.issue(
            session,
            organisation_id="org",
            role=Role.PRESCRIBER,
            scopes=(),
            expires_at=now + timedelta(days=1),
            by=by,
            now=now,
        )
    sessions.kw["bind"].dispose()
    return token


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    database = f"sqlite:///{folder / 'served.db'}"
    token = prepared(database)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"],
        "STEWARDSHIP_DATABASE_URL": database,
        "STEWARDSHIP_SECRET_KEY": "mW2c0xq9zQbLr7VtUe4yKp1sHd8fGj3n",
        "STEWARDSHIP_AUDIT_KEY": AUDIT_KEY,
        "STEWARDSHIP_CHECKPOINT_FILE": str(folder / "checkpoints.txt"),
        "STEWARDSHIP_CHECKPOINT_KEY": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA",
    }
    command = "from stewardship.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--port", str(port), "--workers", "1"],
        cwd=root, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    running = Served(port, token, process)
    try:
        _wait(running)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)


def _wait(running: Served) -> None:
    """Until it is ready, however busy the machine is."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if running.ask("GET", "/readyz")[0] == 200:
                return
        assert running.process.poll() is None, "the service ended by itself"
        time.sleep(0.1)
    raise AssertionError("the service did not start")


def test_it_answers(served: Served) -> None:
    assert served.ask("GET", "/healthz") == (200, b'{"status":"ok"}')
    assert served.ask("GET", "/api/v1/whoami")[0] == 401


def test_a_body_without_a_length_is_bounded_too(served: Served) -> None:
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    connection.sendall(
        b"POST /api/v1/orders/screen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer " + served.token.encode() + b"\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(32):
        try:
            connection.sendall(piece)
        except OSError:
            break
    with contextlib.suppress(OSError):
        connection.sendall(b"0\r\n\r\n")
    answer = connection.recv(4096)
    connection.close()
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_order_is_read(served: Served) -> None:
    status, body = served.ask(
        "POST",
        "/api/v1/orders/screen",
        iter([dumps(a_case())]),  # type: ignore[arg-type]
        Authorization=f"Bearer {served.token}",
        Content_Type="application/json",
    )
    assert status == 200, body


def test_half_open_connections_do_not_stop_it(served: Served) -> None:
    waiting = []
    for _ in range(40):
        one = socket.create_connection(("127.0.0.1", served.port), timeout=5)
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        waiting.append(one)
    before = time.monotonic()
    assert served.ask("GET", "/healthz")[0] == 200
    assert time.monotonic() - before < 5
    for one in waiting:
        one.close()


def test_it_stops_when_it_is_told_to(served: Served) -> None:
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=20) == 0
