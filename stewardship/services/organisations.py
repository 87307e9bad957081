"""Organisations: made once, by whoever sets the service up."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.db.patients import insert_once
from stewardship.domain.people import Principal, Role
from stewardship.services import audit

_organisations: Any = tables.Organisation.__table__


def ensure(session: Session, organisation_id: str, *, name: str, by: Principal, now: datetime) -> bool:
    """Make the organisation unless it is there; whether it was made."""
    made = insert_once(session, _organisations, {"id": organisation_id, "name": name, "created_at": now})
    if made:
        acting = Principal(by.user_id, organisation_id, Role(by.role))
        audit.record(session, "organisation.made", subject=organisation_id, by=acting, now=now)
    return made


def made_at(session: Session, organisation_id: str) -> datetime:
    """When the organisation was made; it is there."""
    asked = select(_organisations.c.created_at).where(_organisations.c.id == organisation_id)
    found: datetime = session.connection().execute(asked).scalar_one()
    return found


def listed(session: Session) -> list[str]:
    """The ids of all organisations, for whoever runs the service."""
    return list(
        session.connection().execute(select(_organisations.c.id).order_by(_organisations.c.id)).scalars()
    )
