"""Who is asking, and what they may do: roles and permissions as data, tokens and sessions, deny by default.

A program says who it is with a token; a person who has signed in, with the cookie of a session, on pages
alone (see ``browsers``). Views need not know which it was.

A view says what it needs with ``@requires(Permission.X)``, or that it needs nothing with ``@public``.
``undeclared`` names the views that say neither; the application refuses to start with one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import Flask, g, request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from stewardship import browsers
from stewardship.db.engine import transaction
from stewardship.domain.connections import RecordSystem
from stewardship.domain.errors import Forbidden, StewardshipError, Unauthenticated
from stewardship.domain.identity import Stage
from stewardship.domain.people import Principal, Role
from stewardship.observability import report_fault
from stewardship.record_systems import caller as hook_caller
from stewardship.runtime import Runtime, Trusted, runtime
from stewardship.services import access, tokens
from stewardship.services.tokens import Known

P = ParamSpec("P")
R = TypeVar("R")


class Permission(StrEnum):
    """One thing that may be done; a token's scopes are words of this list."""

    SCREEN_ORDERS = "orders:screen"
    READ_PATIENTS = "patients:read"
    SUBMIT_ORDERS = "orders:submit"
    READ_DECISIONS = "decisions:read"
    OVERRIDE_FINDINGS = "findings:override"
    SNOOZE_FINDINGS = "findings:snooze"
    READ_SNOOZES = "snoozes:read"
    END_SNOOZES = "snoozes:end"
    REQUEST_EXCEPTIONS = "exceptions:request"
    COUNTERSIGN_EXCEPTIONS = "exceptions:countersign"
    READ_POLICIES = "policies:read"
    READ_DRUGS = "drugs:read"
    IMPORT_FILES = "imports:create"
    READ_IMPORTS = "imports:read"
    READ_PHARMACIES = "pharmacies:read"
    READ_MATCHES = "matches:read"
    SETTLE_MATCHES = "matches:settle"
    READ_CARE = "care:read"
    RECORD_CARE = "care:record"
    READ_PLANS = "plans:read"
    WORK_ON_PLANS = "plans:work"
    PLAN_TAPERS = "tapers:plan"
    READ_PRESCRIBERS = "prescribers:read"
    KEEP_PRESCRIBERS = "prescribers:keep"
    READ_FLAGS = "flags:read"
    WORK_FLAGS = "flags:work"
    READ_MESSAGES = "messages:read"
    ISSUE_LINKS = "questionnaire-links:issue"
    READ_JOBS = "jobs:read"
    READ_REPORTS = "reports:read"
    READ_AUDIT = "audit:read"
    READ_INSTRUMENTS = "instruments:read"
    READ_FUNCTION = "function:read"
    RECORD_FUNCTION = "function:record"
    WORK_ON_FUNCTION = "function:work"
    SET_CALENDAR = "calendar:set"
    CALL_HOOKS = "cds-hooks"
    MANAGE_TOKENS = "tokens:manage"
    READ_RETENTION = "retention:read"
    KEEP_HOLDS = "legal-holds:keep"
    #: Every known caller may ask who it is taken for.
    KNOW_ONESELF = "self:read"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.PRESCRIBER: frozenset(
        {
            Permission.READ_PLANS,
            Permission.WORK_ON_PLANS,
            Permission.PLAN_TAPERS,
            Permission.READ_PRESCRIBERS,
            Permission.READ_INSTRUMENTS,
            Permission.READ_FUNCTION,
            Permission.RECORD_FUNCTION,
            Permission.WORK_ON_FUNCTION,
            Permission.SCREEN_ORDERS,
            Permission.READ_CARE,
            Permission.RECORD_CARE,
            Permission.READ_PATIENTS,
            Permission.SUBMIT_ORDERS,
            Permission.READ_DECISIONS,
            Permission.OVERRIDE_FINDINGS,
            Permission.SNOOZE_FINDINGS,
            Permission.READ_MESSAGES,
            Permission.READ_SNOOZES,
            Permission.END_SNOOZES,
            Permission.REQUEST_EXCEPTIONS,
            Permission.COUNTERSIGN_EXCEPTIONS,
            Permission.ISSUE_LINKS,
            Permission.READ_POLICIES,
            Permission.READ_DRUGS,
            Permission.KNOW_ONESELF,
        }
    ),
    Role.PHARMACIST: frozenset(
        {
            Permission.READ_PLANS,
            Permission.READ_PRESCRIBERS,
            Permission.READ_INSTRUMENTS,
            Permission.READ_FUNCTION,
            Permission.RECORD_FUNCTION,
            Permission.WORK_ON_FUNCTION,
            Permission.READ_FLAGS,
            Permission.WORK_FLAGS,
            Permission.SCREEN_ORDERS,
            Permission.READ_CARE,
            Permission.READ_PATIENTS,
            Permission.READ_DECISIONS,
            Permission.COUNTERSIGN_EXCEPTIONS,
            Permission.IMPORT_FILES,
            Permission.READ_IMPORTS,
            Permission.READ_PHARMACIES,
            Permission.READ_MATCHES,
            Permission.SETTLE_MATCHES,
            Permission.ISSUE_LINKS,
            Permission.READ_POLICIES,
            Permission.READ_DRUGS,
            Permission.KNOW_ONESELF,
        }
    ),
    Role.COMPLIANCE: frozenset(
        {
            Permission.READ_PLANS,
            Permission.READ_PRESCRIBERS,
            Permission.KEEP_PRESCRIBERS,
            Permission.READ_INSTRUMENTS,
            Permission.READ_FUNCTION,
            Permission.READ_FLAGS,
            Permission.READ_DECISIONS,
            Permission.READ_SNOOZES,
            Permission.END_SNOOZES,
            Permission.COUNTERSIGN_EXCEPTIONS,
            Permission.READ_IMPORTS,
            Permission.READ_PHARMACIES,
            Permission.READ_MATCHES,
            Permission.READ_JOBS,
            Permission.READ_REPORTS,
            Permission.READ_AUDIT,
            Permission.READ_RETENTION,
            Permission.KEEP_HOLDS,
            Permission.READ_POLICIES,
            Permission.READ_DRUGS,
            Permission.KNOW_ONESELF,
        }
    ),
    Role.EHR: frozenset(
        {
            Permission.READ_PLANS,
            Permission.WORK_ON_PLANS,
            Permission.READ_INSTRUMENTS,
            Permission.RECORD_FUNCTION,
            Permission.CALL_HOOKS,
            Permission.READ_CARE,
            Permission.SCREEN_ORDERS,
            Permission.SUBMIT_ORDERS,
            Permission.IMPORT_FILES,
            Permission.READ_IMPORTS,
            Permission.READ_POLICIES,
            Permission.READ_DRUGS,
            Permission.KNOW_ONESELF,
        }
    ),
    Role.ADMIN: frozenset(
        {
            Permission.SET_CALENDAR,
            Permission.MANAGE_TOKENS,
            Permission.READ_INSTRUMENTS,
            Permission.READ_JOBS,
            Permission.READ_POLICIES,
            Permission.READ_DRUGS,
            Permission.KNOW_ONESELF,
        }
    ),
}


#: How long a token that was found good is trusted unseen: a revoked one is refused after that.
TRUSTED_FOR = timedelta(milliseconds=500)
_MOST_TRUSTED = 1_000


def requires(
    permission: Permission, *, record_systems: bool = False, unasked: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the view be reached only by callers who may do this; it finds them with ``principal()``.

    ``record_systems`` is for CDS Hooks alone: there a record system may bring a JSON Web Token of its own,
    and where the settings say so, one that brings no token of ours is taken for the EHR of the
    demonstration's organisation. ``unasked`` is for what a page asks for by
    itself, again and again: it keeps nobody signed in who has gone away.
    """

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            _admit(permission, record_systems=record_systems, unasked=unasked)
            return view(*args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return guard


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Say that anybody may reach the view; it shows nothing about patients."""

    @wraps(view)
    def open_view(*args: P.args, **kwargs: P.kwargs) -> R:
        return view(*args, **kwargs)

    open_view.permission = None  # type: ignore[attr-defined]
    return open_view


def undeclared(app: Flask) -> list[str]:
    """The endpoints whose views say neither whom they admit nor that they are public."""
    return sorted(name for name, view in app.view_functions.items() if not hasattr(view, "permission"))


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """What a view asks for; ``None`` when it is public."""
    return cast("Permission | None", view.permission)  # type: ignore[attr-defined]


def principal() -> Principal:
    """Who asks, inside a view that ``requires`` something."""
    return cast(Principal, g.principal)


def reader() -> Principal | None:
    """Who looks at a page, also at a public one; ``None`` when nobody is signed in."""
    if "principal" in g:
        return principal()
    found = browsers.session_of_browser()
    return found.principal if found is not None and found.stage is Stage.WHOLE else None


def _admit(permission: Permission, *, record_systems: bool, unasked: bool) -> None:
    if browsers.is_page() and not browsers.brings_token():
        known = _signed_in(unasked=unasked)
    else:
        known = _caller(record_systems=record_systems)
    g.principal = known
    if permission not in PERMISSIONS[known.role]:
        note_refusal("role")
        raise Forbidden(f"this needs the permission {permission}, which the role {known.role} does not have")
    if known.scopes and permission not in known.scopes:
        note_refusal("scope")
        raise Forbidden(f"this needs the permission {permission}, which the token was not given")


def note_refusal(reason: str) -> None:
    """Have it on record that the caller was refused. What he is answered does not depend on it."""
    running, by = runtime(), principal()
    g.refused = True
    route = request.url_rule.rule if request.url_rule else "none"
    try:
        with transaction(running.sessions) as session:
            incident = running.library.identity.refusals
            access.refused(session, reason, route=route, incident=incident, by=by, now=running.clock())
    except (StewardshipError, SQLAlchemyError) as cause:
        report_fault(cause)


def _signed_in(*, unasked: bool) -> Principal:
    """The person whose browser asks."""
    found = browsers.session_of_browser()
    if found is None or found.stage is not Stage.WHOLE:
        raise Unauthenticated("sign in first")
    if not unasked:
        browsers.note_seen(found)
    return found.principal


def _caller(*, record_systems: bool) -> Principal:
    """The program, or person, that the request's token names."""
    token = _bearer_token()
    running = runtime()
    if record_systems and _is_foreign(token):
        return _record_system(token, running)
    if token is None:
        raise Unauthenticated("bring a token: Authorization: Bearer ...")
    known = _known(token, running)
    if known is None:
        raise Unauthenticated("the token is not known, or no longer good")
    if not known.limits.admits(request.remote_addr):
        # On record as its owner's; whoever brings it is answered as if it were not known.
        g.principal = known.principal
        note_refusal("address")
        g.pop("principal")
        raise Unauthenticated("the token is not known, or no longer good")
    running.meters.note(running.sessions, known, now=running.clock())
    g.token = token
    return known.principal


def _record_system(token: str | None, running: Runtime) -> Principal:
    """The record system that a token of its own making names; anybody, where a demonstration is open."""
    if running.settings.cds_open:
        return Principal("demo-ehr", running.settings.demo_organisation, Role.EHR)
    if token is None:
        raise Unauthenticated("bring a token: Authorization: Bearer ...")
    found = hook_caller(token, running, addresses=_addresses(running))
    if found is None:
        raise Unauthenticated("the token is not one of a record system that is known, or no longer good")
    g.record_system = found
    return found.principal


def serves(fhir_server: str) -> bool:
    """Whether the record system that calls may ask for that FHIR server; one with a token of ours may."""
    found = g.get("record_system")
    return not isinstance(found, RecordSystem) or found.serves(fhir_server)


def _addresses(running: Runtime) -> frozenset[str]:
    """What a token for the current request may name as its audience: the service that is called. What is
    reported back about its cards belongs to it too."""
    base = running.settings.public_url or request.host_url.rstrip("/")
    whole = base + request.path
    return frozenset({whole, whole.removesuffix("/feedback")})


def _known(token: str, running: Runtime) -> Known | None:
    """The token, if it is good. One that was found good a moment ago is not looked up again."""
    now = running.clock()
    trusted = running.trusted.get(token)
    if trusted is not None and timedelta(0) <= now - trusted.since < TRUSTED_FOR:
        return trusted.known
    with transaction(running.sessions, write=False) as session:
        known = tokens.known(session, token, now=now)
    if known is None:
        running.trusted.pop(token, None)
        return None
    if len(running.trusted) >= _MOST_TRUSTED:
        running.trusted.clear()
    running.trusted[token] = Trusted(known, now)
    return known


def note_use(session: Session) -> None:
    """Write down, to the hour, that the token of the current request was used. For sessions that write."""
    token = g.get("token")
    running = runtime()
    trusted = running.trusted.get(token) if token else None
    if token and (trusted is None or not trusted.noted):
        tokens.note_use(session, token, now=running.clock())
        if trusted is not None:
            running.trusted[token] = replace(trusted, noted=True)


def _bearer_token() -> str | None:
    """The token of the Authorization header; ``None`` without one. Longer than any of ours is no token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN or not token.isascii():
        return None
    return token


def _is_foreign(token: str | None) -> bool:
    """Whether a caller brings no token of ours: none at all, or a JSON Web Token of its own making."""
    return token is None or token.count(".") == 2  # header, claims, signature


_LONGEST_TOKEN = 8_192
