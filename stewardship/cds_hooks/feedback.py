"""The feedback endpoint: what prescribers did about the cards, as the client reports it.

A report is a record and nothing else. It lifts no stop: an override that counts is made by a prescriber
through the API, with the policy's own reasons. Unlike advice, a report that cannot be kept is refused
with an error, so that the client sends it again.
"""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response
from werkzeug.exceptions import HTTPException

from stewardship.auth import Permission, note_use, principal, requires
from stewardship.bodies import json_body
from stewardship.cds_hooks.discovery import SERVICES
from stewardship.cds_hooks.replies import clients_error, guard, json_reply, outcome
from stewardship.db import transaction
from stewardship.domain.errors import NotFound, StewardshipError, Unavailable
from stewardship.intake.cds_feedback import Entry, read_feedback
from stewardship.observability import log, report_fault, whereabouts
from stewardship.runtime import runtime
from stewardship.services import feedback
from stewardship.services.feedback import CardOutcome, Report

blueprint = Blueprint("cds_feedback", __name__)
guard(blueprint)


@blueprint.post("/cds-services/<service_id>/feedback")
@requires(Permission.CALL_HOOKS, record_systems=True)
def give(service_id: str) -> Response:
    """Keep what is reported: all of it, or nothing when one of the cards is unknown."""
    running, by = runtime(), principal()
    if service_id not in SERVICES:
        raise NotFound("there is no such service")
    settings = running.settings
    document = json_body(max_bytes=settings.hook_bytes, max_keys=settings.hook_keys)
    reports = [_report(entry) for entry in read_feedback(document)]
    with transaction(running.sessions) as session:
        kept = feedback.give(session, service=service_id, reports=reports, by=by, now=running.clock())
        note_use(session)
    log.info("feedback", reports=len(reports), kept=kept, **whereabouts())
    return json_reply({})


def _report(entry: Entry) -> Report:
    return Report(
        card=entry.card,
        outcome=CardOutcome(entry.outcome.value),
        accepted=entry.accepted,
        reason_code=entry.reason_code,
        reason_system=entry.reason_system,
        comment=entry.comment,
        at=entry.at,
    )


@blueprint.errorhandler(StewardshipError)
def _cause(cause: StewardshipError) -> Response:
    answer = clients_error(cause)
    if answer is not None:
        return answer
    report_fault(cause)
    if isinstance(cause, Unavailable):
        return outcome(HTTPStatus.SERVICE_UNAVAILABLE, "transient", "nothing was kept: send it again later")
    return _fault(cause)


@blueprint.errorhandler(HTTPException)
def _http(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.BAD_REQUEST)
    return outcome(status, "not-supported", status.phrase)


@blueprint.errorhandler(Exception)
def _fault(error: Exception) -> Response:
    report_fault(error)
    return outcome(HTTPStatus.INTERNAL_SERVER_ERROR, "exception", "the service has a fault; nothing was kept")
