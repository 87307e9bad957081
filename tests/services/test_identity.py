"""Signing in, sessions, second factors and used tokens, on both databases and by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import text

from stewardship.db import transaction
from stewardship.declarations.identity import read_identity_terms
from stewardship.declarations.places import REFERENCE
from stewardship.domain.errors import Conflict, NotFound, TooManyAttempts
from stewardship.domain.identity import Method, Stage
from stewardship.domain.people import Principal, Role
from stewardship.services import (
    access,
    browser_sessions,
    hook_tokens,
    login,
    organisations,
    passwords,
    second_factor,
    users,
)
from stewardship.services.sealing import Seals
from tests.builders import NOW

TERMS = read_identity_terms(REFERENCE)
BY = Principal("setup", "org-1", Role.ADMIN)
EHR = Principal("ehr-1", "org-1", Role.EHR)
SEALS = Seals("only for these tests, thirty-two of them")
KEPT = passwords.hashed("tangerine orbit mosaic", terms=TERMS.hashing)


@pytest.fixture
def house(database):
    """An organisation with one person."""
    with transaction(database) as session:
        organisations.ensure(session, "org-1", name="One", by=BY, now=NOW)
        add(session, "a@b.example", role=Role.PHARMACIST, password_hash=KEPT, user_id="u-1")
    return database


def add(session, name, *, role=Role.PRESCRIBER, **more):
    return users.add(session, login=name, role=role, by=BY, now=NOW, **more)


WHO = Principal("u-1", "org-1", Role.PHARMACIST)


def at_once(times, do):
    """What came of so many at the same moment: what was returned, or the class of what was raised."""

    def attempt(n):
        try:
            return do(n)
        except (TooManyAttempts, Conflict, NotFound) as cause:
            return type(cause)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(attempt, range(times)))


def admit(house, *, address="192.0.2.1", now=NOW):
    with transaction(house) as session:
        return login.admit(session, "a@b.example", address=address, terms=TERMS, now=now)


def begin(house, *, stage=Stage.WHOLE):
    with transaction(house) as session:
        return browser_sessions.begin(
            session, WHO, stage=stage, method=Method.PASSWORD, agent="", terms=TERMS.session, now=NOW
        )


def find(house, token, now=NOW):
    with transaction(house, write=False) as session:
        return browser_sessions.find(session, token, terms=TERMS.session, now=now)


def test_of_twenty_attempts_at_once_six_are_judged(house):
    came = at_once(20, lambda _: admit(house).principal == WHO)
    assert came.count(True) == 6
    assert came.count(TooManyAttempts) == 14


def test_an_attempt_is_forgotten_after_an_hour(house):
    for _ in range(6):
        admit(house)
    with pytest.raises(TooManyAttempts):
        admit(house)
    later = NOW + timedelta(hours=1)
    for _ in range(6):
        assert admit(house, now=later).principal == WHO


def test_a_session_lasts_until_somebody_ends_it(house):
    token = begin(house)
    found = find(house, token)
    assert (found.principal, found.stage) == (WHO, Stage.WHOLE)
    with transaction(house) as session:
        assert users.revoke_sessions(session, "u-1", by=BY, now=NOW) == 1
    assert find(house, token) is None


def test_a_session_that_is_used_is_seen_once_a_minute(house):
    token, later = begin(house), NOW + timedelta(minutes=20)
    assert not find(house, token, NOW + timedelta(seconds=59)).unnoted
    found = find(house, token, later)
    assert found.unnoted
    with transaction(house) as session:
        browser_sessions.seen(session, found, now=later)
    assert find(house, token, NOW + timedelta(minutes=49)) is not None
    assert find(house, token, NOW + timedelta(minutes=50)) is None


def test_of_two_that_go_on_from_one_session_one_gets_the_next(house):
    found = find(house, begin(house, stage=Stage.SECOND_FACTOR))

    def go_on(_):
        with transaction(house) as session:
            return browser_sessions.advance(
                session, found, to=Stage.WHOLE, agent="", terms=TERMS.session, now=NOW
            )

    came = at_once(6, go_on)
    assert came.count(NotFound) == 5


def test_an_unfinished_session_is_short(house):
    token = begin(house, stage=Stage.SECOND_FACTOR)
    assert find(house, token, NOW + timedelta(minutes=9, seconds=59)) is not None
    assert find(house, token, NOW + timedelta(minutes=10)) is None


def test_of_many_who_show_one_code_at_once_one_is_let_in(house):
    with transaction(house) as session:
        made = second_factor.begin(session, by=WHO, login="a@b.example", seals=SEALS, now=NOW)
        app = pyotp.TOTP(made.secret)
        codes = second_factor.confirm(
            session, app.at(NOW), by=WHO, seals=SEALS, terms=TERMS.second_factor, now=NOW
        )
    later = NOW + timedelta(minutes=1)

    def show(code):
        with transaction(house) as session:
            return second_factor.fits(
                session, code, by=WHO, seals=SEALS, terms=TERMS.second_factor, now=later
            )

    assert at_once(8, lambda _: show(app.at(later))).count(True) == 1
    assert at_once(8, lambda _: show(codes[0])).count(True) == 1
    with transaction(house, write=False) as session:
        assert second_factor.recovery_codes_left(session, by=WHO) == 9


def test_another_key_does_not_open_what_was_sealed(house):
    with transaction(house) as session:
        made = second_factor.begin(session, by=WHO, login="a@b.example", seals=SEALS, now=NOW)
        other = Seals("another key of more than thirty-two characters")
        again = second_factor.begin(session, by=WHO, login="a@b.example", seals=other, now=NOW)
    assert made.secret != again.secret


def test_of_many_who_bring_one_token_at_once_one_is_answered(house):
    def use(_):
        with transaction(house) as session:
            return hook_tokens.use(session, "jti-1", until=NOW, by=EHR, now=NOW)

    assert at_once(12, use).count(True) == 1


def test_refusals_at_one_moment_are_all_counted(house):
    def refuse(_):
        with transaction(house) as session:
            access.refused(session, "missing", route="/x", incident=20, by=WHO, now=NOW)

    at_once(24, refuse)
    with transaction(house, write=False) as session:
        told = session.execute(
            text("SELECT action, count(*) FROM audit_events WHERE by_user = 'u-1' GROUP BY action")
        ).all()
    assert dict(map(tuple, told)) == {"access.refused": 20, "incident.access-refused-often": 1}


def test_a_name_is_taken_by_one_of_many(house):
    def take(n):
        with transaction(house) as session:
            add(session, "Same@b.example", user_id=f"n-{n}")
            return True

    came = at_once(6, take)
    assert (came.count(True), came.count(Conflict)) == (1, 5)
    with transaction(house, write=False) as session:
        assert len(users.listed(session, by=BY)) == 2


def test_an_identity_elsewhere_is_one_persons(house):
    with transaction(house) as session:
        add(session, "c@b.example", issuer="https://i.example", subject="s")
    with pytest.raises(Conflict), transaction(house) as session:
        add(session, "d@b.example", issuer="https://i.example", subject="s")


def test_taking_something_away_and_its_record_are_one(house, monkeypatch):
    token = begin(house)

    def away(*_, **__):
        raise KeyError("no record")

    monkeypatch.setattr("stewardship.services.users.audit.record", away)
    for take in (
        lambda s: users.disable(s, "u-1", by=BY, now=NOW),
        lambda s: users.set_role(s, "u-1", Role.ADMIN, by=BY, now=NOW),
        lambda s: users.set_password(s, "u-1", "another", by=BY, now=NOW),
        lambda s: users.remove_second_factor(s, "u-1", by=BY, now=NOW),
    ):
        with pytest.raises(KeyError), transaction(house) as session:
            take(session)
    assert find(house, token) is not None
    with transaction(house, write=False) as session:
        kept = users.known(session, "u-1", by=BY)
        assert (kept.active, kept.role) == (True, Role.PHARMACIST)
        assert login.kept_password(session, by=WHO) == KEPT
