"""The table of the scheduler's runs: what was looked after, when, how late, and what came of it.

What is due is written elsewhere, beside what it is about. A run says only that somebody looked, so that the
same moment is not looked after twice and a moment that nobody looked after is done late and said to be.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from stewardship.db.columns import Words
from stewardship.db.tables import Base, Code, Json, OfOrganisation, between, check_lengths, one_of

#: More than any run does or any outage lasts, in items, seconds or milliseconds.
_MOST = 2_000_000_000


class Outcome(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process ended before it did


class JobRun(OfOrganisation, Base):
    """One job at one moment (``slot``) of one organisation: at most one row, whoever looks after it.

    ``done`` counts items, ``late`` those of them that were done later than they should have been;
    ``late_seconds`` is how long after the first moment that nobody had looked after the run began.
    ``attempts`` grows when an interrupted or failed run is taken up again. ``code`` says in a code why it
    failed, ``document`` what a run found, in ids, codes and counts.
    """

    __tablename__ = "job_runs"
    __table_args__ = (
        one_of("outcome", Outcome),
        CheckConstraint("(outcome = 'running') = (finished_at IS NULL)", name="finished_when"),
        CheckConstraint("(outcome = 'failed') = (length(code) > 0)", name="failed_why"),
        between("attempts", 1, 1_000_000),
        *(between(name, 0, _MOST) for name in ("done", "late", "late_seconds", "milliseconds")),
        {"sqlite_with_rowid": False},
    )

    job: Mapped[str] = mapped_column(Words(64), primary_key=True)
    slot: Mapped[datetime] = mapped_column(primary_key=True)
    outcome: Mapped[Code]
    attempts: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    done: Mapped[int]
    late: Mapped[int]
    late_seconds: Mapped[int]
    milliseconds: Mapped[int]
    code: Mapped[Code]
    document: Mapped[Json]


check_lengths(JobRun.__table__)  # type: ignore[arg-type]
