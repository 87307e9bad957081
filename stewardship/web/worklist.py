"""Who has to be looked at: the reader's own list, or everybody's, the longest overdue first."""

from __future__ import annotations

from flask import Blueprint, Response, request

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.plan_referrals import waits_for
from stewardship.runtime import runtime
from stewardship.services import calendars, plans, worklists
from stewardship.services.plans import ReferralRead
from stewardship.web.pages import may, page

room = Blueprint("worklist", __name__)

#: More than anybody reads at once; what is overdue longest is among them.
_MOST = 200


@room.get("/worklist")
@requires(Permission.READ_FUNCTION)
def worklist() -> Response:
    """Reviews that are due or past their day, pain to look at again, and referrals that nobody answered."""
    running, by = runtime(), principal()
    everybody = request.args.get("whose") == "everybody"
    with transaction(running.sessions, write=False) as session:
        today = calendars.today(session, running.library, by.organisation_id, now=running.clock())
        mine = None if everybody else worklists.known_as(session, by=by)
        lines = worklists.lines(session, clinicians=mine, today=today, by=by)
        pain: tuple[worklists.PainLine, ...] = ()
        if may(Permission.READ_CARE):
            pain = worklists.follow_ups(session, clinicians=mine, today=today, by=by)
        waiting: tuple[ReferralRead, ...] = ()
        if may(Permission.READ_PLANS):
            waiting = plans.overdue(session, by=by, today=today, last_by=mine)
    return page(
        "worklist.html",
        waiting=waiting[:_MOST],
        more_waiting=max(0, len(waiting) - _MOST),
        waits=waits_for,
        gives={one.id: one.title for one in running.library.plans.disciplines.values()},
        pain=pain[:_MOST],
        more_pain=max(0, len(pain) - _MOST),
        triggers={rule.id: rule for rule in running.library.triggers.rules},
        lines=lines[:_MOST],
        more=max(0, len(lines) - _MOST),
        missed=sum(line.state.value == "missed" for line in lines),
        total=len(lines),
        everybody=everybody,
        today=today,
    )
