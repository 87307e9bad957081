"""Links for patients: one is made for an instrument, looked at, and revoked. Its address is told once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Response, request
from marshmallow import fields

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.auth import Permission, principal, requires
from stewardship.intake.fields import StrictSchema, Token, WholeNumber
from stewardship.runtime import runtime
from stewardship.services import links

room = Room("questionnaire-links", __name__, description="Links with which patients answer an instrument.")


class LinkRequest(StrictSchema):
    """For whom, which instrument, and for how long."""

    patient = Token(required=True, metadata={"description": "The EHR's id of the patient."})
    instrument = Token(required=True, metadata={"description": "An instrument's id, such as `peg`."})
    review = Token(metadata={"description": "The review that it is for."})
    days = WholeNumber(
        least=1,
        most=links.LONGEST_LIFE.days,
        load_default=links.LIFE.days,
        metadata={"description": "How long the link is good."},
    )


class LinkAnswer(StrictSchema):
    """A link as it stands."""

    id = fields.String(required=True)
    patient_id = fields.String(required=True)
    instrument = fields.String(required=True)
    review = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, metadata={"description": "`open`, `used`, `expired` or `revoked`."})
    issued_at = fields.String(required=True)
    issued_by = fields.String(required=True)
    expires_at = fields.String(required=True)
    used_at = fields.String(required=True, allow_none=True)
    revoked_at = fields.String(required=True, allow_none=True)
    revoked_by = fields.String(required=True, allow_none=True)


class IssuedAnswer(LinkAnswer):
    """A link that was made just now, with its address."""

    url = fields.String(
        required=True, metadata={"description": "For the patient alone. It cannot be shown again."}
    )


@room.route("/questionnaire-links", methods=["POST"])
@requires(Permission.ISSUE_LINKS)
@room.arguments(LinkRequest)
@room.response(HTTPStatus.CREATED, IssuedAnswer)
@room.doc(responses={404: "NOT_FOUND", 409: "CONFLICT"})
def issue_link(said: Mapping[str, Any]) -> Response:
    """Make a link for a patient on record.

    It is good once and for a while, and nothing in it says whose it is. Licensed instruments, whose items
    may not be printed, and tools of risk have none.
    """
    running = runtime()
    with writing() as session:
        link, token = links.issue(
            session,
            running.library,
            said["patient"],
            said["instrument"],
            secret=running.settings.secret_key,
            review_id=said.get("review"),
            life=timedelta(days=said["days"]),
            by=principal(),
            now=running.clock(),
        )
    base = running.settings.public_url or request.host_url.rstrip("/")
    told = links.link_json(link, now=running.clock()) | {"url": f"{base}/questionnaire/{token}"}
    return answer(told, HTTPStatus.CREATED, Location=f"/api/v1/questionnaire-links/{link.id}")


@room.route("/questionnaire-links/<link_id>")
@requires(Permission.ISSUE_LINKS)
@room.response(HTTPStatus.OK, LinkAnswer)
def read_link(link_id: str) -> Response:
    """Say how a link stands: open, used, expired or revoked."""
    with reading() as session:
        link = links.read(session, link_id, by=principal())
    return answer(links.link_json(link, now=runtime().clock()))


@room.route("/questionnaire-links/<link_id>/revoke", methods=["POST"])
@requires(Permission.ISSUE_LINKS)
@room.response(HTTPStatus.OK, LinkAnswer)
@room.doc(responses={409: "CONFLICT"})
def revoke_link(link_id: str) -> Response:
    """End a link at once; one that was answered stays answered."""
    running = runtime()
    with writing() as session:
        link = links.revoke(session, link_id, by=principal(), now=running.clock())
    return answer(links.link_json(link, now=running.clock()))
