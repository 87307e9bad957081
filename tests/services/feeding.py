"""Files for the import service, and what stands in the database after them."""

from __future__ import annotations

import io
from datetime import date, datetime
from typing import Any

from sqlalchemy import select

from stewardship import importing
from stewardship.db import Sessions, tables, transaction
from stewardship.declarations.feeds import read_feed_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.people import Principal
from stewardship.importing import Imported
from stewardship.intake.feeds import AsapFeed
from tests.builders import NOW
from tests.intake.asap.files import PRESCRIBER, a_file, dispensing, patient
from tests.services.declared import PHARMACIST

TERMS = read_feed_terms(REFERENCE)
NEW, REVISE, VOID = "00", "01", "02"


def a_feed(content: bytes, name: str = "file.asap", *, state: str = "") -> AsapFeed:
    """A content as a feed."""
    return AsapFeed(lambda: io.BytesIO(content), name, date(2026, 11, 22), state=state)


def bring(
    sessions: Sessions,
    content: bytes,
    *,
    name: str = "file.asap",
    by: Principal = PHARMACIST,
    now: datetime = NOW,
    **more: Any,
) -> Imported:
    """Import a content."""
    return importing.take_in(sessions, TERMS, a_feed(content, name), by=by, clock=lambda: now, **more)


def a_report(
    status: str = NEW,
    number: int = 1,
    *,
    of: int = 1,
    control: str = "0001",
    created: str = "20260105*0930",
    who: dict[str, str] | None = None,
    **elements: Any,
) -> bytes:
    """A file of one row: the dispensing ``number`` of the patient ``of``."""
    row = [patient(of, **(who or {})), dispensing(number, e01=status, **elements), PRESCRIBER]
    return a_file(row, control=control, created=created)


def supplies(sessions: Sessions, *, organisation: str = PHARMACIST.organisation_id) -> set[tuple[Any, ...]]:
    """What the patients of an organisation have."""
    table = tables.Supply.__table__.c
    asked = select(
        table.source_id, table.start_on, table.quantity_value, table.days_supply, table.document
    ).where(table.organisation_id == organisation)
    return {tuple(row) for row in rows(sessions, asked)}


def rows(sessions: Sessions, asked: Any) -> list[Any]:
    """The answer to a query."""
    with transaction(sessions, write=False) as session:
        return list(session.connection().execute(asked))


def count(sessions: Sessions, table: Any) -> int:
    """How many rows a table has."""
    return len(rows(sessions, select(table.__table__)))
