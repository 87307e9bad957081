"""A report asked for, made, and given out: what the pages, the API and the terminal do with ``reports``.

Whoever asks gets the report of his own organisation, with small numbers of people withheld, stamped with who
made it, how current the data are, and how far the audit trail had come, signed. Giving one out is an audit
event with its row count and filter, written before anything of it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import IO, Any

from sqlalchemy.orm import Session

from stewardship.db import Sessions
from stewardship.domain.errors import Fault, InvalidInput, NotFound
from stewardship.domain.people import Principal
from stewardship.reports import as_of as standing
from stewardship.reports import why as evidence
from stewardship.reports.listed import REPORTS
from stewardship.reports.rendering import pdf, spreadsheet, terminal, text
from stewardship.reports.reporting import Asked, Listed, Made, Stamp, Value
from stewardship.reports.suppression import without_small_numbers
from stewardship.services import audit, pharmacies, replay
from stewardship.witness import Witness

#: A period that nobody named: so many days, to the end of today.
USUAL_DAYS = 92
#: Ten years and a few days.
_LONGEST_DAYS = 3_660


class Format(StrEnum):
    """How a report is given out."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    TEXT = "text"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
    Format.TEXT: "text/plain; charset=utf-8",
}


def listed(report_id: str) -> Listed:
    """The report of that id; ``NotFound`` without one."""
    known = REPORTS.get(report_id)
    if known is None:
        raise NotFound(f"there is no such report; there are {', '.join(REPORTS)}")
    return known


def period(since: date | None, until: date | None, *, now: datetime) -> tuple[date, date]:
    """The days asked for, ``until`` not included: without any the last ``USUAL_DAYS`` and today."""
    last = until or now.astimezone(UTC).date() + timedelta(days=1)
    return since or last - timedelta(days=USUAL_DAYS), last


def made(
    session: Session,
    library: Any,
    report_id: str,
    asked: Asked,
    *,
    by: Principal,
    now: datetime,
    checkpoint: str = "",
    currency: str = "",
) -> Made:
    """The report, ready to be shown or written. ``checkpoint`` is what ``checkpoint_note`` gave before this
    transaction began; ``currency`` is told by what pharmacies reported unless it is given.

    Raises ``NotFound`` for a report that does not exist, ``InvalidInput`` for a period that is none or a
    filter that the report does not know.
    """
    report = listed(report_id)
    # Whose it is, is never what the caller says.
    asked = replace(asked, organisation_id=by.organisation_id, now=now)
    _refuse(report, asked)
    counted = without_small_numbers(report.make(session, library, asked), fewest=library.fewest_shown)
    told = currency or currency_of(session, by=by, now=now)
    return Made(counted, Stamp(by.user_id, now, told, checkpoint))


def _refuse(report: Listed, asked: Asked) -> None:
    faults: list[Fault] = []
    days = (asked.until - asked.since).days
    if not 0 < days <= _LONGEST_DAYS:
        faults.append(
            Fault("/until", "period", f"a period ends after it begins, and within {_LONGEST_DAYS} days")
        )
    for name in asked.filters:
        if name not in report.filters:
            can = ", ".join(sorted(report.filters)) or "nothing"
            faults.append(Fault(f"/{name}", "filter", f"this report can be narrowed to: {can}"))
    if faults:
        raise InvalidInput("the report cannot be made as it was asked for", faults=tuple(faults))


def why(
    session: Session,
    library: Any,
    decision_id: str,
    *,
    by: Principal,
    now: datetime,
    checkpoint: str = "",
) -> Made:
    """Why a decision was made as it was, on a page: decided again, with everything on record about it.
    ``NotFound`` for another organisation's."""
    found = replay.replay(session, library, decision_id, by=by)
    otherwise = (
        *(f"{policy} version {version}: no file here holds it" for policy, version in found.missing),
        *(f"{policy} version {version}: its file is not what it was" for policy, version in found.changed),
        *(f"{one.policy}: {one.field} was {one.then!r}, is {one.now!r}" for one in found.differences),
    )
    told = evidence.why(session, by.organisation_id, decision_id, evidence.Again(found.compared, otherwise))
    return Made(told, Stamp(by.user_id, now, currency_of(session, by=by, now=now), checkpoint))


def as_of(
    session: Session,
    library: Any,
    patient: str,
    at: datetime,
    *,
    by: Principal,
    now: datetime,
    checkpoint: str = "",
) -> Made:
    """A patient's chart, and the policies, as they stood at an instant. ``patient`` is our own id or the
    EHR's. ``NotFound`` for one who is not on record here, ``InvalidInput`` for an instant to come. That
    somebody looks is for the caller to put on record."""
    if at > now:
        fault = Fault("/at", "at", "Give a moment that is over.")
        raise InvalidInput("what will be known is not known", faults=(fault,))
    day = at.astimezone(UTC).date()
    asked = Asked(by.organisation_id, day, day + timedelta(days=1), now=now)
    try:
        told = standing.as_of(session, library, asked, patient=patient, at=at)
    except LookupError:
        raise NotFound("no such patient is on record") from None
    return Made(told, Stamp(by.user_id, now, currency_of(session, by=by, now=now), checkpoint))


def checkpoint_note(sessions: Sessions, organisation_id: str) -> str:
    """How far the organisation's audit trail has come, as a signed note to print on a report; ``""`` where
    no witness is set. It is a transaction of its own: ask for it before the report's begins."""
    witness = (sessions.kw.get("info") or {}).get("witness")
    if not isinstance(witness, Witness):
        return ""
    reached = witness.checkpoint(sessions, organisation_id)
    return "" if reached is None else witness.signer.sign(reached)


def currency_of(session: Session, *, by: Principal, now: datetime) -> str:
    """Up to when dispensings are known, as words for the head of a report."""
    known = [one for one in pharmacies.listed(session, by=by, now=now) if not one["retired"]]
    moments = sorted(one["data_as_of"] for one in known if one["data_as_of"] is not None)
    if not moments:
        return "No pharmacy has reported dispensings; orders and what was decided about them are of now."
    silent = sum(one["silent"] for one in known)
    told = (
        f"Dispensings of {len(known)} pharmacies, known up to {moments[0]:%d %B %Y, %H:%M} UTC from the one "
        f"that is furthest behind and {moments[-1]:%d %B %Y, %H:%M} UTC from the newest"
    )
    never = len(known) - len(moments)
    behind = f"; {silent} silent for too long" if silent else ""
    return f"{told}{behind}{f'; {never} never reported in whole' if never else ''}."


# --- giving out --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: how many rows its tables had."""

    rows: int


def write(
    made: Made, form: Format, to: IO[bytes], *, progress: Callable[[int], None] | None = None
) -> Written:
    """Write the report, row by row: JSON, CSV and XLSX of a million rows take no more memory than of ten.
    ``progress`` is told how many rows there were, now and then."""
    counting = _Counting(progress)
    counted = replace(
        made,
        report=replace(
            made.report,
            tables=tuple(replace(table, rows=counting.rows(table.rows)) for table in made.report.tables),
        ),
    )
    if form is Format.XLSX:
        spreadsheet.write_xlsx(counted, to)
    elif form is Format.PDF:
        to.write(pdf.as_pdf(counted))
    else:
        for piece in _AS_TEXT[form](counted):
            to.write(piece)
    return Written(counting.count)


_TOLD_EVERY = 1_000
_AS_TEXT: Mapping[Format, Callable[[Made], Iterator[bytes]]] = {
    Format.JSON: text.as_json,
    Format.CSV: text.as_csv,
    Format.TEXT: terminal.as_text,
}


class _Counting:
    """Rows as they pass by."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self.count = 0
        self._progress = progress

    def rows(self, rows: Iterable[Sequence[Value]]) -> Iterator[Sequence[Value]]:
        for row in rows:
            self.count += 1
            if self._progress is not None and self.count % _TOLD_EVERY == 0:
                self._progress(self.count)
            yield row


def record_export(
    session: Session, made: Made, form: Format, written: Written, *, by: Principal, now: datetime
) -> None:
    """Write down that the report is given out: which, of which period, narrowed to what, in which form, and
    how many rows. Belongs to a transaction that is committed, and so witnessed, before anything leaves."""
    asked = made.report.asked
    detail = {
        "format": form.value,
        "since": asked.since.isoformat(),
        "until": asked.until.isoformat(),
        "filters": asked.filters,
        "rows": written.rows,
        "withheld": made.report.withheld,
    }
    audit.record(session, "export.made", subject=made.report.id, by=by, now=now, detail=detail)


def file_name(made: Made, form: Format) -> str:
    """What the file is called where it is saved."""
    asked, ending = made.report.asked, "txt" if form is Format.TEXT else form.value
    return f"{made.report.id}-{asked.since.isoformat()}-{asked.until.isoformat()}.{ending}"
