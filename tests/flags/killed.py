"""One watch in a process of its own, to be killed: the database's address."""

from __future__ import annotations

import sys

from stewardship.db import connect, transaction
from stewardship.services import watch
from tests.builders import NOW
from tests.flags.feeding import declared
from tests.flags.raising import WATCH
from tests.postgres import AUDIT_KEYS


def main() -> None:
    """Watch, and say how far it is after each portion."""
    sessions = connect(sys.argv[1], audit_keys=AUDIT_KEYS)
    done = False
    while not done:
        with transaction(sessions, late=True) as session:
            progress = watch.step(session, declared(), by=WATCH, now=NOW, portion=2)
        sys.stdout.write(f"{progress.patients}\n")
        sys.stdout.flush()
        done = progress.done


if __name__ == "__main__":
    main()
