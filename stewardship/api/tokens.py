"""API tokens of the organisation: which there are, and the end of one. They are made in the terminal."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response
from marshmallow import fields

from stewardship.api.exchange import Room, answer, reading, writing
from stewardship.auth import Permission, principal, requires
from stewardship.domain.people import Role
from stewardship.intake.fields import Choice, Flag, Instant, StrictSchema, Token, WholeNumber
from stewardship.runtime import runtime
from stewardship.services import tokens
from stewardship.services.token_limits import MOST_PER_MINUTE

room = Room("tokens", __name__, description="API tokens: whose, for what, for how long, and the end of one.")


class TokenAnswer(StrictSchema):
    """What is known of a token. The token itself was shown once, and is not kept."""

    id = Token(required=True)
    user = Token(required=True)
    role = Choice(Role, required=True)
    scopes = fields.List(
        fields.String(), required=True, metadata={"description": "Empty: all that the role may do."}
    )
    networks = fields.List(
        fields.String(), required=True, metadata={"description": "Where from; empty: from everywhere."}
    )
    per_minute = WholeNumber(
        least=1,
        most=MOST_PER_MINUTE,
        required=True,
        allow_none=True,
        metadata={"description": "Uses a minute at the most."},
    )
    issued_at = Instant(required=True)
    issued_by = Token(required=True)
    expires_at = Instant(required=True)
    last_used_at = Instant(required=True, allow_none=True, metadata={"description": "To the hour."})
    good = Flag(required=True)


class TokensAnswer(StrictSchema):
    """The tokens of the organisation, the newest first, also those that are no longer good."""

    tokens = fields.List(fields.Nested(TokenAnswer), required=True)


class RevokedAnswer(StrictSchema):
    """The token that ended."""

    id = Token(required=True)


@room.route("/tokens")
@requires(Permission.MANAGE_TOKENS)
@room.response(HTTPStatus.OK, TokensAnswer)
def list_tokens() -> Response:
    """List the organisation's tokens.

    Also those that have expired or were revoked.
    """
    with reading() as session:
        found = tokens.listed(session, by=principal(), now=runtime().clock(), every=True)
    return answer({"tokens": [_told(one) for one in found]})


@room.route("/tokens/<token_id>/revoke", methods=["POST"])
@requires(Permission.MANAGE_TOKENS)
@room.response(HTTPStatus.OK, RevokedAnswer)
def revoke_token(token_id: str) -> Response:
    """End a token now.

    Whoever brings it is refused within a second.
    """
    with writing() as session:
        tokens.revoke(session, token_id, by=principal(), now=runtime().clock())
    return answer({"id": token_id})


def _told(one: tokens.Listed) -> dict[str, object]:
    return {
        "id": one.id,
        "user": one.user_id,
        "role": one.role.value,
        "scopes": list(one.scopes),
        "networks": [str(network) for network in one.limits.networks],
        "per_minute": one.limits.per_minute,
        "issued_at": one.issued_at,
        "issued_by": one.issued_by,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "good": one.good,
    }
