"""Load from a process of its own: wrk where the machine has it, else the small client below.

Both send one body after the other on kept connections, each with its own numbers of order and patient, look
at every answer, and end by themselves after a time or a count, whichever comes first (wrk knows time only).
"""

from __future__ import annotations

import json
import selectors
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.benchmarks.requests import ORDER_MARK, PATIENT_MARK

#: Different patients: after the first round each is known to the database.
PATIENTS = 500
#: No run is longer, whatever is asked for.
MOST_SECONDS = 60
MOST_REQUESTS = 200_000

_numbers = count(0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: answers, how long it took, milliseconds at the middle and at the slowest hundredth, and
    how many answers were wrong or did not come."""

    requests: int
    seconds: float
    p50: float
    p99: float
    failed: int

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def generator() -> str:
    """Which client sends the load."""
    return "wrk" if shutil.which("wrk") else "the client of tests/benchmarks/load.py"


def run(
    port: int, path: str, body: Path, headers: Mapping[str, str], *, clients: int, seconds: float, wanted: str
) -> Measured:
    """Send the body to the path from so many clients for so long; ``wanted`` is in every right answer."""
    url = f"http://127.0.0.1:{port}{path}"
    first = next(_numbers) * MOST_REQUESTS
    seconds = min(seconds, MOST_SECONDS)
    numbers = [str(body), str(first), str(PATIENTS), wanted]
    if shutil.which("wrk"):
        said = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        script = str(Path(__file__).with_suffix(".lua"))
        # wrk counts in whole seconds.
        options = ["-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        command = ["wrk", *options, *said, "-s", script, url, "--", *numbers]
    else:
        given = json.dumps({"port": port, "path": path, "headers": dict(headers), "clients": clients})
        command = [sys.executable, "-m", "tests.benchmarks.load", given, str(seconds), *numbers]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True, timeout=MOST_SECONDS + 30
    )
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


# --- the small client -------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Client:
    """One connection: what is still to be sent, what came back, and since when it waits."""

    connection: socket.socket
    unsent: bytes = b""
    received: bytearray = field(default_factory=bytearray)
    since: float = 0.0

    def answer(self) -> bytes | None:
        """The whole answer, once it is there."""
        head, found, body = bytes(self.received).partition(b"\r\n\r\n")
        if not found:
            return None
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        return bytes(self.received) if len(body) >= length else None


class _Load:
    """Several clients on one selector."""

    def __init__(self, target: Mapping[str, object], body: bytes, first: int, patients: int) -> None:
        named = target["headers"]
        assert isinstance(named, dict)
        lines = [f"POST {target['path']} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in named.items()]
        self._head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._body, self._number, self._patients = body, first, patients
        self._selector = selectors.DefaultSelector()
        for _ in range(int(str(target["clients"]))):
            connection = socket.create_connection(("127.0.0.1", int(str(target["port"]))), timeout=10)
            connection.setblocking(False)
            self._send(_Client(connection), first=True)

    def _send(self, client: _Client, *, first: bool = False) -> None:
        self._number += 1
        order, patient = b"%08d" % self._number, b"p%07d" % (self._number % self._patients)
        body = self._body.replace(ORDER_MARK.encode(), order).replace(PATIENT_MARK.encode(), patient)
        client.unsent, client.since = self._head + body, time.perf_counter()
        client.received.clear()
        watch = self._selector.register if first else self._selector.modify
        watch(client.connection, selectors.EVENT_WRITE, client)

    def run(self, seconds: float, wanted: bytes) -> dict[str, float]:
        """Until the time is over: then the answers that are still to come are not waited for."""
        took: list[float] = []
        failed = 0
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds and len(took) < MOST_REQUESTS:
            for key, events in self._selector.select(timeout=0.1):
                client: _Client = key.data
                if events & selectors.EVENT_WRITE:
                    client.unsent = client.unsent[client.connection.send(client.unsent) :]
                    if not client.unsent:
                        self._selector.modify(client.connection, selectors.EVENT_READ, client)
                    continue
                piece = client.connection.recv(65_536)
                if not piece:
                    raise SystemExit("the service closed a connection")
                client.received += piece
                answer = client.answer()
                if answer is not None:
                    took.append(time.perf_counter() - client.since)
                    failed += not (answer.startswith(b"HTTP/1.1 200") and wanted in answer)
                    self._send(client)
        took.sort()
        return {
            "requests": len(took),
            "seconds": now - began,
            "p50": took[len(took) // 2] * 1000,
            "p99": took[len(took) * 99 // 100] * 1000,
            "failed": failed,
        }


def _main(target: str, seconds: str, body: str, first: str, patients: str, wanted: str) -> None:
    load = _Load(json.loads(target), Path(body).read_bytes(), int(first), int(patients))
    sys.stdout.write(json.dumps(load.run(float(seconds), wanted.encode())) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
