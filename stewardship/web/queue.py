"""The queue: flags and orders that could not be checked, filtered, sorted, counted; how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, cast, get_args
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.flags.kinds import Status, Work
from stewardship.runtime import runtime
from stewardship.services import candidates, flags
from stewardship.services.flag_queue import UNRESOLVED, Asked
from stewardship.web.pages import may, page
from stewardship.web.reading import counted

room = Blueprint("queue", __name__)

#: Flags on one page, and the days over which the time to resolution is told.
_PER_PAGE, _TOLD_DAYS = 50, 90
_MOST_PAGES = 2_000
_Sort = Literal["weight", "age", "due", "newest"]
SORTS: Mapping[str, str] = {
    "weight": "Most pressing first",
    "due": "Next due first",
    "age": "Oldest first",
    "newest": "Newest first",
}
STATUSES: Mapping[str, str] = {
    "waiting": "Waiting: open and claimed",
    "open": "Open, nobody has it",
    "claimed": "Claimed by somebody",
    "resolved": "Resolved",
}
AGES: Mapping[str, str] = {"1": "More than 1 day", "3": "More than 3 days", "7": "More than a week"}


@room.get("/queue")
@requires(Permission.READ_FLAGS)
def queue() -> Response:
    """The flags that were asked for; at first those that wait, the most pressing first."""
    running, by, now = runtime(), principal(), runtime().clock()
    library = running.library_of(by.organisation_id)
    said, number = _said(request.args, library.flags.work), _page_number(request.args.get("page", ""))
    with transaction(running.sessions, write=False) as session:
        found = flags.listed(session, library, _asked(said, number, now), by=by, now=now)
        counts = flags.counts(session, by=by, now=now)
        took = flags.resolution_times(session, since=now - timedelta(days=_TOLD_DAYS), until=now, by=by)
        unsettled = len(candidates.waiting(session, by=by)) if may(Permission.READ_MATCHES) else 0
    return page(
        "queue.html",
        flags=found.flags,
        total=found.total,
        counts=counts,
        took=took,
        told_days=_TOLD_DAYS,
        unsettled=unsettled,
        said=said,
        number=number,
        pages=max(1, -(-found.total // _PER_PAGE)),
        address=lambda **more: f"/queue?{urlencode({k: v for k, v in (said | more).items() if v})}",
        work=library.flags.work,
        kinds=sorted(((k.kind, k.title) for k in library.flags.work.kinds.values()), key=lambda k: k[1]),
        weights=[(w.weight, f"{w.title}, or more") for w in library.flags.work.weights.values()],
        now=now,
        duration=duration,
        sorts=SORTS,
        statuses=STATUSES,
        ages=AGES,
    )


def duration(span: timedelta) -> str:
    """How long something took or waits, in its largest whole unit: 3 days, 5 hours, 20 minutes."""
    minutes = int(span.total_seconds()) // 60
    for size, unit in ((24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            return counted(minutes // size, unit)
    return "less than a minute"


def _said(wanted: Mapping[str, str], work: Work) -> dict[str, str]:
    """What was asked for, as far as there is such a thing; an address that is wrong shows the usual."""
    choices = {
        "status": STATUSES,
        "kind": work.kinds,
        "weight": {str(weight): "" for weight in work.weights},
        "age": AGES,
        "mine": {"yes": ""},
        "overdue": {"yes": ""},
        "sort": SORTS,
    }
    return {name: wanted[name] for name, known in choices.items() if wanted.get(name) in known}


def _page_number(text: str) -> int:
    return min(int(text), _MOST_PAGES) if text.isascii() and text.isdigit() and int(text) else 1


def _asked(said: Mapping[str, str], number: int, now: datetime) -> Asked:
    status = said.get("status", "waiting")
    return Asked(
        status=UNRESOLVED if status == "waiting" else (Status(status),),
        kinds=(said["kind"],) if "kind" in said else (),
        least_weight=int(said.get("weight", "1")),
        opened_before=now - timedelta(days=int(said["age"])) if "age" in said else None,
        mine="mine" in said,
        overdue="overdue" in said,
        sort=cast(_Sort, said.get("sort", get_args(_Sort)[0])),
        limit=_PER_PAGE,
        offset=(number - 1) * _PER_PAGE,
    )
