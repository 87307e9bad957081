"""What was seen and what stands are brought together: one problem is one flag.

A flag that is seen again is the same flag: by its key, or, where it labels a pattern, because a supply is
shared, for a row that comes late may move the day on which a pattern began. What is no longer seen has gone
from the record: unless somebody works on it, the flag ends with a code of its own. A problem that was
settled does not come back before there are new facts: a supply that was not known then, and not within the
days of rest of the resolution; or at once when it is worse.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, flag_tables, tables
from stewardship.db.engine import new_id
from stewardship.db.prepared import Prepared
from stewardship.domain.errors import InvalidInput
from stewardship.domain.flags import Flag, Flags, Untold, Work
from stewardship.domain.flags.kinds import GONE, MERGED, Event, Status
from stewardship.domain.people import Principal
from stewardship.services import audit

_flags: Any = flag_tables.Flag.__table__
_events: Any = flag_tables.FlagEvent.__table__
_untold: Any = flag_tables.Untold.__table__
_patients: Any = tables.Patient.__table__
_INSERT_FLAG = Prepared.insert(_flags)
_INSERT_EVENT = Prepared.insert(_events)
_INSERT_UNTOLD = Prepared.insert(_untold)


class Library(Protocol):
    """The part of what is declared that flags need."""

    @property
    def flags(self) -> Flags:
        """What the flags look for, and the terms of the work on them."""
        ...


class _Everything:
    """Holds every key."""

    def __contains__(self, key: object) -> bool:
        return True


#: The look was at a part only: what it did not find has not gone.
EVERYTHING: Container[str] = _Everything()


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one patient: flags, what could not be ruled out, and the keys of stored flags that
    have not gone although they were not seen."""

    flags: Sequence[Flag] = ()
    untold: Sequence[Untold] = ()
    kept: Container[str] = frozenset()


@dataclass(slots=True)
class Changes:
    """The ids of the flags that were opened, brought up to date, found gone from the record and found to be
    part of another; and how many problems rest as they were settled."""

    opened: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    resting: int = 0

    def __bool__(self) -> bool:
        return bool(self.opened or self.updated or self.gone or self.merged)

    def counts(self) -> dict[str, int]:
        """How many of each."""
        named = {name: getattr(self, name) for name in ("opened", "updated", "gone", "merged")}
        return {name: len(ids) for name, ids in named.items()} | {"resting": self.resting}

    def digest(self) -> str:
        """What the ids come to, for the record."""
        parts = (",".join(ids) for ids in (self.opened, self.updated, self.gone, self.merged))
        return sha256(";".join(parts).encode()).hexdigest()


def reconcile(
    session: Session,
    library: Library,
    patient_id: str,
    found: Iterable[Flag],
    untold: Iterable[Untold] = (),
    *,
    kinds: Collection[str],
    source: str,
    kept: Container[str] = frozenset(),
    by: Principal,
    now: datetime,
) -> Changes:
    """Bring a patient's flags of these kinds up to what was found, which is everything of these kinds; but
    flags whose keys are ``kept`` have not gone (``EVERYTHING``: the look was at a part only).

    ``patient_id`` is our own id. ``source`` says in a word who looked (``order``, ``watch``, ``review``).
    A change and its audit event are one. Raises ``InvalidInput`` for a kind that is not declared.
    """
    seen = {patient_id: Looked(tuple(found), tuple(untold), kept)}
    changes = bring_up(session, library.flags.work, seen, kinds=kinds, source=source, by=by, now=now)
    if changes:
        detail = {"source": source, **changes.counts(), "flags": _ids(changes)}
        audit.record(session, "flags.reconciled", subject=patient_id, by=by, now=now, detail=detail)
    return changes


def _ids(changes: Changes) -> list[str]:
    return [*changes.opened, *changes.updated, *changes.gone, *changes.merged]


def bring_up(
    session: Session,
    work: Work,
    seen: Mapping[str, Looked],
    *,
    kinds: Collection[str],
    source: str,
    since: date | None = None,
    by: Principal,
    now: datetime,
) -> Changes:
    """``reconcile`` for several patients; the caller records it. What ended before ``since`` is not opened
    any more; a flag that is open stays the flag of its problem, however long ago that ended."""
    named = {flag.kind for looked in seen.values() for flag in looked.flags}
    named |= {doubt.kind for looked in seen.values() for doubt in looked.untold}
    unknown = sorted({*kinds, *named} - set(work.kinds))
    if unknown or not named <= set(kinds):
        raise InvalidInput(f"declare the kinds of flag that are looked for: {unknown or sorted(named)}")
    hold(session, seen, by=by)
    standing = _standing(session, seen, kinds, by=by)
    raising = _Raising(work, source, since, by, now)
    for patient_id, looked in seen.items():
        raising.patient(patient_id, looked, standing.get(patient_id, ()))
    raising.write(session)
    _keep_untold(session, seen, kinds, by=by, now=now)
    return raising.changes


def hold(session: Session, patients: Collection[str], *, by: Principal) -> None:
    """One at a time raises flags of a patient. What refers to the patients' rows goes on meanwhile."""
    asked = select(_patients.c.id).where(
        _patients.c.organisation_id == by.organisation_id, _patients.c.id.in_(list(patients))
    )
    session.connection().execute(asked.order_by(_patients.c.id).with_for_update(key_share=True)).all()


# --- what stands ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stands:
    """A stored flag, as far as it is compared."""

    row: Any
    supplies: frozenset[str]
    evidence: dict[str, Any]

    @property
    def claimed(self) -> bool:
        return bool(self.row.status == Status.CLAIMED)


def _standing(
    session: Session, patients: Collection[str], kinds: Collection[str], *, by: Principal
) -> dict[str, list[_Stands]]:
    asked = (
        select(_flags)
        .where(
            _flags.c.organisation_id == by.organisation_id,
            _flags.c.patient_id.in_(list(patients)),
            _flags.c.kind.in_([str(kind) for kind in kinds]),
        )
        .order_by(_flags.c.opened_at, _flags.c.id)
        .with_for_update()
    )
    found: dict[str, list[_Stands]] = {}
    for row in session.connection().execute(asked):
        evidence = documents.decode_shown(row.evidence)
        found.setdefault(row.patient_id, []).append(_Stands(row, frozenset(evidence["supplies"]), evidence))
    return found


def _same(flag: Flag, stands: _Stands, work: Work) -> bool:
    """Whether a stored flag is of the problem that was seen."""
    if flag.kind != stands.row.kind:
        return False
    if flag.key == stands.row.key:
        return True
    return work.kinds[flag.kind].pattern and not stands.supplies.isdisjoint(flag.supplies)


def evidence_of(flag: Flag) -> str:
    """What a flag rests on, as it is kept."""
    return documents.encode_shown(
        {"supplies": flag.supplies, "facts": dict(flag.facts), "complete": flag.complete}
    )


class _Raising:
    """The rows of several patients' flags that have to be written."""

    def __init__(self, work: Work, source: str, since: date | None, by: Principal, now: datetime) -> None:
        self.work, self.source, self.since, self.by, self.now = work, source, since, by, now
        self.changes = Changes()
        self._new: list[dict[str, Any]] = []
        self._changed: list[tuple[Any, dict[str, Any]]] = []
        self._seen: list[str] = []
        self._events: list[dict[str, Any]] = []

    def patient(self, patient_id: str, looked: Looked, standing: Sequence[_Stands]) -> None:
        """One patient's flags."""
        live = [s for s in standing if s.row.status != Status.RESOLVED]
        pairs = self._pair(looked.flags, live)
        for flag in looked.flags:
            here = pairs.get(flag.key)
            if here is not None:
                self._update(here, flag)
            elif self.since is None or flag.until >= self.since:
                self._open(patient_id, flag, [s for s in standing if s.row.status == Status.RESOLVED])
        kept = {here.row.id for here in pairs.values()}
        doubtful = {doubt.kind for doubt in looked.untold}
        for left in (s for s in live if s.row.id not in kept):
            into = next((pairs[f.key] for f in looked.flags if f.key in pairs and self._is(f, left)), None)
            # What cannot be told any more has not gone.
            gone = left.row.kind not in doubtful and left.row.key not in looked.kept
            if into is not None or gone:
                self._end(left, into)

    def _is(self, flag: Flag, stands: _Stands) -> bool:
        return _same(flag, stands, self.work)

    def _pair(self, flags: Sequence[Flag], live: Sequence[_Stands]) -> dict[str, _Stands]:
        """Which stored flag is which one that was seen, by its key: each at most once."""
        by_key = {s.row.key: s for s in live}
        pairs = {flag.key: by_key[flag.key] for flag in flags if flag.key in by_key}
        taken = {s.row.id for s in pairs.values()}
        for flag in (f for f in flags if f.key not in pairs):
            free = [s for s in live if s.row.id not in taken and self._is(flag, s)]
            # The one on which somebody works, else the oldest.
            chosen = next((s for s in free if s.claimed), free[0] if free else None)
            if chosen is not None:
                pairs[flag.key] = chosen
                taken.add(chosen.row.id)
        return pairs

    def _open(self, patient_id: str, flag: Flag, settled: Sequence[_Stands]) -> None:
        before = [s for s in settled if s.row.resolution != MERGED and self._is(flag, s)]
        last = max(before, key=lambda s: s.row.resolved_at, default=None)
        if last is not None and self._rests(flag, last):
            self.changes.resting += 1
            return
        again = None if last is None else last.row.id
        row = flag_row(
            self.work, patient_id, flag, source=self.source, again_of=again, by=self.by, now=self.now
        )
        flag_id = row["id"]
        self._new.append(row)
        self._event(flag_id, 1, Event.OPENED, {"source": self.source, "again_of": again})
        self.changes.opened.append(flag_id)

    def _rests(self, flag: Flag, last: _Stands) -> bool:
        """Whether the problem is the one that was settled, and nothing is new about it."""
        if last.row.resolution == GONE or self.work.is_worse(
            flag.kind, flag.facts, last.evidence.get("facts", {})
        ):
            return False
        resolution = self.work.resolutions.get(last.row.resolution)
        rest = timedelta(days=resolution.rest_days if resolution is not None else 0)
        return last.supplies.issuperset(flag.supplies) or self.now < last.row.resolved_at + rest

    def _update(self, here: _Stands, flag: Flag) -> None:
        values = {
            "key": flag.key,
            "label": flag.supply,
            "first_on": flag.on,
            "last_on": max(flag.on, flag.until),
            "evidence": evidence_of(flag),
        }
        if all(getattr(here.row, name) == value for name, value in values.items()):
            self._seen.append(here.row.id)
            return
        added = [supply for supply in flag.supplies if supply not in here.supplies]
        detail: dict[str, Any] = {"source": self.source, "added": added}
        if here.row.key != flag.key:
            detail["was"] = here.row.key
        self._change(here, values | {"seen_on": self.now.date()}, Event.UPDATED, detail)
        self.changes.updated.append(here.row.id)

    def _end(self, left: _Stands, into: _Stands | None) -> None:
        """It is part of another flag's problem, or the record no longer shows it."""
        if left.claimed:
            # Somebody works on it: he is told, and ends it himself.
            if not left.evidence.get("gone"):
                told = documents.encode_shown(left.evidence | {"gone": True})
                self._change(left, {"evidence": told}, Event.GONE, {"source": self.source})
                self.changes.updated.append(left.row.id)
            return
        values = {
            "status": Status.RESOLVED.value,
            "resolution": GONE if into is None else MERGED,
            "resolved_by": self.by.user_id,
            "resolved_at": self.now,
            "merged_into": None if into is None else into.row.id,
        }
        event = Event.GONE if into is None else Event.MERGED
        detail = {"source": self.source, "into": values["merged_into"]}
        self._change(left, values, event, detail, code=str(values["resolution"]))
        (self.changes.gone if into is None else self.changes.merged).append(left.row.id)

    def _change(
        self, here: _Stands, values: dict[str, Any], event: Event, detail: dict[str, Any], code: str = ""
    ) -> None:
        version = here.row.version + 1
        self._changed.append((here.row, values | {"version": version}))
        self._event(here.row.id, version, event, detail, code)

    def _event(self, flag_id: str, seq: int, event: Event, detail: Mapping[str, Any], code: str = "") -> None:
        self._events.append(
            event_row(flag_id, seq, event, code=code, detail=detail, by=self.by, now=self.now)
        )

    def write(self, session: Session) -> None:
        """Write them: first what ends or moves, for a key may be taken over."""
        connection = session.connection()
        for row, values in sorted(self._changed, key=lambda one: one[1].get("status") is None):
            connection.execute(
                update(_flags)
                .where(_flags.c.organisation_id == row.organisation_id, _flags.c.id == row.id)
                .values(**values)
            )
        if self._seen:
            mine = (_flags.c.organisation_id == self.by.organisation_id, _flags.c.id.in_(self._seen))
            connection.execute(update(_flags).where(*mine).values(seen_on=self.now.date()))
        if self._new:
            _INSERT_FLAG.load(session, self._new)
        if self._events:
            _INSERT_EVENT.load(session, self._events)


def flag_row(
    work: Work,
    patient_id: str,
    flag: Flag,
    *,
    source: str,
    again_of: str | None = None,
    by: Principal,
    now: datetime,
) -> dict[str, Any]:
    """A flag that is opened now."""
    return {
        "organisation_id": by.organisation_id,
        "id": new_id(now),
        "patient_id": patient_id,
        "kind": str(flag.kind),
        "key": flag.key,
        "label": flag.supply,
        "first_on": flag.on,
        "last_on": max(flag.on, flag.until),
        "seen_on": now.date(),
        "weight": work.kinds[flag.kind].weight,
        "evidence": evidence_of(flag),
        "source": source,
        "status": Status.OPEN.value,
        "opened_at": now,
        "due_at": work.due(flag.kind, now),
        **dict.fromkeys(("claimed_by", "claimed_at", "resolution", "resolved_by", "resolved_at")),
        "again_of": again_of,
        "merged_into": None,
        "version": 1,
    }


def event_row(
    flag_id: str,
    seq: int,
    event: Event,
    *,
    code: str = "",
    words: str = "",
    detail: Mapping[str, Any] | None = None,
    by: Principal,
    now: datetime,
) -> dict[str, Any]:
    """One thing that happened to a flag; ``seq`` is the version that the flag has since."""
    return {
        "organisation_id": by.organisation_id,
        "flag_id": flag_id,
        "seq": seq,
        "event": event.value,
        "code": code,
        "words": words,
        "detail": documents.encode(dict(detail or {})),
        "by_user": by.user_id,
        "by_role": by.role.value,
        "at": now,
    }


# --- what could not be told ------------------------------------------------------------------------


def _keep_untold(
    session: Session, seen: Mapping[str, Looked], kinds: Collection[str], *, by: Principal, now: datetime
) -> None:
    """Keep what cannot be ruled out now beside the flags, and since when."""
    asked = select(_untold).where(
        _untold.c.organisation_id == by.organisation_id,
        _untold.c.patient_id.in_(list(seen)),
        _untold.c.kind.in_([str(kind) for kind in kinds]),
    )
    known = {(row.patient_id, row.kind, row.label): row for row in session.connection().execute(asked)}
    wanted = {
        (patient_id, str(doubt.kind), doubt.supply): documents.encode(list(doubt.missing))
        for patient_id, looked in seen.items()
        for doubt in looked.untold
    }
    for name in known.keys() - wanted.keys():
        patient_id, kind, label = name
        if f"{kind}:{label}" in seen[patient_id].kept:
            continue
        session.connection().execute(delete(_untold).where(_is_untold(by, name)))
    for name in known.keys() & wanted.keys():
        if known[name].missing != wanted[name]:
            changed = update(_untold).where(_is_untold(by, name)).values(missing=wanted[name])
            session.connection().execute(changed)
    new = [
        {
            "organisation_id": by.organisation_id,
            "patient_id": patient_id,
            "kind": kind,
            "label": label,
            "missing": missing,
            "since": now,
        }
        for (patient_id, kind, label), missing in wanted.items()
        if (patient_id, kind, label) not in known
    ]
    if new:
        _INSERT_UNTOLD.load(session, new)


def _is_untold(by: Principal, name: tuple[str, str, str]) -> Any:
    patient_id, kind, label = name
    return and_(
        _untold.c.organisation_id == by.organisation_id,
        _untold.c.patient_id == patient_id,
        _untold.c.kind == kind,
        _untold.c.label == label,
    )
