"""The end of an audit key: the last entry under it says, in every organisation's trail, which one follows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from stewardship.db import tables
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.domain.people import Principal, Role
from stewardship.services import audit

#: Who is on record for what an operator does at the terminal.
OPERATOR = "operator"
_NAME = re.compile(r"k[0-9]{1,6}")
_organisations: Any = tables.Organisation.__table__


@dataclass(frozen=True)
class Ended:
    """Which key ended, and in whose trails."""

    was: str
    organisations: tuple[str, ...]


def rotate(session: Session, *, to: str, now: datetime) -> Ended:
    """Say in every trail that another key follows. Entries under the old key after that are a fault."""
    keys = audit.audit_keys(session)
    if not _NAME.fullmatch(to) or to in keys.keys:
        raise InvalidInput(
            "the name of the new key is not a new one",
            faults=(Fault("/name", "key-name", "Keys are called k1, k2 and so on; name one not used yet."),),
        )
    asked = select(_organisations.c.id).order_by(_organisations.c.id)
    organisations = tuple(session.connection().execute(asked).scalars())
    for organisation in organisations:
        by = Principal(OPERATOR, organisation, Role.ADMIN)
        audit.record(
            session, "key.rotated", subject=to, by=by, now=now, detail={"from": keys.current, "to": to}
        )
    return Ended(keys.current, organisations)
