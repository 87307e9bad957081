"""Pharmacies: who reports to an organisation, how current each one is, and to whom it may not report.

A pharmacy is known from its first row on. Its ``data_as_of`` goes forward with each whole transmission, one
that reports nothing included; ``expected_by`` is when the next one has to be there. One that is bound
reports to the organisations that it is bound to alone: nobody else's file may speak for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from stewardship.db import import_tables
from stewardship.db.among import Among
from stewardship.db.patients import insert_once
from stewardship.db.prepared import Prepared
from stewardship.domain.currency import Silence, expected_by
from stewardship.domain.dispensings import Pharmacy
from stewardship.domain.errors import NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit

_pharmacies: Any = import_tables.Pharmacy.__table__

_HEARD = (
    update(_pharmacies)
    .where(
        _pharmacies.c.organisation_id == bindparam("organisation"),
        _pharmacies.c.id == bindparam("key"),
        or_(_pharmacies.c.data_as_of.is_(None), _pharmacies.c.data_as_of < bindparam("moment")),
    )
    .values(data_as_of=bindparam("moment"), expected_by=bindparam("due"))
)
_OURS = Prepared(
    select(_pharmacies.c.id, _pharmacies.c.bound).where(
        _pharmacies.c.organisation_id == bindparam("organisation"), Among(_pharmacies.c.id, "keys")
    )
)
_NUMBERS = ("npi", "ncpdp", "dea")
_BOUND = Prepared(
    select(_pharmacies.c.organisation_id, *(_pharmacies.c[kind] for kind in _NUMBERS)).where(
        _pharmacies.c.bound, or_(*(Among(_pharmacies.c[kind], kind) for kind in _NUMBERS))
    )
)


def meet(session: Session, pharmacies: Iterable[Pharmacy], *, by: Principal, now: datetime) -> frozenset[str]:
    """Make the rows of those that are new; the keys of those that report to other organisations alone."""
    by_key = {pharmacy.key: pharmacy for pharmacy in pharmacies}
    ours, foreign = _ours_and_foreign(session, by_key, by.organisation_id)
    for key, pharmacy in by_key.items():
        if key not in ours and key not in foreign:
            insert_once(session, _pharmacies, _row(pharmacy, by=by, now=now))
    return foreign


def foreign(session: Session, pharmacies: Iterable[Pharmacy], *, by: Principal) -> frozenset[str]:
    """The keys of those that report to other organisations alone."""
    by_key = {pharmacy.key: pharmacy for pharmacy in pharmacies}
    return _ours_and_foreign(session, by_key, by.organisation_id)[1]


def _ours_and_foreign(
    session: Session, by_key: Mapping[str, Pharmacy], organisation_id: str
) -> tuple[set[str], frozenset[str]]:
    given = {"organisation": organisation_id, "keys": list(by_key)}
    ours = {row.id: row.bound for row in _OURS.rows(session, given)}
    asked = [pharmacy for key, pharmacy in by_key.items() if not ours.get(key)]
    return set(ours), _bound_elsewhere(session, asked, organisation_id)


def _row(pharmacy: Pharmacy, *, by: Principal, now: datetime) -> dict[str, Any]:
    return {
        "organisation_id": by.organisation_id,
        "id": pharmacy.key,
        "npi": pharmacy.npi,
        "ncpdp": pharmacy.ncpdp,
        "dea": pharmacy.dea,
        "name": pharmacy.name,
        "bound": False,
        "retired": False,
        "first_seen_at": now,
        "data_as_of": None,
        "expected_by": None,
    }


def _bound_elsewhere(
    session: Session, pharmacies: Iterable[Pharmacy], organisation_id: str
) -> frozenset[str]:
    """Those of the pharmacies that are bound, and not to this organisation: by any of their identifiers."""
    asked = list(pharmacies)
    if not asked:
        return frozenset()
    numbers = {kind: {getattr(pharmacy, kind) for pharmacy in asked} - {""} for kind in _NUMBERS}
    bound = _BOUND.rows(session, numbers)

    def is_foreign(pharmacy: Pharmacy) -> bool:
        whose = {
            row.organisation_id
            for row in bound
            if any(getattr(row, kind) and getattr(row, kind) == getattr(pharmacy, kind) for kind in _NUMBERS)
        }
        return bool(whose) and organisation_id not in whose

    return frozenset(pharmacy.key for pharmacy in asked if is_foreign(pharmacy))


def heard(
    session: Session,
    transmissions: Iterable[tuple[Pharmacy, datetime | None]],
    *,
    silence: Silence,
    by: Principal,
    now: datetime,
) -> None:
    """Whole transmissions came: of these pharmacies, each made at its moment.

    A sender's own clock says no time zone: it is taken as UTC, which in America dates the data some hours
    too early and never too late; and nothing is more current than the moment at which it came.
    """
    newest: dict[str, datetime] = {}
    for pharmacy, created in transmissions:
        if created is not None:
            moment = min(created if created.tzinfo else created.replace(tzinfo=UTC), now)
            newest[pharmacy.key] = max(moment, newest.get(pharmacy.key, moment))
    if newest:
        given = [
            {
                "organisation": by.organisation_id,
                "key": key,
                "moment": moment,
                "due": expected_by(moment, silence),
            }
            for key, moment in newest.items()
        ]
        session.connection().execute(_HEARD, given)


def bind(session: Session, key: str, *, bound: bool = True, by: Principal, now: datetime) -> None:
    """Say that the pharmacy reports to this organisation, and to no other that does not say so too."""
    _set(session, key, {"bound": bound}, action="pharmacy.bound", by=by, now=now)


def retire(session: Session, key: str, *, retired: bool = True, by: Principal, now: datetime) -> None:
    """Say that nothing more is expected of the pharmacy (it has closed): its silence is not missed."""
    _set(session, key, {"retired": retired}, action="pharmacy.retired", by=by, now=now)


def _set(
    session: Session, key: str, values: Mapping[str, bool], *, action: str, by: Principal, now: datetime
) -> None:
    changed = session.connection().execute(
        update(_pharmacies)
        .where(_pharmacies.c.organisation_id == by.organisation_id, _pharmacies.c.id == key)
        .values(**values)
    )
    if not changed.rowcount:
        raise NotFound("no such pharmacy reports to this organisation")
    audit.record(session, action, subject=key, by=by, now=now, detail=values)


def listed(session: Session, *, by: Principal, now: datetime) -> list[dict[str, Any]]:
    """The organisation's pharmacies, those that are silent for too long first."""
    asked = select(_pharmacies).where(_pharmacies.c.organisation_id == by.organisation_id)
    rows = [dict(row) for row in session.connection().execute(asked.order_by(_pharmacies.c.id)).mappings()]
    for row in rows:
        row["silent"] = is_silent(row, now)
    rows.sort(key=lambda row: (not row["silent"], row["id"]))
    return rows


def pharmacy_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A pharmacy of the list as the faces show it."""
    moments = {name: row[name].isoformat() if row[name] else None for name in ("data_as_of", "expected_by")}
    return {
        "id": row["id"],
        "name": row["name"],
        **moments,
        "silent": row["silent"],
        "retired": row["retired"],
        "bound": row["bound"],
    }


def is_silent(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a report of the pharmacy is overdue, or none was ever whole."""
    due = row["expected_by"]
    return not row["retired"] and (due is None or due < now)
