"""What somebody had typed when his session was over: carried, sealed, past the sign-in, and shown again.

It is in the page alone: the service keeps nothing, and the browser cannot read it. Whoever signs in as
somebody else does not get to see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
from flask import request

from stewardship import browsers
from stewardship.db.engine import transaction
from stewardship.domain.people import Principal
from stewardship.runtime import runtime
from stewardship.services import browser_sessions
from stewardship.services.sealing import Seals

#: The name of the hidden field, and the purpose that it is sealed for.
FIELD = "kept"
#: What browsers keep of a cookie, less what else is in it.
LONGEST_IN_COOKIE = 2_400
_PURPOSE = "kept form"
_LONGEST = timedelta(hours=1)
_MOST_CHARACTERS = 64_000
_NEVER = frozenset({"csrf_token", FIELD, "password", "code"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A form that was not taken: where it was sent, by whom, and what it says. ``whole`` forms can be sent
    again as they are; parts of a page cannot, for their answer is no page."""

    organisation_id: str
    user_id: str
    path: str
    whole: bool
    fields: list[tuple[str, str]]


def keep() -> str:
    """The form of the current request, sealed; empty when there is none or nobody can be told to own it."""
    if request.method != "POST" or request.files:
        return ""
    fields = [(name, value) for name, value in request.form.items(multi=True) if name not in _NEVER]
    owner = _owner()
    if owner is None or not fields or sum(len(value) for _, value in fields) > _MOST_CHARACTERS:
        return ""
    whole = request.headers.get("HX-Request") != "true"
    kept = Kept(owner.organisation_id, owner.user_id, request.path, whole, fields)
    running = runtime()
    return Seals(running.settings.secret_key).seal(
        _PURPOSE, msgspec.json.encode(kept).decode(), now=running.clock()
    )


def carried() -> str:
    """What the current sign-in form carries on; not looked into before somebody has signed in."""
    return request.form.get(FIELD, "")[: _MOST_CHARACTERS * 4]


def opened(sealed: str, by: Principal) -> Kept | None:
    """What was kept, if it was kept for this person not long ago."""
    if not sealed:
        return None
    running = runtime()
    words = Seals(running.settings.secret_key).open(_PURPOSE, sealed, now=running.clock(), longest=_LONGEST)
    if words is None:
        return None
    kept = msgspec.json.decode(words, type=Kept)
    return kept if (kept.organisation_id, kept.user_id) == (by.organisation_id, by.user_id) else None


def _owner() -> Principal | None:
    token = browsers.cookie()
    if not token:
        return None
    with transaction(runtime().sessions, write=False) as session:
        return browser_sessions.whose(session, token)
