"""The pharmacist's queue: flags listed, read and worked on; and the prescriber's messages about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from flask import Response, url_for
from marshmallow import fields, validate

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.schemas import VersionInQuery
from stewardship.auth import Permission, principal, requires
from stewardship.domain.flags.kinds import Event, Status
from stewardship.intake.fields import Choice, Day, StrictSchema, Text, Token, WholeNumber
from stewardship.runtime import runtime
from stewardship.services import flags, patients
from stewardship.services.flag_queue import MOST_LISTED
from stewardship.services.flags import LONGEST_WORDS, FlagRecord

room = Room("flags", __name__, description="Flags for the pharmacist: the queue and the work on it.")

_STATUSES: Mapping[str, tuple[Status, ...]] = {
    "unresolved": (Status.OPEN, Status.CLAIMED),
    "open": (Status.OPEN,),
    "claimed": (Status.CLAIMED,),
    "resolved": (Status.RESOLVED,),
    "all": tuple(Status),
}
_MOST_DAYS = 3_660
_VERSION = {"description": "The flag's `version` as it was looked at; refused when it has changed since."}


class _Yes(fields.String):
    """A condition that is asked for with ``true``."""

    def __init__(self, description: str) -> None:
        super().__init__(
            load_default="false",
            validate=validate.OneOf(["true", "false"]),
            metadata={"description": description},
        )


class FlagsQuery(StrictSchema):
    """Which flags, and in which order; what is not said is not asked for."""

    status = fields.String(load_default="unresolved", validate=validate.OneOf(list(_STATUSES)))
    kind = Token(
        load_default=None,
        allow_none=True,
        metadata={"description": "One kind, as `GET /flag-kinds` names it."},
    )
    least_weight = VersionInQuery(least=1, most=9, load_default=1)
    older_than_days = VersionInQuery(least=0, most=_MOST_DAYS, load_default=0)
    mine = _Yes("Only what the caller has claimed.")
    overdue = _Yes("Only what should have been resolved by now.")
    patient = Token(
        longest=200,
        load_default=None,
        allow_none=True,
        metadata={"description": "The `patient` of a flag."},
    )
    sort = fields.String(load_default="weight", validate=validate.OneOf(["weight", "age", "due", "newest"]))
    limit = VersionInQuery(least=1, most=MOST_LISTED, load_default=50)
    offset = VersionInQuery(least=0, most=1_000_000, load_default=0)


class MessagesQuery(StrictSchema):
    """Which messages."""

    unanswered = _Yes("Only those that the caller has not answered.")


class ClaimRequest(StrictSchema):
    """What was looked at, if that matters."""

    version = WholeNumber(least=1, most=2_000_000_000, load_default=None, allow_none=True, metadata=_VERSION)


class NoteRequest(StrictSchema):
    """What was found out."""

    words = Text(longest=LONGEST_WORDS, blank=False, required=True)


class MessageRequest(StrictSchema):
    """To whom, and what."""

    to = Token(longest=200, required=True, metadata={"description": "The id of a prescriber who works here."})
    words = Text(longest=LONGEST_WORDS, blank=False, required=True)


class AnswerRequest(StrictSchema):
    """What the prescriber says to it; nothing means that he has seen it."""

    words = Text(longest=LONGEST_WORDS, load_default="")


class ResolveRequest(StrictSchema):
    """How the flag ends, and the note that the code may ask for."""

    code = Token(required=True, metadata={"description": "One of the resolutions of `GET /flag-kinds`."})
    words = Text(longest=LONGEST_WORDS, load_default="")
    version = WholeNumber(least=1, most=2_000_000_000, required=True, metadata=_VERSION)


class ReopenRequest(StrictSchema):
    """Why the resolution is taken back."""

    reason = Text(longest=LONGEST_WORDS, blank=False, required=True)
    version = WholeNumber(least=1, most=2_000_000_000, required=True, metadata=_VERSION)


class RaiseRequest(StrictSchema):
    """What no record shows: which prescription or order it labels, and what was seen."""

    patient = Token(
        longest=200, required=True, metadata={"description": "The `patient` of a flag or timeline."}
    )
    kind = Token(required=True, metadata={"description": "A kind with `by_hand`."})
    label = Token(longest=200, required=True, metadata={"description": "The id of a supply or an order."})
    words = Text(longest=LONGEST_WORDS, blank=False, required=True)
    on = Day(load_default=None, allow_none=True)


class FlagAnswer(StrictSchema):
    """A flag: what it labels, its evidence, and where the work on it stands."""

    id = fields.String(required=True)
    patient = fields.String(required=True, metadata={"description": "Our own id, as addresses hold it."})
    patient_id = fields.String(required=True, metadata={"description": "The EHR's id."})
    kind = fields.String(required=True)
    title = fields.String(required=True)
    source = fields.String(required=True, metadata={"description": "Where the rule comes from."})
    label = fields.String(required=True, metadata={"description": "The supply, order or review it labels."})
    first_on = fields.String(required=True)
    last_on = fields.String(required=True)
    weight = fields.Integer(required=True)
    status = Choice(Status, required=True)
    raised_by = fields.String(required=True)
    supplies = fields.List(fields.String(), required=True)
    facts = fields.Dict(required=True)
    complete = fields.Boolean(
        required=True, metadata={"description": "`false`: what is not known would make it more."}
    )
    gone = fields.Boolean(required=True, metadata={"description": "The record no longer shows it."})
    opened_at = fields.String(required=True)
    due_at = fields.String(required=True)
    overdue = fields.Boolean(required=True)
    claimed_by = fields.String(required=True, allow_none=True)
    claimed_at = fields.String(required=True, allow_none=True)
    resolution = fields.String(required=True, allow_none=True)
    resolved_by = fields.String(required=True, allow_none=True)
    resolved_at = fields.String(required=True, allow_none=True)
    took_seconds = fields.Integer(required=True, allow_none=True)
    again_of = fields.String(required=True, allow_none=True)
    merged_into = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)


class FlagMessageAnswer(StrictSchema):
    """A message to a prescriber, and that he has seen it."""

    id = fields.String(required=True)
    flag = fields.String(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    patient = fields.String(required=True)
    to = fields.String(required=True)
    words = fields.String(required=True)
    by = fields.String(required=True)
    at = fields.String(required=True)
    answered_at = fields.String(required=True, allow_none=True)
    answer = fields.String(required=True)


class FlagEventAnswer(StrictSchema):
    """One thing that happened to a flag."""

    seq = fields.Integer(required=True)
    event = Choice(Event, required=True)
    code = fields.String(required=True)
    words = fields.String(required=True)
    detail = fields.Dict(required=True)
    by = fields.String(required=True)
    role = fields.String(required=True)
    at = fields.String(required=True)


class WholeFlagAnswer(FlagAnswer):
    """A flag with everything that happened to it."""

    history = fields.List(fields.Nested(FlagEventAnswer), required=True)
    messages = fields.List(fields.Nested(FlagMessageAnswer), required=True)


class FlagsAnswer(StrictSchema):
    """Some of the flags that were asked for, and how many there are."""

    flags = fields.List(fields.Nested(FlagAnswer), required=True)
    total = fields.Integer(required=True)


class FlagCountsAnswer(StrictSchema):
    """How many flags wait."""

    total = fields.Integer(required=True)
    overdue = fields.Integer(required=True)
    mine = fields.Integer(required=True)
    claimed = fields.Integer(required=True)
    kinds = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    weights = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


class FlagMessagesAnswer(StrictSchema):
    """What was written to the caller."""

    messages = fields.List(fields.Nested(FlagMessageAnswer), required=True)


class FlagKindAnswer(StrictSchema):
    """A kind of flag."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    weight = fields.Integer(required=True)
    by_hand = fields.Boolean(required=True)
    source = fields.String(required=True)
    verified = fields.Boolean(required=True)


class FlagWeightAnswer(StrictSchema):
    """How pressing flags of a weight are."""

    weight = fields.Integer(required=True)
    title = fields.String(required=True)
    due_hours = fields.Integer(required=True)


class FlagResolutionAnswer(StrictSchema):
    """A code with which a flag ends."""

    code = fields.String(required=True)
    display = fields.String(required=True)
    rest_days = fields.Integer(required=True)
    needs_note = fields.Boolean(required=True)


class FlagKindsAnswer(StrictSchema):
    """What flags there are, and how they end."""

    kinds = fields.List(fields.Nested(FlagKindAnswer), required=True)
    weights = fields.List(fields.Nested(FlagWeightAnswer), required=True)
    resolutions = fields.List(fields.Nested(FlagResolutionAnswer), required=True)


# --- the queue ---------------------------------------------------------------------------------------


@room.route("/flags")
@requires(Permission.READ_FLAGS)
@room.arguments(FlagsQuery, location="query")
@room.response(HTTPStatus.OK, FlagsAnswer)
def list_flags(query: Mapping[str, Any]) -> Response:
    """List flags.

    Those that wait, the heaviest and then the oldest first, unless something else is asked for.
    """
    running, now = runtime(), runtime().clock()
    days = query["older_than_days"]
    asked = flags.Asked(
        status=_STATUSES[query["status"]],
        kinds=[query["kind"]] if query["kind"] else (),
        least_weight=query["least_weight"],
        opened_before=now - timedelta(days=days) if days else None,
        mine=query["mine"] == "true",
        overdue=query["overdue"] == "true",
        patient=query["patient"] or "",
        sort=query["sort"],
        limit=query["limit"],
        offset=query["offset"],
    )
    with reading() as session:
        page = flags.listed(session, running.library, asked, by=principal(), now=now)
    return answer({"flags": [flags.flag_json(one, now=now) for one in page.flags], "total": page.total})


@room.route("/flags/counts")
@requires(Permission.READ_FLAGS)
@room.response(HTTPStatus.OK, FlagCountsAnswer)
def count_flags() -> Response:
    """Count the flags that wait.

    By kind and weight, and how many are overdue, claimed, and the caller's own.
    """
    with reading() as session:
        told = flags.counts(session, by=principal(), now=runtime().clock())
    return answer(told)


@room.route("/flag-kinds")
@requires(Permission.READ_FLAGS)
@room.response(HTTPStatus.OK, FlagKindsAnswer)
def list_kinds() -> Response:
    """List what flags there are.

    Their titles, weights and sources, and the codes with which a flag can be resolved.
    """
    work = runtime().library.flags.work
    return answer(
        {
            "kinds": [
                {
                    "kind": k.kind,
                    "title": k.title,
                    "weight": k.weight,
                    "by_hand": k.by_hand,
                    "source": k.source,
                    "verified": k.verified,
                }
                for k in work.kinds.values()
            ],
            "weights": [
                {"weight": w.weight, "title": w.title, "due_hours": w.due_hours}
                for w in work.weights.values()
            ],
            "resolutions": [
                {"code": r.code, "display": r.display, "rest_days": r.rest_days, "needs_note": r.needs_note}
                for r in work.resolutions.values()
                if r.by_hand
            ],
        }
    )


@room.route("/flags/<flag_id>")
@requires(Permission.READ_FLAGS)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
def read_flag(flag_id: str) -> Response:
    """Read a flag.

    With its evidence, everything that happened to it, and the messages about it. That it was read is kept.
    """
    running, now = runtime(), runtime().clock()
    with writing() as session:
        record = flags.read(session, running.library, flag_id, by=principal())
        patients.note_read(session, record.patient, what="flag", by=principal(), now=now)
    return answer(flags.flag_json(record, now=now, whole=True))


@room.route("/flags", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(RaiseRequest)
@room.response(
    HTTPStatus.CREATED,
    WholeFlagAnswer,
    headers={"Location": {"schema": {"type": "string"}, "description": "The flag."}},
)
@room.doc(responses={404: "NOT_FOUND", 409: "CONFLICT"})
def raise_flag(said: Mapping[str, Any]) -> Response:
    """Raise a flag by hand.

    For what no record shows. It labels a prescription or an order, never a person.
    """
    running, now = runtime(), runtime().clock()
    with writing() as session:
        record = flags.raise_by_hand(
            session,
            running.library,
            said["patient"],
            said["kind"],
            said["label"],
            said["words"],
            on=said["on"],
            by=principal(),
            now=now,
        )
    where = url_for("flags.read_flag", flag_id=record.id)
    return answer(flags.flag_json(record, now=now, whole=True), HTTPStatus.CREATED, Location=where)


# --- the work ----------------------------------------------------------------------------------------


@room.route("/flags/<flag_id>/claim", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(ClaimRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def claim_flag(said: Mapping[str, Any], flag_id: str) -> Response:
    """Claim a flag.

    One person has it at a time; whoever comes second is told who has it and since when.
    """
    return _act(flags.claim, flag_id, version=said["version"])


@room.route("/flags/<flag_id>/release", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(ClaimRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def release_flag(said: Mapping[str, Any], flag_id: str) -> Response:
    """Give a flag back to the queue."""
    return _act(flags.release, flag_id, version=said["version"])


@room.route("/flags/<flag_id>/notes", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(NoteRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def note_flag(said: Mapping[str, Any], flag_id: str) -> Response:
    """Write a note.

    It stays, with who wrote it and when.
    """
    return _act(flags.note, flag_id, said["words"])


@room.route("/flags/<flag_id>/messages", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(MessageRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def message_prescriber(said: Mapping[str, Any], flag_id: str) -> Response:
    """Write to a prescriber.

    The message waits on the prescriber's worklist until it is answered.
    """
    return _act(flags.message, flag_id, said["words"], to_user=said["to"])


@room.route("/flags/<flag_id>/resolve", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(ResolveRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def resolve_flag(said: Mapping[str, Any], flag_id: str) -> Response:
    """Resolve a flag.

    With one of the codes, and a note where the code asks for one. Refused when the flag changed since it was
    looked at.
    """
    return _act(flags.resolve, flag_id, said["code"], words=said["words"], version=said["version"])


@room.route("/flags/<flag_id>/reopen", methods=["POST"])
@requires(Permission.WORK_FLAGS)
@room.arguments(ReopenRequest)
@room.response(HTTPStatus.OK, WholeFlagAnswer)
@room.doc(responses={409: "CONFLICT"})
def reopen_flag(said: Mapping[str, Any], flag_id: str) -> Response:
    """Reopen a flag.

    Takes a resolution back, with the reason.
    """
    return _act(flags.reopen, flag_id, said["reason"], version=said["version"])


def _act(act: Callable[..., FlagRecord], flag_id: str, *said: str, **more: Any) -> Response:
    """Do one act on the caller's behalf, and answer with the flag as it stands then."""
    running, now = runtime(), runtime().clock()
    with writing() as session:
        record = act(session, running.library, flag_id, *said, by=principal(), now=now, **more)
    return answer(flags.flag_json(record, now=now, whole=True))


# --- the prescriber's messages -------------------------------------------------------------------------


@room.route("/messages")
@requires(Permission.READ_MESSAGES)
@room.arguments(MessagesQuery, location="query")
@room.response(HTTPStatus.OK, FlagMessagesAnswer)
def list_messages(query: Mapping[str, Any]) -> Response:
    """List what pharmacists wrote to the caller.

    The newest first.
    """
    with reading() as session:
        found = flags.messages_for(
            session, runtime().library, by=principal(), unanswered=query["unanswered"] == "true"
        )
    return answer({"messages": [flags.message_json(one) for one in found]})


@room.route("/messages/<message_id>/answer", methods=["POST"])
@requires(Permission.READ_MESSAGES)
@room.arguments(AnswerRequest)
@room.response(HTTPStatus.OK, FlagMessageAnswer)
@room.doc(responses={409: "CONFLICT"})
def answer_message(said: Mapping[str, Any], message_id: str) -> Response:
    """Answer a message.

    Once; without words it says that the message was seen.
    """
    with writing() as session:
        found = flags.answer(session, message_id, said["words"], by=principal(), now=runtime().clock())
    return answer(flags.message_json(found))
