"""The organisation's API tokens over the API: T07, which there are, and the end of one."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from stewardship.db import transaction
from stewardship.domain.people import Role
from tests.api.conftest import ELSEWHERE, Caller, a_token, json
from tests.builders import NOW


def mine(admin, user):
    return [one for one in json(admin.get("/api/v1/tokens"))["tokens"] if one["user"] == user]


def test_t07_an_admin_sees_whose_tokens_there_are_and_not_the_tokens(caller, sessions):
    with transaction(sessions) as session:
        token = a_token(session, "org-here", Role.PRESCRIBER, scopes=("policies:read",), user_id="u-listed")
    answer = caller(Role.ADMIN).get("/api/v1/tokens")
    assert token not in answer.get_data(as_text=True)
    (one,) = mine(caller(Role.ADMIN), "u-listed")
    assert (one["role"], one["scopes"], one["good"]) == ("prescriber", ["policies:read"], True)
    assert one["last_used_at"] is None


def test_t07_when_it_was_used_last_is_told(app, caller, sessions):
    from tests.api.conftest import a_case

    with transaction(sessions) as session:
        who = Caller(app, a_token(session, "org-here", Role.PRESCRIBER, user_id="u-used"))
    assert who.post("/api/v1/orders", a_case()).status_code == 201
    (one,) = mine(caller(Role.ADMIN), "u-used")
    assert one["last_used_at"].startswith("2026-11-21T12:00")


def test_t07_a_revoked_token_is_nobody_within_a_second(app, caller, sessions, clock):
    with transaction(sessions) as session:
        who = Caller(app, a_token(session, "org-here", Role.PRESCRIBER, user_id="u-revoked"))
    assert who.get("/api/v1/whoami").status_code == 200
    (one,) = mine(caller(Role.ADMIN), "u-revoked")
    assert caller(Role.ADMIN).post(f"/api/v1/tokens/{one['id']}/revoke").status_code == 200
    clock.at = NOW + timedelta(seconds=1)
    refused = who.get("/api/v1/whoami")
    assert refused.status_code == 401
    assert set(json(refused)) == {"type", "title", "status", "code", "errors", "request_id"}
    (one,) = mine(caller(Role.ADMIN), "u-revoked")
    assert not one["good"]
    assert caller(Role.ADMIN).post(f"/api/v1/tokens/{one['id']}/revoke").status_code == 404


def test_another_organisations_tokens_are_like_missing_ones(caller, sessions):
    with transaction(sessions) as session:
        a_token(session, "org-here", Role.PRESCRIBER, user_id="u-ours")
    (one,) = mine(caller(Role.ADMIN), "u-ours")
    stranger = caller(Role.ADMIN, ELSEWHERE)
    assert mine(stranger, "u-ours") == []
    assert stranger.post(f"/api/v1/tokens/{one['id']}/revoke").status_code == 404
    (one,) = mine(caller(Role.ADMIN), "u-ours")
    assert one["good"]


def test_t07_the_database_holds_no_token(sessions, issued):
    with transaction(sessions, write=False) as session:
        kept = " ".join(str(row) for row in session.execute(text("SELECT * FROM api_tokens")))
    for token in issued.values():
        assert token not in kept
