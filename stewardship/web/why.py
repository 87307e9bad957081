"""Why a decision stands as it does: on what, by which texts, lifted by whom; and decided again.

Both pages can be printed and filed.
"""

from __future__ import annotations

from flask import Blueprint, Response

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.runtime import runtime
from stewardship.services import decisions, patients, replay, trail_search
from stewardship.services.trail_search import Entry, Sought
from stewardship.web import ordering
from stewardship.web.pages import may, page

room = Blueprint("why", __name__)

_MOST_ENTRIES = 200


@room.get("/decisions/<decision_id>/replay")
@requires(Permission.READ_DECISIONS)
def replayed(decision_id: str) -> Response:
    """The decision made again from what it was made on; what came out otherwise, and why that can be."""
    running, by = runtime(), principal()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        again = replay.replay(session, library, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        patients.note_read(session, made.patient_id, what="replay", by=by, now=running.clock())
    return page("replay.html", again=again, made=made, now=running.clock())


@room.get("/decisions/<decision_id>/why")
@requires(Permission.READ_DECISIONS)
def why(decision_id: str) -> Response:
    """Why an order was allowed, or was not: every finding, and what people did about it."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    with transaction(running.sessions, late=True) as session:
        stored = decisions.read(session, decision_id, by=by)
        made = patients.made_on(session, decision_id, by=by)
        who, _ = patients.known(session, made.patient_id, by=by)
        again = replay.replay(session, library, decision_id, by=by)
        entries: tuple[Entry, ...] = ()
        if may(Permission.READ_AUDIT):
            entries = trail_search.found(session, Sought(subject=decision_id), by=by, limit=_MOST_ENTRIES)
        patients.note_read(session, made.patient_id, what="decision", by=by, now=now)
    told = decisions.stored_json(stored)
    return page(
        "why.html",
        decision=told,
        objections=[f for f in told["findings"] if f["enforcement"] != "silent"],
        silent=[f for f in told["findings"] if f["enforcement"] == "silent"],
        overrides={one["policy"]: one for one in told["overrides"]},
        exceptions=told["exceptions"],
        files={p["id"]: p for p in told["policies"]},
        lifted={found.policy for found in stored.findings if found.lifted},
        made=made,
        reads=ordering.reads(made.order) if made.order is not None else "",
        who=who,
        again=again,
        entries=entries[::-1],
        now=now,
    )
