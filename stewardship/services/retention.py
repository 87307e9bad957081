"""What is past its time, and its removal: in portions, each one transaction with its event of the trail.

Whether something goes is one expression (``_standing``), for the report and for the removal alike. A decision
goes whole: the order, the facts, its findings and all that people did about them. What stays is that there
was one, and the digest of what it was, which its entry of the trail holds too; so the trail stays whole, and
a decision that somebody altered before it was removed is still found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, insert, null, select, tuple_
from sqlalchemy.orm import Session

from stewardship.db import (
    documents,
    identity_tables,
    import_tables,
    job_tables,
    outreach_tables,
    retention_tables,
    tables,
)
from stewardship.db.engine import new_id
from stewardship.db.retention_tables import Erased
from stewardship.domain.errors import NotFound
from stewardship.domain.people import Principal
from stewardship.domain.retention import Retention, Term
from stewardship.services import audit, dispensed, holds, policy_versions
from stewardship.services.orders import content_digest

#: Records that go together, in one transaction.
PORTION = 200

_decisions: Any = tables.Decision.__table__
_findings: Any = tables.Finding.__table__
_orders: Any = tables.Order.__table__
_overrides: Any = tables.Override.__table__
_requests: Any = tables.ExceptionRequest.__table__
_signatures: Any = tables.Countersignature.__table__
_snoozes: Any = tables.Snooze.__table__
_snooze_ends: Any = tables.SnoozeEnd.__table__
_cards: Any = tables.Card.__table__
_feedback: Any = tables.CardFeedback.__table__
_patients: Any = tables.Patient.__table__
_reports: Any = import_tables.DispensingReport.__table__
_identities: Any = import_tables.Identity.__table__
_erasures: Any = retention_tables.Erasure.__table__


class Standing(IntEnum):
    """Why something that is past its time stays; the largest reason counts."""

    DUE = 0  # nothing keeps it
    YOUNG = 1  # its patient is not of the age yet
    UNTOLD = 2  # how old its patient is, is not known
    OPEN = 3  # an exception is still to be signed
    HELD = 4  # a legal hold


#: The same in words, as reports of it say them.
WHY_IT_STAYS = {
    Standing.HELD: "a legal hold stands",
    Standing.OPEN: "an exception is still to be signed",
    Standing.YOUNG: "the patient is too young",
    Standing.UNTOLD: "how old the patient is, is not known",
}


@dataclass
class Past:
    """What is past its time of one kind: by why it stays, and by the year it is of."""

    term: Term
    before: date
    standing: Counter[Standing] = field(default_factory=Counter)
    years: Counter[int] = field(default_factory=Counter)
    next_on: date | None = None  # when the oldest of the rest will be past its time; None when there is none

    @property
    def due(self) -> int:
        """How many would go."""
        return self.standing[Standing.DUE]


def terms_json(declared: Retention) -> dict[str, Any]:
    """How long each kind of record is kept, on what that rests, and what is never removed."""
    return {
        "terms": [
            {
                "kind": term.kind,
                "title": term.title,
                "what": term.what,
                "years": term.years,
                "until_age": term.until_age,
                "sources": [
                    {"title": s.title, "url": s.url, "date": s.date, "verified": s.verified}
                    for s in term.sources
                ],
            }
            for term in declared.terms.values()
        ],
        "kept": [{"id": one.id, "title": one.title, "why": one.why} for one in declared.kept],
    }


def past_json(one: Past) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "kind": one.term.kind,
        "title": one.term.title,
        "before": one.before.isoformat(),
        "would_go": one.due,
        "by_year": {str(year): count for year, count in sorted(one.years.items())},
        "next_on": one.next_on,
        "stay": {words: one.standing[standing] for standing, words in WHY_IT_STAYS.items()},
    }


@dataclass(frozen=True, slots=True)
class Removed:
    """A portion that was removed."""

    kind: str
    rows: int


def past(session: Session, retention: Retention, *, by: Principal, now: datetime) -> tuple[Past, ...]:
    """What is past its time, and how much of it would go; nothing is changed."""
    holds.only_compliance(by, "see what is past its time")
    found = []
    for term in retention.terms.values():
        counted = Past(term, term.before(now.date()))
        asked = _asked(term, by, now).subquery()
        for row in session.connection().execute(select(asked.c.moment, asked.c.standing)):
            standing = Standing(row.standing)
            counted.standing[standing] += 1
            if standing is Standing.DUE:
                counted.years[_moment(row.moment).year] += 1
        rest = session.connection().execute(_oldest_of_the_rest(term, by, now)).scalar()
        counted.next_on = None if rest is None else term.over_on(_moment(rest).date())
        found.append(counted)
    return tuple(found)


def remove(
    session: Session,
    retention: Retention,
    kind: str,
    *,
    by: Principal,
    now: datetime,
    most: int = PORTION,
) -> Removed:
    """Remove the next portion of what is past its time and kept by nothing; 0 rows when there is no more.

    Whoever is interrupted goes on where he was by calling it again. Raises ``Forbidden`` for anybody but
    compliance, ``NotFound`` for a kind that has no term.
    """
    holds.only_compliance(by, "remove what is past its time")
    term = retention.terms.get(kind)
    if term is None:
        raise NotFound(f"there is no such kind of record; there are {', '.join(retention.terms)}")
    holds.alone(session, by)
    asked = _asked(term, by, now).subquery()
    columns = [column for column in asked.c if column.name not in {"moment", "standing"}]
    due = select(*columns).where(asked.c.standing == Standing.DUE.value).order_by(*columns).limit(most)
    keys = [tuple(row) for row in session.connection().execute(due)]
    if not keys:
        return Removed(kind, 0)
    portion = new_id(now)
    detail: dict[str, Any] = {"before": term.before(now.date()), "rows": len(keys)}
    if kind in _WHOLE:
        gone = _WHOLE[kind](session, [key[0] for key in keys], portion, by, now)
        detail |= {"portion": portion, "sha256": portion_digest(gone)}
    else:
        _remove_rows(session, _ROWS[kind], keys)
    audit.record(session, "retention.purged", subject=kind, by=by, now=now, detail=detail)
    return Removed(kind, len(keys))


def portion_digest(erased: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 over what is written down of the records of a portion; its audit event holds it."""
    rows = sorted(erased, key=lambda row: (row["kind"], row["record_id"]))
    names = ("kind", "record_id", "portion", "patient_id", "sha256", "kept")
    return documents.digest(*(row[name] for row in rows for name in names))


# --- what is past its time ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """Rows that nothing refers to: they go one by one. ``moment`` is the column that says how old one is,
    ``patient`` the one that says whose it is."""

    table: Any
    moment: str
    patient: str | None = None


_ROWS = {
    "job-runs": _Rows(job_tables.JobRun.__table__, "finished_at"),
    "letters": _Rows(outreach_tables.OutboxMessage.__table__, "sent_at"),
    "sessions": _Rows(identity_tables.BrowserSession.__table__, "expires_at"),
    "links": _Rows(outreach_tables.QuestionnaireLink.__table__, "expires_at", "patient_id"),
}


def _asked(term: Term, by: Principal, now: datetime) -> Select[Any]:
    """Everything of a kind that is past its time: its key, ``moment``, and its ``standing`` as a number."""
    before, born_by = _start(term, now), term.born_by(now.date())
    if term.kind == "decisions":
        return _past_decisions(by.organisation_id, before, born_by)
    if term.kind == "dispensings":
        return _past_dispensings(by.organisation_id, before, born_by)
    rows = _ROWS[term.kind]
    c = rows.table.c
    patient: Any = null() if rows.patient is None else c[rows.patient]
    standing = case((holds.holds(by.organisation_id, patient), Standing.HELD.value), else_=0)
    return select(
        *rows.table.primary_key.columns, c[rows.moment].label("moment"), standing.label("standing")
    ).where(c.organisation_id == by.organisation_id, c[rows.moment] < before)


def _oldest_of_the_rest(term: Term, by: Principal, now: datetime) -> Select[Any]:
    """The moment of the oldest record of a kind that is not past its time yet."""
    before, own = _start(term, now), by.organisation_id
    if term.kind == "dispensings":
        c = _reports.c
        last = func.max(c.received_at)
        each = select(last.label("moment")).where(c.organisation_id == own).group_by(c.dispensing_id)
        return select(func.min(each.having(last >= before).subquery().c.moment))
    rows = _Rows(_decisions, "as_of") if term.kind == "decisions" else _ROWS[term.kind]
    moment = rows.table.c[rows.moment]
    return select(func.min(moment)).where(rows.table.c.organisation_id == own, moment >= before)


def _start(term: Term, now: datetime) -> datetime:
    """The first moment of the day from which on records are not past their time."""
    return datetime.combine(term.before(now.date()), time(), tzinfo=UTC)


def _of_age(born_by: date | None) -> list[tuple[ColumnElement[bool], int]]:
    """What the age of a patient keeps."""
    if born_by is None:
        return []
    born = _patients.c.birth_date
    return [(born.is_(None), Standing.UNTOLD.value), (born > born_by, Standing.YOUNG.value)]


def _past_decisions(organisation_id: str, before: datetime, born_by: date | None) -> Select[Any]:
    c = _decisions.c
    waits = exists().where(
        _requests.c.organisation_id == c.organisation_id,
        _requests.c.decision_id == c.id,
        _requests.c.status == tables.ExceptionStatus.OPEN.value,
    )
    standing = case(
        (holds.holds(organisation_id, c.patient_id), Standing.HELD.value),
        (waits, Standing.OPEN.value),
        *_of_age(born_by),
        else_=Standing.DUE.value,
    )
    whose = and_(_patients.c.organisation_id == c.organisation_id, _patients.c.id == c.patient_id)
    return (
        select(c.id, c.as_of.label("moment"), standing.label("standing"))
        .select_from(_decisions.join(_patients, whose))
        .where(c.organisation_id == organisation_id, c.as_of < before)
    )


def _past_dispensings(organisation_id: str, before: datetime, born_by: date | None) -> Select[Any]:
    """A dispensing is as old as the last row about it, and kept by whatever keeps one of those whom its rows
    name. What was dispensed for an animal is nobody's."""
    c, identity = _reports.c, _identities.c
    young = [(and_(identity.patient_id.is_not(None), condition), why) for condition, why in _of_age(born_by)]
    standing = case(
        (holds.holds(organisation_id, identity.patient_id), Standing.HELD.value),
        *young,
        else_=Standing.DUE.value,
    )
    named = and_(identity.organisation_id == c.organisation_id, identity.id == c.identity_id)
    whose = and_(
        _patients.c.organisation_id == identity.organisation_id, _patients.c.id == identity.patient_id
    )
    return (
        select(
            c.dispensing_id,
            func.max(c.received_at).label("moment"),
            func.max(standing).label("standing"),
        )
        .select_from(_reports.join(_identities, named).outerjoin(_patients, whose))
        .where(c.organisation_id == organisation_id)
        .group_by(c.dispensing_id)
        .having(func.max(c.received_at) < before)
    )


def _moment(value: datetime | str) -> datetime:
    # The largest of a column comes back from SQLite as it is kept.
    return datetime.fromisoformat(value) if isinstance(value, str) else value


# --- removing ---------------------------------------------------------------------------------------


def _remove_rows(session: Session, rows: _Rows, keys: list[tuple[Any, ...]]) -> None:
    columns = tuple(rows.table.primary_key.columns)
    session.connection().execute(delete(rows.table).where(tuple_(*columns).in_(keys)))


def _remove_decisions(
    session: Session, ids: list[str], portion: str, by: Principal, now: datetime
) -> list[dict[str, Any]]:
    run, own = session.connection().execute, by.organisation_id

    def of(table: Any, column: str, names: Sequence[str]) -> Any:
        return and_(table.c.organisation_id == own, table.c[column].in_(names))

    said: dict[str, list[dict[str, Any]]] = {name: [] for name in ids}
    for row in run(
        select(_findings).where(of(_findings, "decision_id", ids)).order_by(_findings.c.policy_id)
    ):
        said[row.decision_id].append(audit.named(row))
    shown: dict[str, list[str]] = {name: [] for name in ids}
    for row in run(select(_cards.c.id, _cards.c.decision_id).where(of(_cards, "decision_id", ids))):
        shown[row.decision_id].append(row.id)
    gone = [
        {
            "organisation_id": own,
            "kind": Erased.DECISION.value,
            "record_id": row.id,
            "portion": portion,
            "patient_id": row.patient_id,
            "sha256": content_digest(audit.named(row), said[row.id]),
            "kept": documents.encode(
                {
                    "cards": sorted(shown[row.id]),
                    "policies": [
                        list(version) for version in policy_versions.references(row.policies_document)
                    ],
                }
            ),
            "at": now,
        }
        for row in run(select(_decisions).where(of(_decisions, "id", ids)))
    ]
    run(insert(_erasures), gone)
    asked_for = list(run(select(_requests.c.id).where(of(_requests, "decision_id", ids))).scalars())
    rested = list(run(select(_snoozes.c.id).where(of(_snoozes, "decision_id", ids))).scalars())
    cards = [card for several in shown.values() for card in several]
    for table, column, names in (
        (_feedback, "card_id", cards),
        (_cards, "decision_id", ids),
        (_snooze_ends, "snooze_id", rested),
        (_snoozes, "decision_id", ids),
        (_signatures, "exception_id", asked_for),
        (_requests, "decision_id", ids),
        (_overrides, "decision_id", ids),
        (_orders, "decision_id", ids),
        (_findings, "decision_id", ids),
        (_decisions, "id", ids),
    ):
        run(delete(table).where(of(table, column, names)))
    return gone


def _remove_dispensings(
    session: Session, ids: list[str], portion: str, by: Principal, now: datetime
) -> list[dict[str, Any]]:
    run, own = session.connection().execute, by.organisation_id
    mine = and_(_reports.c.organisation_id == own, _reports.c.dispensing_id.in_(ids))
    named = and_(_identities.c.organisation_id == own, _identities.c.id == _reports.c.identity_id)
    asked = select(_reports.c.dispensing_id, _reports.c.version, _identities.c.patient_id)
    versions: dict[str, set[str]] = {name: set() for name in ids}
    people: dict[str, set[str]] = {name: set() for name in ids}
    for row in run(asked.select_from(_reports.join(_identities, named)).where(mine)):
        versions[row.dispensing_id].add(row.version)
        if row.patient_id is not None:
            people[row.dispensing_id].add(row.patient_id)
    gone = [
        {
            "organisation_id": own,
            "kind": Erased.DISPENSING.value,
            "record_id": name,
            "portion": portion,
            "patient_id": min(people[name], default=None),
            "sha256": documents.digest(*sorted(versions[name])),
            "kept": "{}",
            "at": now,
        }
        for name in ids
    ]
    # The same dispensing may have been reported again after it was removed, and is past its time again.
    known = set(
        run(
            select(_erasures.c.record_id).where(
                _erasures.c.organisation_id == own,
                _erasures.c.kind == Erased.DISPENSING.value,
                _erasures.c.record_id.in_(ids),
            )
        ).scalars()
    )
    gone = [row for row in gone if row["record_id"] not in known]
    if gone:
        run(insert(_erasures), gone)
    dispensed.remove(session, _supplies_of(people), organisation_id=own)
    run(delete(_reports).where(mine))
    return gone


def _supplies_of(people: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for name, whose in people.items():
        for patient in sorted(whose):
            yield patient, name


_WHOLE = {"decisions": _remove_decisions, "dispensings": _remove_dispensings}
