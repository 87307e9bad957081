"""The nightly watch: the whole population of an organisation is looked at, in portions, where it is due.

A patient is due when something about his supplies is new since he was last looked at, when the rules or the
products changed, or when a day has come on which the passing of time alone may show something
(``domain.flags.passing``). Everybody else is passed over without being read.

``step`` does one portion in the caller's transaction and says whether all is done; each portion writes its
flags, what it looked at and how far the watch is, together. A process that is killed has stored whole
portions, and whoever comes next goes on behind the last one. The same look twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from stewardship import __version__
from stewardship.db import documents, flag_tables, histories, tables
from stewardship.db.charts import Meanings
from stewardship.db.engine import begin_writing, new_id
from stewardship.db.patients import insert_once
from stewardship.domain.errors import Conflict
from stewardship.domain.flags import RULES, Flag, Flags, Kind, Untold, history, raised
from stewardship.domain.flags.doses import DoseFalling
from stewardship.domain.flags.kinds import Status
from stewardship.domain.flags.passing import next_look
from stewardship.domain.flags.unrecognised import UNCHECKED_DISPENSING, unrecognised
from stewardship.domain.orders import Supply
from stewardship.domain.people import Principal
from stewardship.services import audit, catalogue, on_record, unchecked
from stewardship.services.flag_raising import Changes, Looked, bring_up

NOT_WATCHED = "not-watched"
#: What a look at a patient's supplies can raise.
KINDS = frozenset({*(kind.value for kind in RULES), UNCHECKED_DISPENSING, NOT_WATCHED})
#: Patients who are read and written together, and how many are passed over at the most to find them.
PORTION, RANGE = 200, 2_000
#: Orders may be committed a little after the moment that they bear.
_OVERLAP = timedelta(hours=1)

_watches: Any = flag_tables.Watch.__table__
_watched: Any = flag_tables.Watched.__table__
_flags: Any = flag_tables.Flag.__table__
_orders: Any = tables.Order.__table__


class Library(Meanings, Protocol):
    """What is declared: products, and what the flags look for."""

    @property
    def flags(self) -> Flags:
        """What the flags look for, and the terms of the work on them."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a watch is: patients passed, looked at and failed to be looked at; flags opened and closed."""

    watch_id: str
    done: bool
    patients: int
    looked: int
    opened: int
    closed: int
    failed: int
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What all patients of an organisation are looked at with. ``new`` are the prescribers who were not known
    by the watch before; ``digest`` is what rules and products come to."""

    known_from: date | None
    own: frozenset[str]
    new: frozenset[str]
    digest: str


def claim_of(organisation_id: str) -> str:
    """The name of the claim under which an organisation's watch is worked on."""
    return f"watch\x1f{organisation_id}"


def step(
    session: Session, library: Library, *, by: Principal, now: datetime, portion: int = PORTION
) -> Progress:
    """Begin a watch, or do the next portion of the one that is going on. Runs well in a ``late`` transaction:
    patients are read and judged first, and what is written is one unit.

    Raises ``Conflict`` when somebody else did the portion meanwhile; nothing was done twice.
    """
    row = _going_on(session, by)
    if row is None:
        return _begin(session, library, by=by, now=now)
    terms = _terms(row)
    walked = histories.patients_after(session, row.position, organisation_id=by.organisation_id, most=RANGE)
    if not walked:
        return _end(session, library, row, by=by, now=now)
    due = _due(session, walked, terms, by=by, now=now)
    chosen = list(due)[:portion]
    upto = chosen[-1] if len(due) > len(chosen) else walked[-1]
    looks = look(session, library, chosen, terms, by=by, now=now)
    begin_writing(session)
    seen = {patient: one.looked for patient, one in looks.items()}
    changes = _bring_up(session, library, seen, source="watch", by=by, now=now)
    _mark(session, looks, due, by=by, now=now)
    counts = {
        "patients": walked.index(upto) + 1,
        "looked": len(looks),
        "opened": len(changes.opened),
        "closed": len(changes.gone) + len(changes.merged),
        "failed": sum(1 for one in looks.values() if one.failed),
    }
    _advance(session, row, upto, counts, by=by, now=now)
    if looks:
        detail = {**counts, **changes.counts(), "to": upto, "sha256": changes.digest()}
        audit.record(session, "watch.stored", subject=row.id, by=by, now=now, detail=detail)
    return _progress(_read(session, row.id, by))


def run(
    transact: Callable[[], Any], library: Library, *, by: Principal, clock: Callable[[], datetime]
) -> Progress:
    """All steps of a watch, each in a transaction of its own that ``transact`` opens."""
    while True:
        with transact() as session:
            progress = step(session, library, by=by, now=clock())
        if progress.done:
            return progress


def after_order(
    session: Session, library: Library, decision_id: str, *, by: Principal, now: datetime
) -> Changes:
    """Look at once at the patient of an order that was just submitted, with the terms of the last watch. Runs
    well in a ``late`` transaction, after the one that keeps the order.

    The watch looks again, so nothing is lost if this is not done.
    """
    asked = select(_orders.c.patient_id).where(
        _orders.c.organisation_id == by.organisation_id, _orders.c.decision_id == decision_id
    )
    patients = list(session.connection().execute(asked).scalars())
    looks = look(session, library, patients, terms_of(session, library, by=by), by=by, now=now)
    begin_writing(session)
    seen = {patient: one.looked for patient, one in looks.items()}
    changes = _bring_up(session, library, seen, source="order", by=by, now=now)
    if changes:
        detail = {"source": "order", **changes.counts(), "sha256": changes.digest()}
        audit.record(session, "flags.reconciled", subject=patients[0], by=by, now=now, detail=detail)
    return changes


def _bring_up(
    session: Session,
    library: Library,
    seen: Mapping[str, Looked],
    *,
    source: str,
    by: Principal,
    now: datetime,
) -> Changes:
    work = library.flags.work
    since = now.date() - timedelta(days=work.fresh_days)
    return bring_up(session, work, seen, kinds=KINDS, source=source, since=since, by=by, now=now)


def latest(session: Session, *, by: Principal) -> Progress | None:
    """The watch that began last; ``None`` before the first."""
    asked = select(_watches).where(_watches.c.organisation_id == by.organisation_id)
    row = session.connection().execute(asked.order_by(_watches.c.started_at.desc()).limit(1)).first()
    return None if row is None else _progress(row)


# --- one look --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a patient, from when on time alone may change it, and whether the look failed."""

    looked: Looked
    next_on: date | None = None
    failed: bool = False


def look(
    session: Session,
    library: Library,
    patients: Sequence[str],
    terms: Terms,
    *,
    by: Principal,
    now: datetime,
) -> dict[str, Look]:
    """Look at patients, and write nothing. One that cannot be looked at is a flag himself, and stops nobody
    else's look."""
    if not patients:
        return {}
    supplies = histories.supplies_of(
        session, library, patients, organisation_id=by.organisation_id, as_of=now
    )
    standing = _standing(session, patients, by)
    found = {}
    for patient in patients:
        try:
            found[patient] = _look(
                library.flags, supplies[patient], terms, standing.get(patient, ()), now.date()
            )
        except Exception as fault:  # noqa: BLE001 - what it is, the flag says
            found[patient] = _failed(fault, now.date())
    return found


def _look(
    rules: Flags, supplies: Sequence[Supply], terms: Terms, standing: Sequence[Any], today: date
) -> Look:
    def seen_on(day: date) -> tuple[Any, list[Flag], list[Untold]]:
        whole = history(
            supplies, rules.common, as_of=day, known_from=terms.known_from, own=terms.own, areas=rules.areas
        )
        found = raised(whole, (described.rule for described in rules.rules.values()))
        return whole, [*found.flags, *unrecognised(whole)], list(found.untold)

    whole, flags, untold = seen_on(today)
    falling = rules.rules[Kind.DOSE_FALLING_FAST].rule
    assert isinstance(falling, DoseFalling)  # noqa: S101 - the table of rules says so
    # A flag that today's facts showed on the day on which it was last seen has not gone: time has passed.
    keys = {flag.key for flag in flags}
    left = [row for row in standing if row.key not in keys]
    kept = set()
    for day in {row.seen_on for row in left if row.seen_on < today}:
        then = {flag.key for flag in seen_on(day)[1]}
        kept |= {row.key for row in left if row.seen_on == day and row.key in then}
    return Look(Looked(tuple(flags), tuple(untold), kept), next_look(supplies, whole, falling))


def _failed(fault: Exception, today: date) -> Look:
    # The kind of fault and no more: what it says may be about the patient.
    flag = Flag(NOT_WATCHED, "supplies", today, today, (), {"fault": type(fault).__name__}, complete=False)
    kept = _Others(flag.key)
    return Look(Looked((flag,), (), kept), failed=True)


@dataclass(frozen=True, slots=True)
class _Others:
    """Holds every key but one."""

    key: str

    def __contains__(self, key: object) -> bool:
        return key != self.key


def _standing(session: Session, patients: Sequence[str], by: Principal) -> dict[str, list[Any]]:
    asked = select(_flags.c.patient_id, _flags.c.key, _flags.c.seen_on).where(
        _flags.c.organisation_id == by.organisation_id,
        _flags.c.patient_id.in_(list(patients)),
        _flags.c.status != Status.RESOLVED.value,
        _flags.c.kind.in_(sorted(KINDS)),
    )
    found: dict[str, list[Any]] = {}
    for row in session.connection().execute(asked):
        found.setdefault(row.patient_id, []).append(row)
    return found


# --- who is due --------------------------------------------------------------------------------------


def _due(
    session: Session, walked: Sequence[str], terms: Terms, *, by: Principal, now: datetime
) -> dict[str, str]:
    """The patients who are due, in order, and what their facts come to."""
    stamps = histories.stamps(
        session, walked, organisation_id=by.organisation_id, as_of=now, prescribers=terms.new
    )
    asked = select(_watched.c.patient_id, _watched.c.facts, _watched.c.next_on).where(
        _watched.c.organisation_id == by.organisation_id,
        _watched.c.patient_id >= walked[0],
        _watched.c.patient_id <= walked[-1],
    )
    marks = {row.patient_id: row for row in session.connection().execute(asked)}
    due = {}
    for patient in walked:
        stamp, mark = stamps[patient], marks.get(patient)
        if mark is None and not stamp.parts:
            continue  # nothing is on record of him, and nothing ever was
        facts = sha256(f"{stamp}\x1f{terms.known_from}\x1f{terms.digest}".encode()).hexdigest()
        passed = mark is not None and mark.next_on is not None and mark.next_on <= now.date()
        if mark is None or mark.facts != facts or passed or stamp.named:
            due[patient] = facts
    return due


def _mark(
    session: Session, looks: Mapping[str, Look], facts: Mapping[str, str], *, by: Principal, now: datetime
) -> None:
    """Write down on which facts each was looked at. A look that failed is due again."""
    rows = [
        {
            "organisation_id": by.organisation_id,
            "patient_id": patient,
            "facts": "" if one.failed else facts[patient],
            "next_on": one.next_on,
            "at": now,
        }
        for patient, one in looks.items()
    ]
    on_record.mark(session, _watched, rows)


# --- the watch itself --------------------------------------------------------------------------------


def _begin(session: Session, library: Library, *, by: Principal, now: datetime) -> Progress:
    before = _ended_last(session, by)
    known = frozenset() if before is None else _terms(before).own
    since = None if before is None else before.started_at - _OVERLAP
    own = known | frozenset(
        histories.ordering_prescribers(session, organisation_id=by.organisation_id, since=since)
    )
    known_from = histories.first_dispensed(session, organisation_id=by.organisation_id)
    digest = _digest(session, library, by)
    begin_writing(session)
    watch_id = new_id(now)
    row = {
        "organisation_id": by.organisation_id,
        "id": watch_id,
        "started_at": now,
        "seen_at": now,
        "ended_at": None,
        "known_from": known_from,
        "terms": documents.encode({"own": sorted(own), "new": sorted(own - known), "digest": digest}),
        "position": "",
        **dict.fromkeys(("patients", "looked", "opened", "closed", "failed"), 0),
        "by_user": by.user_id,
        "by_role": by.role.value,
    }
    if not insert_once(session, _watches, row):
        raise Conflict("somebody else has just begun this watch; nothing was done twice")
    audit.record(session, "watch.begun", subject=watch_id, by=by, now=now)
    return _progress(_read(session, watch_id, by))


def _end(session: Session, library: Library, row: Any, *, by: Principal, now: datetime) -> Progress:
    """What is not about one patient's supplies: orders that could not be checked, voids that wait."""
    work = library.flags.work
    orders = unchecked.unchecked_orders(session, work, by=by, now=now)
    voids = unchecked.pending_voids(session, work, by=by, now=now)
    begin_writing(session)
    opened, closed = 0, 0
    for kind, seen in ((unchecked.UNCHECKED_ORDER, orders), (unchecked.VOID_PENDING, voids)):
        changes = bring_up(session, work, seen, kinds=[kind], source="watch", by=by, now=now)
        opened += len(changes.opened)
        closed += len(changes.gone) + len(changes.merged)
    _advance(session, row, row.position, {"opened": opened, "closed": closed}, ended_at=now, by=by, now=now)
    ended = _progress(_read(session, row.id, by))
    counts = {name: getattr(ended, name) for name in ("patients", "looked", "opened", "closed", "failed")}
    audit.record(session, "watch.ended", subject=row.id, by=by, now=now, detail=counts)
    return ended


def _advance(
    session: Session,
    row: Any,
    position: str,
    counts: Mapping[str, int],
    *,
    ended_at: datetime | None = None,
    by: Principal,
    now: datetime,
) -> None:
    changed = session.connection().execute(
        update(_watches)
        .where(
            _watches.c.organisation_id == by.organisation_id,
            _watches.c.id == row.id,
            _watches.c.position == row.position,
            _watches.c.ended_at.is_(None),
        )
        .values(
            position=position,
            seen_at=now,
            ended_at=ended_at,
            **{name: _watches.c[name] + number for name, number in counts.items()},
        )
    )
    if changed.rowcount != 1:
        raise Conflict("somebody else goes on with this watch; nothing of this portion was done twice")


def _going_on(session: Session, by: Principal) -> Any:
    asked = select(_watches).where(
        _watches.c.organisation_id == by.organisation_id, _watches.c.ended_at.is_(None)
    )
    return session.connection().execute(asked).first()


def _ended_last(session: Session, by: Principal) -> Any:
    asked = select(_watches).where(
        _watches.c.organisation_id == by.organisation_id, _watches.c.ended_at.is_not(None)
    )
    return session.connection().execute(asked.order_by(_watches.c.started_at.desc()).limit(1)).first()


def _read(session: Session, watch_id: str, by: Principal) -> Any:
    asked = select(_watches).where(
        _watches.c.organisation_id == by.organisation_id, _watches.c.id == watch_id
    )
    return session.connection().execute(asked).one()


def _terms(row: Any) -> Terms:
    told = documents.decode_shown(row.terms)
    return Terms(row.known_from, frozenset(told["own"]), frozenset(told["new"]), told["digest"])


def terms_of(session: Session, library: Library, *, by: Principal) -> Terms:
    """What patients are looked at with between two watches: the terms of the one that goes on or ended last.
    Before the first, nobody's orders are known to be all there are."""
    row = _going_on(session, by) or _ended_last(session, by)
    if row is None:
        return Terms(None, frozenset(), frozenset(), _digest(session, library, by))
    return _terms(row)


def _digest(session: Session, library: Library, by: Principal) -> str:
    stamp = catalogue.stamp(session, organisation_id=by.organisation_id)
    return sha256(f"{library.flags.sha256}\x1f{stamp}\x1f{__version__}".encode()).hexdigest()


def _progress(row: Any) -> Progress:
    return Progress(
        row.id,
        row.ended_at is not None,
        row.patients,
        row.looked,
        row.opened,
        row.closed,
        row.failed,
        row.started_at,
        row.ended_at,
    )
