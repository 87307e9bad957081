"""Records that people act on: plans, referrals, tapers, prescribers.

Every act names the version that somebody looked at. Sent again, it is the same act and changes nothing; on a
version that is no longer the last it is refused, and whoever comes second is told who was first. Each version
stays, with the act that made it, and leaves an audit entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from stewardship.db import documents, plan_tables
from stewardship.db.patients import insert_once
from stewardship.db.plan_tables import Subject
from stewardship.domain.errors import Conflict, NotFound
from stewardship.domain.people import Principal
from stewardship.services import audit
from stewardship.services.answers import instant_json

T = TypeVar("T")

_TABLES: Mapping[Subject, Any] = {
    Subject.PLAN: plan_tables.PainPlan.__table__,
    Subject.REFERRAL: plan_tables.Referral.__table__,
    Subject.TAPER: plan_tables.Taper.__table__,
    Subject.PRESCRIBER: plan_tables.Prescriber.__table__,
}
_acts: Any = plan_tables.Act.__table__
_MISSING = {
    Subject.PLAN: "there is no such plan",
    Subject.REFERRAL: "there is no such referral",
    Subject.TAPER: "there is no such taper",
    Subject.PRESCRIBER: "there is no such prescriber",
}


def begin(
    session: Session,
    kind: Subject,
    record: Any,
    *,
    record_id: str,
    columns: Mapping[str, Any],
    said: object,
    by: Principal,
    now: datetime,
) -> bool:
    """Keep a new record, in its first version; whether it was new.

    ``said`` is what was asked for. The same again under the same id is no second one; another under that id
    raises ``Conflict``.
    """
    document, digest = documents.encode(record), documents.digest("start", documents.encode(said))
    row = {
        "organisation_id": by.organisation_id,
        "id": record_id,
        "version": 1,
        "document": document,
        "created_at": now,
        "changed_at": now,
        "changed_by": by.user_id,
        **columns,
    }
    if not insert_once(session, _TABLES[kind], row):
        first = _act(session, kind, record_id, 1, by)
        if first is not None and first.digest == digest and first.by_user == by.user_id:
            return False
        raise Conflict(f"another {kind} stands under this id, or in the way of it", code="id-taken")
    _keep(session, kind, record_id, 1, "start", digest, document, by=by, now=now)
    return True


def row_of(session: Session, kind: Subject, record_id: str, *, by: Principal, lock: bool = False) -> Row[Any]:
    """A record of the caller's organisation; ``lock`` keeps others from acting on it until the end."""
    table = _TABLES[kind]
    asked = select(table).where(table.c.organisation_id == by.organisation_id, table.c.id == record_id)
    row = session.connection().execute(asked.with_for_update() if lock else asked).first()
    if row is None:
        raise NotFound(_MISSING[kind])
    return row


def again(
    session: Session,
    kind: Subject,
    row: Row[Any],
    *,
    version: int,
    act: str,
    said: object,
    by: Principal,
) -> bool:
    """Whether this very act was made on this version already. Raises ``Conflict`` when another was."""
    if row.version == version:
        return False
    after = _act(session, kind, row.id, version + 1, by)
    digest = documents.digest(act, documents.encode(said))
    if after is not None and after.digest == digest and after.by_user == by.user_id:
        return True
    raise Conflict(
        f"version {version} is not the last: version {row.version} was made by {row.changed_by} at "
        f"{instant_json(row.changed_at)}",
        code="stale",
    )


def change(
    session: Session,
    kind: Subject,
    row: Row[Any],
    record: Any,
    *,
    act: str,
    said: object,
    columns: Mapping[str, Any],
    by: Principal,
    now: datetime,
) -> int:
    """Keep the record as it is after an act; its new version. The row must be locked."""
    document = documents.encode(record)
    digest = documents.digest(act, documents.encode(said))
    version: int = row.version + 1
    table = _TABLES[kind]
    changed = session.connection().execute(
        update(table)
        .where(
            table.c.organisation_id == by.organisation_id,
            table.c.id == row.id,
            table.c.version == row.version,
        )
        .values(version=version, document=document, changed_at=now, changed_by=by.user_id, **columns)
    )
    if changed.rowcount != 1:
        raise Conflict("somebody else was first: read it again", code="stale")
    _keep(session, kind, row.id, version, act, digest, document, by=by, now=now)
    return version


def decoded(row: Row[Any], as_a: type[T]) -> T:
    """The record of a row."""
    return documents.decode(row.document, as_a)


def _keep(
    session: Session,
    kind: Subject,
    record_id: str,
    version: int,
    act: str,
    digest: str,
    document: str,
    *,
    by: Principal,
    now: datetime,
) -> None:
    session.connection().execute(
        insert(_acts),
        {
            "organisation_id": by.organisation_id,
            "kind": kind.value,
            "subject_id": record_id,
            "version": version,
            "act": act,
            "digest": digest,
            "document": document,
            "by_user": by.user_id,
            "by_role": by.role.value,
            "at": now,
        },
    )
    detail = {"version": version, "digest": documents.digest(document)}
    audit.record(session, f"{kind}.{act}", subject=record_id, by=by, now=now, detail=detail)


def _act(session: Session, kind: Subject, record_id: str, version: int, by: Principal) -> Row[Any] | None:
    asked = select(_acts).where(
        _acts.c.organisation_id == by.organisation_id,
        _acts.c.kind == kind.value,
        _acts.c.subject_id == record_id,
        _acts.c.version == version,
    )
    return session.connection().execute(asked).first()
