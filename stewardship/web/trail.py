"""The audit trail: looked through, verified with its checkpoints, and given out, which is an entry too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, stream_template

from stewardship.auth import Permission, principal, requires
from stewardship.db.engine import transaction
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake import strict_json
from stewardship.reports.rendering.text import cell
from stewardship.runtime import runtime
from stewardship.services import audit as auditing
from stewardship.services import trail_search
from stewardship.services.notes import BadNote, Signed, found_in
from stewardship.services.trail_search import Entry, Sought
from stewardship.web import reading
from stewardship.web.pages import page
from stewardship.web.periods import typed_day
from stewardship.web.verifying import Walk, sent
from stewardship.witness import Witness

room = Blueprint("trail", __name__)

_PER_PAGE = 100
_LONGEST_FIELD = 200
_HTML = "text/html; charset=utf-8"
_FIELDS = ("action", "subject", "user", "since", "until")


@room.get("/audit")
@requires(Permission.READ_AUDIT)
def audit() -> Response:
    """The entries that were asked for, the newest first."""
    said = _said(request.args)
    try:
        sought, faults = _sought(said, request.args.get("before", "")), {}
    except InvalidInput as refused:
        sought, faults = Sought(), {f.pointer.lstrip("/"): f.message for f in refused.faults}
    with transaction(runtime().sessions, write=False) as session:
        found = trail_search.found(session, sought, by=principal(), limit=_PER_PAGE + 1)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK
    return page("trail.html", status=status, **_told(found, said, faults))


@room.post("/audit/export")
@requires(Permission.READ_AUDIT)
def export() -> Response:
    """The entries as a file of comma-separated values. That it was given out is an entry."""
    running, by, now = runtime(), principal(), runtime().clock()
    said = _said(request.form)
    sought = _sought(said)
    with transaction(running.sessions) as session:
        found = trail_search.found(session, sought, by=by, limit=trail_search.MOST_FOUND)
        detail = {"format": "csv", "rows": len(found), "filters": said}
        auditing.record(session, "export.made", subject="audit-trail", by=by, now=now, detail=detail)
    response = Response("".join(_lines(found)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="audit-trail-{now:%Y-%m-%d}.csv"'
    response.headers["Cache-Control"] = "no-store"
    return response


@room.post("/audit/verify")
@requires(Permission.READ_AUDIT)
def verify() -> Response:
    """Walk the whole chain, with what it bears witness to and every checkpoint that was signed over it;
    the page tells how far it has come while it is sent."""
    running, by, began = runtime(), principal(), runtime().clock()
    signed, unread = _checkpoints()
    with transaction(running.sessions, write=False) as session:
        found = trail_search.found(session, Sought(), by=by, limit=_PER_PAGE + 1)
    mine = [one for one in signed if one.checkpoint.organisation_id == by.organisation_id]
    walk = Walk(running, by.organisation_id, signed, found[0].seq if found else 0, began)
    last = max(mine, key=lambda one: one.checkpoint.size) if mine else None
    told = _told(found, {}, {}) | {"walk": walk, "unread": unread, "last": last}
    return Response(sent(walk, stream_template("trail.html", **told)), content_type=_HTML)


def _told(found: tuple[Entry, ...], said: Mapping[str, str], faults: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows, with nothing verified."""
    entries, more = found[:_PER_PAGE], len(found) > _PER_PAGE
    older = {**said, "before": str(entries[-1].seq)} if more else {}
    return {
        "entries": () if faults else entries,
        "older": f"/audit?{urlencode(older)}" if more and not faults else "",
        "said": said,
        "faults": faults,
        "most": trail_search.MOST_FOUND,
        "walk": None,
    }


def _checkpoints() -> tuple[list[Signed], str]:
    """Every checkpoint that was signed, and why they cannot be read if so."""
    witness = (runtime().sessions.kw.get("info") or {}).get("witness")
    if not isinstance(witness, Witness) or not witness.file.exists():
        return [], ""
    text = witness.file.read_text(encoding="utf-8", errors="replace")
    try:
        return (found_in(text, witness.keys) if text.strip() else []), ""
    except BadNote as wrong:
        return [], str(wrong)


def _said(wanted: Mapping[str, str]) -> dict[str, str]:
    typed = {name: wanted.get(name, "").strip()[:_LONGEST_FIELD] for name in _FIELDS}
    return {name: words for name, words in typed.items() if words}


def _sought(said: Mapping[str, str], before: str = "") -> Sought:
    """What to look for; days are the reader's own. ``InvalidInput`` for what cannot be read."""
    if any("\x00" in words for words in said.values()):
        raise InvalidInput(
            "that cannot be looked for", faults=(Fault("/subject", "text", "Write plain text."),)
        )
    since, until = typed_day(said, "since"), typed_day(said, "until")
    return Sought(
        said.get("action", ""),
        said.get("subject", ""),
        said.get("user", ""),
        _start(since) if since else None,
        _start(until + timedelta(days=1)) if until else None,
        int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None,
    )


def _start(on: date) -> datetime:
    return datetime.combine(on, time(), tzinfo=reading.zone()).astimezone(UTC)


def _lines(found: tuple[Entry, ...]) -> Iterator[str]:
    def line(*values: Any) -> str:
        return ",".join('"' + cell(value).replace('"', '""') + '"' for value in values) + "\r\n"

    yield line("seq", "at", "action", "subject", "user", "role", "detail")
    for one in found:
        detail = strict_json.dumps(dict(one.detail))
        yield line(one.seq, one.at.isoformat(), one.action, one.subject, one.by_user, one.by_role, detail)
