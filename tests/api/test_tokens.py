"""The organisation's API tokens over the API: T07, which there are, and the end of one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from stewardship.db import tables, transaction
from stewardship.domain.people import Role
from stewardship.services.token_limits import limits_of
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


# --- where from, and how often ----------------------------------------------------------------------


@pytest.fixture
def bound(app, sessions):
    """Somebody whose token is bound to networks and to a number of uses a minute."""

    def make(user, *networks, per_minute=None):
        with transaction(sessions) as session:
            limits = limits_of(networks, per_minute)
            return Caller(app, a_token(session, "org-here", Role.PRESCRIBER, user_id=user, limits=limits))

    return make


def asked_from(who, address):
    return who.get("/api/v1/whoami", environ_base={"REMOTE_ADDR": address})


def entries(sessions, user):
    with transaction(sessions, write=False) as session:
        asked = select(tables.AuditEvent.action, tables.AuditEvent.detail).where(
            tables.AuditEvent.by_user == user
        )
        return [tuple(row) for row in session.execute(asked)]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("192.0.2.0", 200),
        ("192.0.2.255", 200),
        ("::ffff:192.0.2.9", 200),
        ("2001:db8::7", 200),
        ("192.0.3.0", 401),
        ("192.0.1.255", 401),
        ("2001:db8::8", 401),
        ("", 401),
        ("unix:", 401),
    ],
)
def test_t07_a_token_is_good_from_its_networks_alone(bound, address, status):
    who = bound("u-placed", "192.0.2.0/24", "2001:db8::7")
    assert asked_from(who, address).status_code == status


def test_t07_from_elsewhere_it_is_like_one_that_is_not_known_and_that_is_on_record(bound, sessions, nobody):
    who = bound("u-elsewhere", "192.0.2.0/24")
    refused, unknown = (
        json(asked_from(who, "203.0.113.9")),
        json(Caller(who.app, "stw_x").get("/api/v1/whoami")),
    )
    refused.pop("request_id"), unknown.pop("request_id")
    assert refused == unknown
    (entry,) = entries(sessions, "u-elsewhere")
    assert (entry[0], '"reason":"address"' in entry[1]) == ("access.refused", True)


def test_t07_a_token_is_used_so_often_a_minute_and_no_more(bound, sessions, clock):
    who = bound("u-busy", per_minute=5)
    assert [who.get("/api/v1/whoami").status_code for _ in range(8)] == [200] * 5 + [429] * 3
    refused = who.get("/api/v1/whoami")
    assert refused.headers["Retry-After"] == "60"
    assert json(refused)["code"] == "too-many-attempts"
    assert [action for action, _ in entries(sessions, "u-busy")] == ["incident.token-used-often"]
    clock.at = NOW + timedelta(minutes=1)
    assert who.get("/api/v1/whoami").status_code == 200


def test_t07_processes_count_together(app, bound, sessions, library, clock):
    """Another process that serves the same database hears of what this one let in."""
    from stewardship.app import create_app

    who = bound("u-spread", per_minute=6)
    other = Caller(
        create_app(app.extensions["stewardship"].settings, library=library, sessions=sessions, clock=clock),
        who.token,
    )
    statuses = []
    for turn in range(8):
        clock.at = NOW + timedelta(seconds=turn)
        statuses += [one.get("/api/v1/whoami").status_code for one in (who, other)]
    assert statuses.count(200) == 6
    assert statuses[6:] == [429] * 10


def test_an_admin_sees_what_a_token_is_bound_to(bound, caller):
    bound("u-told", "192.0.2.7", per_minute=30)
    (one,) = mine(caller(Role.ADMIN), "u-told")
    assert (one["networks"], one["per_minute"]) == (["192.0.2.7/32"], 30)
