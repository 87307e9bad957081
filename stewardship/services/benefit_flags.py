"""Who might benefit: every night the patients whose opioid therapy goes on are asked about, and those for
whom suitable alternatives are untried are flagged; what was offered or declined lately rests.

A patient is asked about when something is new on record, when products or declarations changed, or when a
day has come on which time alone may change the answer (``domain.benefit_passing``). Everybody else is passed
over without being read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import and_, or_, select, union_all
from sqlalchemy.orm import Session

from stewardship import __version__
from stewardship.db import (
    benefit_tables,
    care_tables,
    charts,
    flag_tables,
    import_tables,
    plan_tables,
    tables,
)
from stewardship.db.charts import FACTS, KnownPatient
from stewardship.db.prepared import Prepared
from stewardship.domain.benefit import UNTRIED, flag, therapy_since
from stewardship.domain.benefit_passing import Windows, look_again_on
from stewardship.domain.chart import Chart, Patient
from stewardship.domain.codes import CodeSets
from stewardship.domain.flags import Flag, Flags
from stewardship.domain.flags.kinds import Event
from stewardship.domain.people import Principal
from stewardship.services import care, catalogue, flag_raising, on_record
from stewardship.services.flag_raising import Changes
from stewardship.services.on_record import OnRecord, by_patient, counted, joined, whole

_patients: Any = tables.Patient.__table__
_supplies: Any = tables.Supply.__table__
_orders: Any = tables.Order.__table__
_flags: Any = flag_tables.Flag.__table__
_events: Any = flag_tables.FlagEvent.__table__
_looks: Any = benefit_tables.BenefitLook.__table__
_identities: Any = import_tables.Identity.__table__
_candidates: Any = import_tables.MatchCandidate.__table__
_pharmacies: Any = import_tables.Pharmacy.__table__


class Library(care.Library, Protocol):
    """What is declared of alternatives, and of flags."""

    @property
    def flags(self) -> Flags:
        """All flags, and the work on them."""
        ...

    @property
    def code_sets(self) -> CodeSets:
        """Which codes mean the same."""
        ...


@dataclass(frozen=True)
class Passed:
    """How many patients were passed, of how many it was asked, how many flags that changed, and where the
    next portion begins; ``None`` at the end."""

    patients: int
    asked: int
    changed: int
    position: str | None


def terms_of(session: Session, library: Library, *, by: Principal) -> str:
    """What everything that is declared comes to: when it is another, everybody is asked about again."""
    declared = [
        library.alternatives,
        library.triggers,
        library.exemptions,
        library.plans,
        library.phase_bounds,
        library.code_sets,
        library.flags.sha256,
        catalogue.stamp(session, organisation_id=by.organisation_id),
        __version__,
    ]
    return sha256(repr(_plain(declared)).encode()).hexdigest()


def look(
    session: Session,
    library: Library,
    *,
    terms: str,
    by: Principal,
    now: datetime,
    after: str = "",
    limit: int = 100,
) -> Passed:
    """Ask about the patients behind ``after``, up to ``limit`` of them, who were supplied or ordered anything
    lately, or have such a flag, where the answer may be another: of others no therapy can go on. A portion
    is one transaction, and the same portion twice changes nothing. ``terms`` are those of ``terms_of``."""
    rows = _portion(session, library, by=by, now=now, after=after, limit=limit)
    if not rows:
        return Passed(0, 0, 0, None)
    known = _known(session, rows, terms, by=by, now=now)
    today = now.astimezone(UTC).date()
    marks = _marks(session, rows, by)
    looked, changed = [], 0
    for row in rows:
        if not _may_differ(marks.get(row.id), known[row.id], today):
            continue
        patient = Patient(row.ehr_id, row.birth_date, row.sex, row.deceased)
        of = KnownPatient(row.id, patient, row.data_as_of)
        chart = charts.chart_of(session, library, of, organisation_id=by.organisation_id, as_of=now)
        changes, next_on = _ask(session, library, of, chart, by=by, now=now)
        changed += len(changes.opened) + len(changes.gone)
        looked.append(
            {
                "organisation_id": by.organisation_id,
                "patient_id": row.id,
                "facts": known[row.id],
                "next_on": next_on,
                "on_day": today,
                "at": now,
            }
        )
    on_record.mark(session, _looks, looked)
    return Passed(len(rows), len(looked), changed, rows[-1].id if len(rows) == limit else None)


def bring_up(
    session: Session, library: Library, known: KnownPatient, chart: Chart, *, by: Principal, now: datetime
) -> Changes:
    """Bring a patient's flag up to what fits him today; ``chart`` is his, as of now."""
    return _ask(session, library, known, chart, by=by, now=now)[0]


def _ask(
    session: Session, library: Library, known: KnownPatient, chart: Chart, *, by: Principal, now: datetime
) -> tuple[Changes, date | None]:
    """What changed, and from which day on time alone may change it again."""
    found: Flag | None = None
    beside = care.NOTHING_BESIDE
    onset: date | None = None
    if therapy_since(chart, library.triggers) is not None:
        beside = care.beside(session, library, known.id or "", by=by)
        advice = care.advise_on(library, chart, beside)
        found, onset = flag(advice.benefits, chart, library.triggers), advice.assessed.onset_on
    changes = flag_raising.reconcile(
        session,
        library,
        known.id or "",
        [] if found is None else [found],
        kinds=[UNTRIED],
        source="alternatives",
        by=by,
        now=now,
    )
    if changes.resting:
        return changes, chart.today + timedelta(1)
    windows = Windows(
        library.alternatives.terms,
        tuple(library.exemptions.values()),
        library.phase_bounds,
        library.triggers,
    )
    return changes, look_again_on(chart, windows, onset=onset, offers=beside.offers)


# --- who is asked about ------------------------------------------------------------------------------


def _portion(
    session: Session, library: Library, *, by: Principal, now: datetime, after: str, limit: int
) -> Sequence[Any]:
    organisation = by.organisation_id
    since = now.astimezone(UTC) - timedelta(library.alternatives.terms.unknown_days)

    def of(table: Any, *which: Any) -> Any:
        return _patients.c.id.in_(
            select(table.c.patient_id).where(table.c.organisation_id == organisation, *which)
        )

    asked = (
        select(_patients)
        .where(
            _patients.c.organisation_id == organisation,
            _patients.c.id > after,
            or_(
                of(_supplies, _supplies.c.start_on >= since.date()),
                of(_orders, _orders.c.submitted_at >= since),
                of(_flags, _flags.c.kind == UNTRIED),
            ),
        )
        .order_by(_patients.c.id)
        .limit(limit)
    )
    return session.connection().execute(asked).all()


def _may_differ(mark: Any, facts: str, today: date) -> bool:
    """Whether the answer may be another than at the last look. One that was made on a day to come, by a
    clock that was set back since, says nothing of today."""
    if mark is None or mark.facts != facts or mark.on_day > today:
        return True
    return mark.next_on is not None and mark.next_on <= today


def _marks(session: Session, rows: Sequence[Any], by: Principal) -> Mapping[str, Any]:
    asked = select(_looks).where(
        _looks.c.organisation_id == by.organisation_id,
        _looks.c.patient_id >= rows[0].id,
        _looks.c.patient_id <= rows[-1].id,
    )
    return {row.patient_id: row for row in session.connection().execute(asked)}


#: What a look itself does with a flag.
_OF_THE_RECORD = (Event.OPENED, Event.UPDATED, Event.GONE, Event.MERGED)
#: Everything that the answer is made of, of the patients between two, these included.
_ON_RECORD = Prepared(
    union_all(
        whole(_supplies),
        *(whole(tables.Base.metadata.tables[name]) for name in FACTS),
        whole(_orders, "submitted_at"),
        joined(_orders, tables.Override.__table__, "at", "decision_id", "decision_id"),
        joined(_orders, tables.ExceptionRequest.__table__, "closed_at", "decision_id", "decision_id"),
        whole(care_tables.PainAssessment.__table__, "at"),
        whole(care_tables.AlternativeOffer.__table__, "at"),
        whole(plan_tables.PainPlan.__table__, "changed_at"),
        whole(plan_tables.Preference.__table__, "at"),
        # What people do with the flag: one that was settled may be asked for again.
        counted(
            _flags.c.patient_id,
            _events.c.at,
            _flags.join(
                _events,
                and_(
                    _events.c.organisation_id == _flags.c.organisation_id,
                    _events.c.flag_id == _flags.c.id,
                ),
            ),
            _flags.c.kind == UNTRIED,
            *(_events.c.event != event.value for event in _OF_THE_RECORD),
        ),
    )
)


def _known(
    session: Session, rows: Sequence[Any], terms: str, *, by: Principal, now: datetime
) -> Mapping[str, str]:
    """What is known of each patient, and what it is read with, as one word."""
    between = {"organisation": by.organisation_id, "first": rows[0].id, "last": rows[-1].id}
    seen = by_patient(_ON_RECORD.rows(session, between))
    said, unsettled = _feeds(session, rows[0].id, rows[-1].id, by)
    shared = (terms, _reporting(session, by, now))
    found = {}
    for row in rows:
        own = (
            seen.get(row.id, OnRecord()),
            (row.ehr_id, row.birth_date, row.sex, row.deceased),
            (row.id in said, row.id in unsettled, row.data_as_of),
        )
        found[row.id] = sha256(repr((own, shared)).encode()).hexdigest()
    return found


def _feeds(session: Session, first: str, last: str, by: Principal) -> tuple[set[str], set[str]]:
    """The patients between two of whom some source has said who they are, and those of whom it is not
    settled whether more is theirs: both decide how whole a history is (see ``charts.feed_of``)."""

    def between(patient: Any) -> Any:
        mine = patient.table.c.organisation_id == by.organisation_id
        return and_(mine, patient >= first, patient <= last)

    run = session.connection()
    said = run.execute(select(_identities.c.patient_id).where(between(_identities.c.patient_id))).scalars()
    waits = _candidates.c.status == import_tables.CandidateStatus.OPEN.value
    asked = select(_candidates.c.patient_id).where(between(_candidates.c.patient_id), waits)
    theirs = select(_identities.c.patient_id).where(
        between(_identities.c.patient_id),
        _identities.c.id.in_(
            select(_candidates.c.identity_id).where(
                _candidates.c.organisation_id == by.organisation_id, waits
            )
        ),
    )
    return set(said), {*run.execute(asked).scalars(), *run.execute(theirs).scalars()}


def _reporting(session: Session, by: Principal, now: datetime) -> list[tuple[Any, ...]]:
    """Which pharmacies report, which of them is overdue, and which reported last: when that changes, how
    whole a history is may change for many."""
    c = _pharmacies.c
    asked = select(c.id, c.retired, c.data_as_of, c.expected_by).where(
        c.organisation_id == by.organisation_id
    )
    rows = session.connection().execute(asked.order_by(c.id)).all()
    newest = max((row.data_as_of for row in rows if row.data_as_of and not row.retired), default=None)
    return [
        (
            row.id,
            row.retired,
            row.data_as_of is None,
            row.data_as_of == newest,
            row.expected_by is None or row.expected_by < now,
        )
        for row in rows
    ]


def _plain(value: Any) -> Any:
    """A declaration in an order that is the same in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, *(_plain(getattr(value, one.name)) for one in fields(value))]
    if isinstance(value, Mapping):
        return sorted(([_plain(key), _plain(one)] for key, one in value.items()), key=repr)
    if isinstance(value, set | frozenset):
        return sorted((_plain(one) for one in value), key=repr)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
