"""Matches of patients that no rule is sure of: listed, read side by side, settled, and undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Response

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.api.match_schemas import (
    IdentityAnswer,
    MatchAnswer,
    MatchesAnswer,
    MatchesQuery,
    PersonAnswer,
    PersonQuestion,
    SettlingRequest,
)
from stewardship.auth import Permission, principal, requires
from stewardship.runtime import runtime
from stewardship.services import candidates, matches

room = Room(
    "matches", __name__, description="Whether two descriptions are of one person: for a person to say."
)

_MATCH = "/matches/<identity_id>/<patient_id>"


@room.route("/matches")
@requires(Permission.READ_MATCHES)
@room.arguments(MatchesQuery, location="query")
@room.response(HTTPStatus.OK, MatchesAnswer)
def list_matches(query: Mapping[str, Any]) -> Response:
    """List matches to settle.

    The oldest first; or, with `status`, those that were settled, the last one first. Ids alone: names are
    in the match itself.
    """
    with reading() as session:
        found = candidates.listed(session, status=query["status"], by=principal())
    return answer({"matches": [matches.match_json(one) for one in found]})


@room.route(_MATCH)
@requires(Permission.READ_MATCHES)
@room.response(HTTPStatus.OK, MatchAnswer)
def read_match(identity_id: str, patient_id: str) -> Response:
    """Read a match side by side.

    The identity as it was reported, the patient whose it may be with his own identities, in which respects
    they agree, what was dispensed under each, and what was done and said before.
    """
    return _told(identity_id, patient_id)


@room.route(f"{_MATCH}/accept", methods=["POST"])
@requires(Permission.SETTLE_MATCHES)
@room.arguments(SettlingRequest)
@room.response(HTTPStatus.OK, MatchAnswer)
@room.doc(responses={409: "CONFLICT"})
def accept_match(said: Mapping[str, Any], identity_id: str, patient_id: str) -> Response:
    """Say that they are one person.

    What was and will be dispensed under the identity is the patient's. Undone by parting the identity.
    """
    terms = runtime().library.feeds
    return _settled(candidates.accept, said, identity_id, patient_id, terms=terms)


@room.route(f"{_MATCH}/decline", methods=["POST"])
@requires(Permission.SETTLE_MATCHES)
@room.arguments(SettlingRequest)
@room.response(HTTPStatus.OK, MatchAnswer)
@room.doc(responses={409: "CONFLICT"})
def decline_match(said: Mapping[str, Any], identity_id: str, patient_id: str) -> Response:
    """Say that they are two.

    Undone by opening the match again.
    """
    return _settled(candidates.decline, said, identity_id, patient_id)


@room.route(f"{_MATCH}/open-again", methods=["POST"])
@requires(Permission.SETTLE_MATCHES)
@room.arguments(SettlingRequest)
@room.response(HTTPStatus.OK, MatchAnswer)
@room.doc(responses={409: "CONFLICT"})
def reopen_match(said: Mapping[str, Any], identity_id: str, patient_id: str) -> Response:
    """Open a declined match again.

    Until somebody settles it anew, both histories say that they may be incomplete.
    """
    return _settled(candidates.reopen, said, identity_id, patient_id)


@room.route("/identities/<identity_id>")
@requires(Permission.READ_MATCHES)
@room.response(HTTPStatus.OK, IdentityAnswer)
def read_identity(identity_id: str) -> Response:
    """Read an identity.

    In its own words, with whose it was and is, by which rule or whom, and why.
    """
    return _identity(identity_id)


@room.route("/identities/<identity_id>/part", methods=["POST"])
@requires(Permission.SETTLE_MATCHES)
@room.arguments(SettlingRequest)
@room.response(HTTPStatus.OK, IdentityAnswer)
def part_identity(said: Mapping[str, Any], identity_id: str) -> Response:
    """Undo a wrong match.

    The identity gets a patient of its own, with what was dispensed under it; the same two are not matched
    again by any rule.
    """
    running = runtime()
    with writing() as session:
        candidates.part(
            session,
            identity_id,
            reason=said["reason"],
            terms=running.library.feeds,
            by=principal(),
            now=running.clock(),
        )
    return _identity(identity_id)


@room.route("/identities/search", methods=["POST"])
@requires(Permission.READ_MATCHES)
@room.arguments(PersonQuestion)
@room.response(HTTPStatus.OK, PersonAnswer)
@room.doc(responses={404: "NOT_FOUND"})
def identities_of_patient(said: Mapping[str, Any]) -> Response:
    """Read a patient's identities.

    By the id that the EHR uses: where to look for a match that was made and is wrong.
    """
    with reading() as session:
        person = matches.person_called(session, said["patient_id"], by=principal())
    return answer(matches.person_json(person))


def _settled(
    act: Callable[..., Any], said: Mapping[str, Any], identity_id: str, patient_id: str, **more: Any
) -> Response:
    by, now = principal(), runtime().clock()
    with writing() as session:
        act(session, identity_id, patient_id, reason=said["reason"], by=by, now=now, **more)
    return _told(identity_id, patient_id)


def _told(identity_id: str, patient_id: str) -> Response:
    rules = runtime().library.feeds.matching
    with reading() as session:
        found = matches.side_by_side(session, identity_id, patient_id, rules, by=principal())
    return answer(matches.side_by_side_json(found))


def _identity(identity_id: str) -> Response:
    with reading() as session:
        described = matches.description(session, identity_id, by=principal())
        links = candidates.history(session, identity_id, by=principal())
        said = candidates.settlements(session, identity_id, by=principal())
    return answer(matches.identity_json(described, links, said))
