"""Legal holds, placed and lifted with a reason; how long records are kept, what is past its time, and what
was removed. To remove is the terminal's: nothing here can destroy a record."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Response, url_for
from marshmallow import fields, validate

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.auth import Permission, principal, requires
from stewardship.domain.errors import Fault, InvalidInput
from stewardship.intake.fields import Day, Instant, StrictSchema, Text, Token
from stewardship.runtime import runtime
from stewardship.services import holds, removals
from stewardship.services import retention as terms_and_removal

room = Room("retention", __name__, description="How long records are kept, and legal holds.")

_LONGEST_REASON = 4_000
_LONGEST_ID = 200
_LAST_REMOVALS = 100
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "The hold."}}


def _nullable(**more: Any) -> Any:
    return {"required": True, "allow_none": True, **more}


class HoldsQuery(StrictSchema):
    """Which holds: those that ``stand``, or ``all`` there ever were."""

    status = fields.String(load_default="stand", validate=validate.OneOf(["stand", "all"]))


class HoldRequest(StrictSchema):
    """What is held, and why. Everything is held only when it is said."""

    scope = fields.String(required=True, validate=validate.OneOf(["patient", "everything"]))
    patient = Text(
        longest=_LONGEST_ID,
        blank=False,
        load_default=None,
        allow_none=True,
        metadata={"description": "The EHR's id of the patient; with the scope `patient` alone."},
    )
    reason = Text(longest=_LONGEST_REASON, blank=False, required=True)
    id = Token(
        load_default=None,
        allow_none=True,
        validate=validate.Regexp(r"^[0-9a-f]{32}$"),
        metadata={"description": "The caller's own id: sent again, it is the same hold."},
    )


class LiftRequest(StrictSchema):
    """Why the hold ends; it is kept with it."""

    reason = Text(longest=_LONGEST_REASON, blank=False, required=True)


class HoldAnswer(StrictSchema):
    """A hold; ``patient`` is null for one over everything."""

    id = fields.String(required=True)
    patient = fields.String(**_nullable(metadata={"description": "The EHR's id; null: everything is held."}))
    reason = fields.String(required=True)
    by = fields.String(required=True)
    at = Instant(required=True)
    lifted_by = fields.String(**_nullable())
    lifted_at = Instant(**_nullable())
    lifted_why = fields.String(**_nullable())


class HoldsAnswer(StrictSchema):
    """Holds, the oldest first."""

    holds = fields.List(fields.Nested(HoldAnswer), required=True)


class TermSourceAnswer(StrictSchema):
    """What a term rests on; ``verified`` when its text was read."""

    title = fields.String(required=True)
    url = fields.String(required=True)
    date = Day(required=True)
    verified = fields.Boolean(required=True)


class TermAnswer(StrictSchema):
    """How long one kind of record is kept. Nothing goes of a patient who is younger than ``until_age``."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    what = fields.String(required=True)
    years = fields.Integer(required=True)
    until_age = fields.Integer(**_nullable())
    sources = fields.List(fields.Nested(TermSourceAnswer), required=True)


class NeverRemovedAnswer(StrictSchema):
    """What no term removes, and why."""

    id = fields.String(required=True)
    title = fields.String(required=True)
    why = fields.String(required=True)


class TermsAnswer(StrictSchema):
    """All terms, and what is never removed."""

    terms = fields.List(fields.Nested(TermAnswer), required=True)
    kept = fields.List(fields.Nested(NeverRemovedAnswer), required=True)


class PastAnswer(StrictSchema):
    """What is past its time of one kind: from before when, how much would go, and why the rest stays."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    before = Day(required=True)
    would_go = fields.Integer(required=True)
    by_year = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "What would go, by the year it is of."},
    )
    next_on = Day(**_nullable(metadata={"description": "When the oldest of the rest will be past its time."}))
    stay = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "What is past its time and stays, by the reason."},
    )


class PastsAnswer(StrictSchema):
    """What is past its time, of each kind."""

    kinds = fields.List(fields.Nested(PastAnswer), required=True)


class RemovalAnswer(StrictSchema):
    """A portion that was removed, and the entry of the audit trail that says so."""

    entry = fields.Integer(required=True)
    at = Instant(required=True)
    kind = fields.String(required=True)
    rows = fields.Integer(required=True)
    before = Day(required=True)
    by = fields.String(required=True)


class RemovalsAnswer(StrictSchema):
    """Removals, the last one first."""

    removals = fields.List(fields.Nested(RemovalAnswer), required=True)


@room.route("/retention/terms")
@requires(Permission.READ_RETENTION)
@room.response(HTTPStatus.OK, TermsAnswer)
def list_terms() -> Response:
    """List terms of retention.

    How long each kind of record is kept, on what that rests, and what is never removed.
    """
    return answer(terms_and_removal.terms_json(runtime().library.retention))


@room.route("/retention/past")
@requires(Permission.READ_RETENTION)
@room.response(HTTPStatus.OK, PastsAnswer)
def list_past() -> Response:
    """Count what is past its time.

    What of it would go, and what stays and why; nothing is changed. `stewardship retention apply` removes.
    """
    running = runtime()
    with reading() as session:
        found = terms_and_removal.past(
            session, running.library.retention, by=principal(), now=running.clock()
        )
    return answer({"kinds": [terms_and_removal.past_json(one) for one in found]})


@room.route("/retention/removals")
@requires(Permission.READ_RETENTION)
@room.response(HTTPStatus.OK, RemovalsAnswer)
def list_removals() -> Response:
    """List what was removed last.

    A hundred portions at the most; all are in the audit trail.
    """
    with reading() as session:
        found = removals.listed(session, by=principal(), limit=_LAST_REMOVALS)
    return answer({"removals": [removals.removal_json(one) for one in found]})


@room.route("/legal-holds")
@requires(Permission.READ_RETENTION)
@room.arguments(HoldsQuery, location="query")
@room.response(HTTPStatus.OK, HoldsAnswer)
def list_holds(query: Mapping[str, Any]) -> Response:
    """List legal holds.

    Those that stand, the oldest first; with `status=all` those that were lifted, too.
    """
    with reading() as session:
        found = holds.listed(session, by=principal(), standing=query["status"] == "stand")
    return answer({"holds": [holds.hold_json(one) for one in found]})


@room.route("/legal-holds", methods=["POST"])
@requires(Permission.KEEP_HOLDS)
@room.arguments(HoldRequest)
@room.response(HTTPStatus.CREATED, HoldAnswer, headers=_LOCATION)
@room.doc(responses={404: "NOT_FOUND", 409: "CONFLICT"})
def place_hold(said: Mapping[str, Any]) -> Response:
    """Place a legal hold.

    Nothing of the patient, or of everything, is removed until it is lifted. No hold ends by itself.
    """
    if (said["patient"] is None) == (said["scope"] == "patient"):
        words = "name the patient" if said["patient"] is None else "leave it out: everything is held"
        fault = Fault("/patient", "scope", f"{words}; the scope is {said['scope']}")
        raise InvalidInput("scope and patient say two things", faults=(fault,))
    with writing() as session:
        made = holds.place(
            session,
            patient=said["patient"],
            reason=said["reason"],
            hold_id=said["id"],
            by=principal(),
            now=runtime().clock(),
        )
    where = url_for("retention.read_hold", hold_id=made.id)
    return answer(holds.hold_json(made), HTTPStatus.CREATED, Location=where)


@room.route("/legal-holds/<hold_id>")
@requires(Permission.READ_RETENTION)
@room.response(HTTPStatus.OK, HoldAnswer)
def read_hold(hold_id: str) -> Response:
    """Read a legal hold."""
    with reading() as session:
        found = holds.read(session, hold_id, by=principal())
    return answer(holds.hold_json(found))


@room.route("/legal-holds/<hold_id>/lift", methods=["POST"])
@requires(Permission.KEEP_HOLDS)
@room.arguments(LiftRequest)
@room.response(HTTPStatus.OK, HoldAnswer)
@room.doc(responses={409: "CONFLICT"})
def lift_hold(said: Mapping[str, Any], hold_id: str) -> Response:
    """Lift a legal hold.

    Once, with a reason. What it kept and is past its time would go with the next removal.
    """
    with writing() as session:
        ended = holds.lift(session, hold_id, reason=said["reason"], by=principal(), now=runtime().clock())
    return answer(holds.hold_json(ended))
