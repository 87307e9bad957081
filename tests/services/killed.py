"""One import in a process of its own, to be killed: address, file, items a portion at the most."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

from stewardship import importing
from stewardship.db import connect
from stewardship.intake.feeds import AsapFeed
from tests.postgres import AUDIT_KEYS
from tests.services.declared import PHARMACIST
from tests.services.feeding import TERMS


def _say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Import, and say how far it is."""
    url, file, portion = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    feed = AsapFeed(lambda: file.open("rb"), file.name, date(2026, 11, 22))
    done = importing.take_in(
        connect(url, audit_keys=AUDIT_KEYS),
        TERMS,
        feed,
        by=PHARMACIST,
        clock=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC),
        progress=_say,
        portion=portion,
    )
    _say(done.report.status.value)


if __name__ == "__main__":
    main()
