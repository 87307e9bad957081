"""Schedulers in processes of their own, to be killed. Each is a fork of one that has read the declarations.

A line on standard input starts one: address of the database, file with the clock's offset, mail server, file
for what it says. The answer is its process id. Its jobs come round several times a second and work in small
portions, so that a kill finds it at work.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stewardship.db import connect
from stewardship.declarations import Library, load
from stewardship.domain.cadence import Every
from stewardship.observability import configure_logging
from stewardship.runtime import Runtime
from stewardship.scheduler import JOBS, work
from stewardship.scheduler.process import Process
from tests.postgres import AUDIT_KEYS
from tests.scheduler.conftest import SETTINGS

#: The jobs that move reviews and mail.
NAMES = ("open-due", "escalate", "remind", "send")
PULSE = 0.2


def shifted(file: Path) -> Callable[[], datetime]:
    """The machine's clock, moved by as many seconds as stand in the file."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(file.read_text() or 0))

    return clock


def schedule(library: Library, url: str, offset: Path, smtp: str, said: Path) -> None:
    """Schedule until killed or told to stop."""
    with said.open("a", buffering=1) as out, Path(f"{said}.log").open("a") as log:
        configure_logging(to=log)
        work.PORTION = 5
        quick = Every(timedelta(milliseconds=400))
        jobs = [replace(job, cadence=quick) for job in JOBS if job.name in NAMES]
        settings = replace(SETTINGS, smtp_url=smtp, mail_from="reviews@clinic.example")
        running = Runtime(settings, library, connect(url, audit_keys=AUDIT_KEYS), shifted(offset))

        def say(word: str) -> None:
            out.write(f"{word} {time.monotonic()}\n")

        process = Process(running, jobs, pulse=PULSE, leading=lambda: say("leads"))
        process.stop_on_signals()
        say("started")
        process.run()
        say("ended")


def main() -> None:
    """Fork for each line, until there are no more."""
    library = load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        url, offset, smtp, said = line.rstrip("\n").split("\t")
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                schedule(library, url, Path(offset), smtp, Path(said))
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
