"""Tokens that record systems make: each is good once, in all processes, until it would have expired."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from stewardship.db import identity_tables
from stewardship.db.patients import insert_once
from stewardship.domain.people import Principal

_used: Any = identity_tables.UsedHookToken.__table__
#: One in so many uses also tidies up.
_TIDY_EVERY = 256


def use(session: Session, token_id: str, *, until: datetime, by: Principal, now: datetime) -> bool:
    """Use a token up; whether it was unused. The insert is the check: of many at once one succeeds."""
    digest = sha256(token_id.encode()).hexdigest()
    row = {
        "organisation_id": by.organisation_id,
        "client": by.user_id,
        "token_hash": digest,
        "expires_at": until,
    }
    if not insert_once(session, _used, row):
        return False
    if int(digest[:8], 16) % _TIDY_EVERY == 0:
        # Only the caller's own, so that two who tidy up do not wait for each other's rows in turn.
        session.connection().execute(
            delete(_used).where(
                _used.c.organisation_id == by.organisation_id,
                _used.c.client == by.user_id,
                _used.c.expires_at < now,
            )
        )
    return True
