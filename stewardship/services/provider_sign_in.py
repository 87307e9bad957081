"""Signing in through an identity provider: whose account its words mean, and in which role.

The provider decides the role, each time anew. An account is found by the provider's own id of a person and
by nothing else: an address of e-mail can be given to another one day.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from stewardship.domain.connections import IdentityProvider, Unknown
from stewardship.domain.errors import Conflict, InvalidInput
from stewardship.domain.identity import IdentityTerms, Method, Stage
from stewardship.domain.people import Principal, Role
from stewardship.services import browser_sessions, login, users
from stewardship.services.users import Account

#: Who acts when a provider's word adds an account or changes a role.
_ACTOR = "identity-provider"


class NotAdmitted(Exception):
    """The provider vouches for somebody who may not come in; ``code`` says why, for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def sign_in(
    session: Session,
    provider: IdentityProvider,
    claims: Mapping[str, Any],
    *,
    agent: str,
    terms: IdentityTerms,
    demanded: frozenset[Role],
    now: datetime,
) -> tuple[Principal, str]:
    """Begin a session for whom the claims name: who it is, and what the browser keeps. The claims were
    verified before. Raises ``NotAdmitted``."""
    role = provider.role_of(claims)
    if role is None or role is Role.EHR:
        raise NotAdmitted("no-role")
    if role in demanded and not provider.proves_enough(claims):
        raise NotAdmitted("one-factor")
    who = _account(session, provider, claims, role, now).principal
    token = browser_sessions.begin(
        session, who, stage=Stage.WHOLE, method=Method.PROVIDER, agent=agent, terms=terms.session, now=now
    )
    login.signed_in(session, who, now=now)
    return who, token


def _account(
    session: Session, provider: IdentityProvider, claims: Mapping[str, Any], role: Role, now: datetime
) -> Account:
    by = Principal(f"{_ACTOR}-{provider.id}", provider.organisation_id, Role.ADMIN)
    subject = str(claims["sub"])
    found = users.of_identity(session, provider.issuer, subject)
    if found is None:
        return _new(session, provider, claims, subject, role, by, now)
    if found.organisation_id != provider.organisation_id:
        raise NotAdmitted("other-organisation")
    if not found.active:
        raise NotAdmitted("disabled")
    if found.role is not role:
        users.set_role(session, found.user_id, role, by=by, now=now)
        return users.known(session, found.user_id, by=by)
    return found


def _new(
    session: Session,
    provider: IdentityProvider,
    claims: Mapping[str, Any],
    subject: str,
    role: Role,
    by: Principal,
    now: datetime,
) -> Account:
    if provider.unknown is not Unknown.ADD:
        raise NotAdmitted("unknown")
    name = provider.login_of(claims)
    if name is None:
        raise NotAdmitted("no-name")
    email = claims.get("email") if claims.get("email_verified") is True else ""
    try:
        return users.add(
            session,
            login=name,
            role=role,
            email=email if isinstance(email, str) else "",
            issuer=provider.issuer,
            subject=subject,
            by=by,
            now=now,
        )
    except Conflict:
        # Somebody has that name: whoever may say which account is his is not the provider.
        raise NotAdmitted("name-taken") from None
    except InvalidInput:
        raise NotAdmitted("no-name") from None
