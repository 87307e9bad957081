"""Whom a token speaks for."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from stewardship.api.exchange import Room, answer
from stewardship.api.schemas import WhoAnswer
from stewardship.auth import PERMISSIONS, Permission, principal, requires

room = Room("who", __name__, description="Whom a token speaks for.")


@room.route("/whoami")
@requires(Permission.KNOW_ONESELF)
@room.response(HTTPStatus.OK, WhoAnswer)
def whoami() -> Response:
    """Say who the caller is taken for.

    The ids, the role, and the permissions that the token leaves of the role's.
    """
    by = principal()
    allowed = PERMISSIONS[by.role]
    if by.scopes:
        allowed = allowed & by.scopes
    return answer(
        {
            "user": by.user_id,
            "organisation": by.organisation_id,
            "role": by.role.value,
            "permissions": sorted(allowed),
        }
    )
