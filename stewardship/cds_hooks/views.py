"""The endpoints: discovery, and the call of a service.

Whatever goes wrong after a request was understood is answered with 200 and a card that says that the
check was not made, for clients do not show errors to the prescriber. Errors that only the client's own
programmer can mend are 400 with an OperationOutcome that points at the field. A caller that is not
admitted gets an empty answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from flask import Blueprint, Response, g
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from stewardship.auth import Permission, note_use, principal, public, requires, serves
from stewardship.bodies import json_body
from stewardship.cds_hooks import cards, suggestions
from stewardship.cds_hooks.budget import TooLate, within
from stewardship.cds_hooks.discovery import SERVICES
from stewardship.cds_hooks.replies import clients_error, guard, json_reply, outcome, written_reply
from stewardship.declarations import Library
from stewardship.domain.errors import InvalidInput, NotFound, PatientMismatch, StewardshipError, Unavailable
from stewardship.domain.people import Principal
from stewardship.intake.cds_request import HookRequest, read_request
from stewardship.intake.strict_json import dumps
from stewardship.observability import log, note, report_fault, request_id, whereabouts
from stewardship.runtime import runtime
from stewardship.services import audit, care, feedback, orders, unchecked
from stewardship.services.care import NOTHING_BESIDE, Beside
from stewardship.services.orders import Checked

blueprint = Blueprint("cds_hooks", __name__)
guard(blueprint)

#: What a prescriber reads when a check was not made: what was not done, and what to do.
_NOT_MADE = {
    "patient-mismatch": "Opioid order could not be checked: patient does not match. "
    "Close it and order again in the right chart.",
    "foreign-server": "Opioid check could not be made: this record system's server is not registered here. "
    "Check by hand before signing.",
    "unavailable": "Opioid check could not be made: records cannot be reached. Check by hand before signing.",
    "timeout": "Opioid check could not be made in time. Check by hand before signing.",
    "fault": "Opioid check could not be made: the service has a fault. Check by hand before signing.",
    "unusable-id": "Opioid check could not be made: an id of the request cannot be used. "
    "Check by hand before signing.",
}


@blueprint.get("/cds-services")
@public
def discovery() -> Response:
    """The services that there are; nothing about anybody, so anybody may ask."""
    return json_reply({"services": [service.as_json() for service in SERVICES.values()]})


@blueprint.post("/cds-services/<service_id>")
@requires(Permission.CALL_HOOKS, record_systems=True)
def call(service_id: str) -> Response:
    """Judge what a client asks about, keep the decisions, and answer with cards."""
    running, by = runtime(), principal()
    deadline = time.monotonic() + running.settings.time_budget
    service = SERVICES.get(service_id)
    if service is None:
        raise NotFound("there is no such service")
    settings, library = running.settings, running.library_of(by.organisation_id)
    call = _Call(f"cds-hooks/{service.hook}", by, running.clock(), deadline, library)
    document = json_body(max_bytes=settings.hook_bytes, max_keys=settings.hook_keys)
    if _is_for_another_server(document):
        _note_refusal(call, "foreign-server")
        return _not_made("foreign-server")
    try:
        asked = read_request(
            document,
            hook=service.hook,
            catalogue=library.catalogue,
            code_sets=library.code_sets,
            units=library.units,
            as_of=call.now,
        )
    except PatientMismatch as refusal:
        _note_refusal(call, refusal.code)
        return _not_made(refusal.code)
    # A request is large: what is made from here on takes its place in the processor's caches.
    del document
    g.unmade = _Unmade(call, asked)
    return _answer(call, _check(call, asked, _before(asked)))


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a service: what it is recorded as, whose it is, until when it must be answered, and the
    library of the caller's organisation."""

    channel: str
    by: Principal
    now: datetime
    deadline: float
    library: Library


@dataclass(frozen=True, slots=True)
class _Unmade:
    """A call that was understood: what is written down of it when its check is not made."""

    call: _Call
    asked: HookRequest


@dataclass(frozen=True, slots=True)
class _Done:
    """The answer to a call, and what the log says of it."""

    body: bytes
    disposition: str
    findings: int


def _check(call: _Call, asked: HookRequest, before: Sequence[cards.Card]) -> _Done:
    """Judge, and keep the decisions, which cards show them, and that the token was used."""
    if asked.asks_for_nothing and not before:
        return _worded(call, asked, (), (), before, NOTHING_BESIDE)
    by, now = call.by, call.now
    # The transactions have threads of their own, which must know whose request they work for.
    here = copy_context()

    def look(session: Session) -> Callable[[Session], _Done]:
        weighed = None
        if not asked.asks_for_nothing:
            weighed = orders.weigh(
                session, call.library, asked.orders, asked.chart, channel=call.channel, by=by, now=now
            )
        checked = weighed.checked if weighed is not None else ()
        told = cards.plan(checked, before=before)
        # Before anything is kept: what cannot be said must not be on record as shown.
        done = _worded(call, asked, checked, told, before, _beside(session, call, weighed))

        def keep(session: Session) -> _Done:
            if weighed is not None:
                orders.keep(session, weighed, by=by, now=now)
                unchecked.raise_for(session, call.library, checked, by=by, now=now)
            feedback.cards_shown(session, cards.shown(told, before=before), by=by, now=now)
            here.run(note_use, session)
            return done

        return keep

    try:
        return within(call.deadline, runtime().sessions, look)
    except InvalidInput as cause:
        raise UnusableId from cause


def _worded(
    call: _Call,
    asked: HookRequest,
    checked: Sequence[Checked],
    told: Sequence[cards.Told],
    before: Sequence[cards.Card],
    beside: Beside,
) -> _Done:
    body = cards.answer(checked, told, call.library, before=before, drafts=asked.drafts, beside=beside)
    ours = body["extension"]["stewardship"]
    return _Done(dumps(body), ours["disposition"], len(ours["findings"]))


def _beside(session: Session, call: _Call, weighed: orders.Weighed | None) -> Beside:
    """What was tried, declined or offered before, where alternatives are suggested to a patient on record;
    of others nothing is asked."""
    if weighed is None or weighed.known.id is None:
        return NOTHING_BESIDE
    if not suggestions.answered_by_alternatives(weighed.checked, call.library):
        return NOTHING_BESIDE
    return care.beside(session, call.library, weighed.known.id, by=call.by)


def _is_for_another_server(document: object) -> bool:
    """Whether the request speaks for a FHIR server that its record system was not registered with."""
    named = document.get("fhirServer") if isinstance(document, dict) else None
    return isinstance(named, str) and not serves(named)


def _note_refusal(call: _Call, code: str) -> None:
    """Leave a trace that a request was not judged. The prescriber is told whether or not this succeeds."""
    detail = {"channel": call.channel, "code": code}
    subject = request_id()

    def record(session: Session) -> None:
        audit.record(session, "order.not-checked", subject=subject, by=call.by, now=call.now, detail=detail)

    try:
        within(call.deadline, runtime().sessions, lambda _: record)
    except (StewardshipError, TooLate) as cause:
        report_fault(cause)


def _answer(call: _Call, done: _Done) -> Response:
    note(channel=call.channel, disposition=done.disposition, findings=done.findings)
    return written_reply(done.body)


def _before(asked: HookRequest) -> list[cards.Card]:
    """Cards about what the request holds and nobody judged."""
    said = [cards.unread_draft(kind) for kind in asked.unread]
    unread = [gap.about for gap in asked.chart.gaps if gap.code == "order-unreadable"]
    if unread:
        said.append(cards.unread_parts(unread))
    return said


# --- what goes wrong --------------------------------------------------------------------------------


@blueprint.errorhandler(StewardshipError)
def _cause(cause: StewardshipError) -> Response:
    answer = clients_error(cause)
    if answer is not None:
        return answer
    report_fault(cause)
    return _not_made("unavailable" if isinstance(cause, Unavailable) else "fault")


class UnusableId(Exception):
    """An id that the client brought is of a form that cannot be kept."""


@blueprint.errorhandler(UnusableId)
def _unusable(cause: UnusableId) -> Response:
    report_fault(cause)
    return _not_made("unusable-id")


@blueprint.errorhandler(TooLate)
def _too_late(cause: TooLate) -> Response:
    report_fault(cause)
    return _not_made("timeout")


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.BAD_REQUEST)
    return outcome(status, "not-supported", status.phrase)


@blueprint.errorhandler(Exception)
def _fault(error: Exception) -> Response:
    report_fault(error)
    return _not_made("fault")


def _not_made(code: str) -> Response:
    log.warning("not checked", code=code, **whereabouts())
    unmade: _Unmade | None = g.pop("unmade", None)
    if unmade is not None and not unmade.asked.asks_for_nothing:
        _write_afterwards(unmade, code)
    return json_reply(cards.not_made(code, _NOT_MADE[code]))


def _write_afterwards(unmade: _Unmade, code: str) -> None:
    """Leave a trace, and a flag for each order, without letting the prescriber wait for either."""
    running, call, asked, request = runtime(), unmade.call, unmade.asked, request_id()
    wanted = [order for order in asked.orders if order.selected] or asked.orders
    ids = () if code == "unusable-id" else tuple(order.id for order in wanted if order.id)

    def write(session: Session) -> None:
        now, detail = running.clock(), {"channel": call.channel, "code": code}
        audit.record(session, "order.not-checked", subject=request, by=call.by, now=now, detail=detail)
        unchecked.raise_unmade(
            session,
            call.library,
            asked.chart.patient,
            ids,
            channel=call.channel,
            code=code,
            asked_at=call.now,
            by=call.by,
            now=now,
        )

    running.afterwards.add(running.sessions, write)
